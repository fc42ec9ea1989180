//! The lease in a directory that all candidates share: of one host, or of a file system that several hosts mount.

use super::slots::{Retention, Slots, shelf::Shelf};
use crate::clock::Clock;
use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

/// How old a half-written file is before it counts as left behind.
const LEFT_BEHIND: Duration = Duration::from_secs(3_600);

/// The lease in this directory, which is made if need be.
///
/// Every claim is synced with its directory entry before it is linked under its number: an epoch that a leader has acted in
/// must not be begun a second time after a loss of power.
///
/// # Errors
/// When the directory cannot be made or written.
pub fn open(dir: &Path, clock: Clock) -> io::Result<Slots> {
    open_with(dir, clock, Retention::DEFAULT)
}

/// As [`open`], with other times for old objects.
///
/// # Errors
/// As [`open`].
pub fn open_with(dir: &Path, clock: Clock, retention: Retention) -> io::Result<Slots> {
    fs::create_dir_all(dir)?;
    remove_left_behind(dir);
    Ok(open_used(dir, clock, retention))
}

/// The lease in a directory that is known to exist somewhere: where it is missing it is not mounted, and nothing is made.
#[must_use]
pub fn open_used(dir: &Path, clock: Clock, retention: Retention) -> Slots {
    let name = format!("lease directory {}", dir.display());
    Slots::on(Shelf::at(dir), name, clock, retention)
}

/// Removes what a crash between writing a file and linking it under its number has left: `NUMBER.json#N`.
fn remove_left_behind(dir: &Path) {
    let Ok(entries) = fs::read_dir(dir) else { return };
    let old = |path: &PathBuf| {
        let modified = fs::metadata(path).and_then(|meta| meta.modified());
        modified.is_ok_and(|at| at.elapsed().is_ok_and(|age| age > LEFT_BEHIND))
    };
    let staged = |path: &PathBuf| path.to_str().is_some_and(|path| path.contains(".json#"));
    for path in
        entries.filter_map(|entry| entry.ok().map(|entry| entry.path())).filter(|path| staged(path) && old(path))
    {
        // Another candidate may have been quicker.
        let _ = fs::remove_file(path);
    }
}
