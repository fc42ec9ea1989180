//! A lease in a directory that all contenders share: on one host, or on a file system that several hosts mount.

use super::slots::{Retention, Slots, claim_dir::ClaimDir};
use crate::clock::Clock;
use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

/// Temporary files older than this were left by a crash.
const TEMPORARY_AGE_MAX: Duration = Duration::from_secs(3_600);

/// Opens the lease in this directory, which is created if needed.
///
/// Every claim is durable, and so is its directory, before it is linked under its number: after a loss of power an
/// epoch that a leader has used must not be begun again.
///
/// # Errors
/// When the directory cannot be created or written.
pub fn open(dir: &Path, clock: Clock) -> io::Result<Slots> {
    open_with(dir, clock, Retention::DEFAULT)
}

/// Like [`open`], with other times for deleting old claims.
///
/// # Errors
/// As [`open`].
pub fn open_with(dir: &Path, clock: Clock, retention: Retention) -> io::Result<Slots> {
    fs::create_dir_all(dir)?;
    remove_temporary_files(dir);
    Ok(open_used(dir, clock, retention))
}

/// Opens the lease in a directory that was used before. If it is missing, it is not mounted, and must not be created.
#[must_use]
pub fn open_used(dir: &Path, clock: Clock, retention: Retention) -> Slots {
    let name = format!("lease directory {}", dir.display());
    Slots::on(ClaimDir::at(dir), name, clock, retention)
}

/// Removes the files that a crash between writing a claim and linking it has left: `NUMBER.json#N`.
fn remove_temporary_files(dir: &Path) {
    let Ok(entries) = fs::read_dir(dir) else { return };
    let old = |path: &PathBuf| {
        let modified = fs::metadata(path).and_then(|meta| meta.modified());
        modified.is_ok_and(|at| at.elapsed().is_ok_and(|age| age > TEMPORARY_AGE_MAX))
    };
    let staged = |path: &PathBuf| path.to_str().is_some_and(|path| path.contains(".json#"));
    for path in
        entries.filter_map(|entry| entry.ok().map(|entry| entry.path())).filter(|path| staged(path) && old(path))
    {
        // Another contender may already have removed it.
        let _ = fs::remove_file(path);
    }
}
