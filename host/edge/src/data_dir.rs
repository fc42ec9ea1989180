//! The lock on the edge's data directory. Two processes would overwrite each other's snapshots.

use crate::start::StartError;
use std::{
    fs::{File, OpenOptions, TryLockError, create_dir_all},
    path::Path,
};

/// The name of the file that is locked while a process uses the directory.
const LOCK: &str = "LOCK";
/// The directory of modules' components, within the data directory.
pub(crate) const MODULES: &str = "modules";
/// The extension of a file that is not complete yet.
pub(crate) const UNFINISHED: &str = "unfinished";

/// A locked data directory. The kernel releases the lock when the process ends.
#[derive(Debug)]
pub(crate) struct DataDir(#[expect(dead_code, reason = "held, not used")] File);

impl DataDir {
    /// Creates the directory if it does not exist, and locks it.
    pub(crate) fn lock(path: &Path) -> Result<Self, StartError> {
        let failed = |source| StartError::DataDir { path: path.to_owned(), source };
        create_dir_all(path).map_err(failed)?;
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(path.join(LOCK)).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {
                sweep(path);
                Ok(Self(file))
            }
            Err(TryLockError::WouldBlock) => Err(StartError::InUse { path: path.to_owned() }),
            Err(TryLockError::Error(error)) => Err(failed(error)),
        }
    }
}

/// Removes what a process that was killed has not finished: it may be plain although this process encrypts. What cannot
/// be removed is replaced when the file of this name is written.
fn sweep(directory: &Path) {
    for directory in [directory.to_owned(), directory.join(MODULES)] {
        let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
        for path in entries.map(|entry| entry.path()) {
            if path.extension().is_some_and(|extension| extension == UNFINISHED) {
                let _ = std::fs::remove_file(path);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_process_can_use_a_directory() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("edge");
        let held = DataDir::lock(&path).unwrap();
        let error = DataDir::lock(&path).unwrap_err();
        assert!(matches!(error, StartError::InUse { .. }) && error.to_string().contains("edge.data_dir"), "{error}");
        drop(held);
        DataDir::lock(&path).unwrap();
    }

    #[test]
    fn unfinished_files_of_a_killed_process_are_removed() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join(MODULES)).unwrap();
        for name in ["replica.unfinished", "replica.snapshot", "modules/x.unfinished", "modules/x.wasm"] {
            std::fs::write(dir.path().join(name), "rows").unwrap();
        }
        let _held = DataDir::lock(dir.path()).unwrap();
        let exists = |name: &str| dir.path().join(name).exists();
        assert!(exists("replica.snapshot") && exists("modules/x.wasm"));
        assert!(!exists("replica.unfinished") && !exists("modules/x.unfinished"));
    }

    #[test]
    fn the_error_names_a_directory_that_cannot_be_created() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        std::fs::write(&file, "").unwrap();
        let error = DataDir::lock(&file.join("edge")).unwrap_err().to_string();
        assert!(error.contains(&file.display().to_string()), "{error}");
    }
}
