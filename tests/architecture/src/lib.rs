//! The crates as cargo sees them, and as `host/ARCHITECTURE.md` draws them. The tests compare the two.

pub mod diagram;
pub mod metadata;

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Returns all files below a directory, without those that builds write.
#[must_use]
pub fn sources(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).expect("the directory can be read").map(|entry| entry.expect("an entry").path());
    let kept = entries.filter(|path| !path.ends_with("target"));
    kept.flat_map(|path| if path.is_dir() { sources(&path) } else { vec![path] }).collect()
}
