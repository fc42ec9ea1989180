//! The lock on the edge's data directory. Two processes would overwrite each other's snapshots.

use crate::start::StartError;
use std::{
    fs::{File, OpenOptions, TryLockError, create_dir_all},
    path::Path,
};

/// The name of the file that is locked while a process uses the directory.
const LOCK: &str = "LOCK";

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
            Ok(()) => Ok(Self(file)),
            Err(TryLockError::WouldBlock) => Err(StartError::InUse { path: path.to_owned() }),
            Err(TryLockError::Error(error)) => Err(failed(error)),
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
    fn the_error_names_a_directory_that_cannot_be_created() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        std::fs::write(&file, "").unwrap();
        let error = DataDir::lock(&file.join("edge")).unwrap_err().to_string();
        assert!(error.contains(&file.display().to_string()), "{error}");
    }
}
