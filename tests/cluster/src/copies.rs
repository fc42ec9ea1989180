//! Copies of data directories, and nodes whose data is rolled back to a copy or removed.

use littoral_provision::Node;
use std::{fs, path::Path};

/// Copies a directory with its contents.
///
/// # Panics
/// When a file cannot be read or written.
pub fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("the directory can be made");
    for entry in fs::read_dir(from).expect("the directory can be read") {
        let from = entry.expect("the directory can be read").path();
        let to = to.join(from.file_name().expect("an entry has a name"));
        if from.is_dir() {
            copy(&from, &to);
        } else {
            fs::copy(&from, &to).expect("the file can be copied");
        }
    }
}

/// Stops a node, copies its data directory, and restarts it.
///
/// # Panics
/// When that fails.
pub fn take(node: &mut Node, to: &Path) {
    node.stop();
    copy(node.data_dir(), to);
    node.restart().expect("the node starts again");
}

/// Replaces a stopped node's data directory by a copy.
///
/// # Panics
/// When that fails.
pub fn replace(node: &Node, copy_of_it: &Path) {
    fs::remove_dir_all(node.data_dir()).expect("the directory can be removed");
    copy(copy_of_it, node.data_dir());
}

/// Stops a node, replaces its data directory by a copy, and restarts it.
///
/// # Panics
/// When that fails.
pub fn roll_back(node: &mut Node, copy_of_it: &Path) {
    node.stop();
    replace(node, copy_of_it);
    node.restart().expect("the node starts again");
}

/// Kills a node and removes its data directory.
///
/// # Panics
/// When that fails.
pub fn empty(node: &mut Node) {
    node.kill();
    fs::remove_dir_all(node.data_dir()).expect("the directory can be removed");
}
