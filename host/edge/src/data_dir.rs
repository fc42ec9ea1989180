//! The edge's data directory, which one process uses at a time: two would replace each other's snapshots.

use crate::start::StartError;
use std::{
    fs::{File, OpenOptions, TryLockError, create_dir_all},
    path::Path,
};

/// Locked while a process uses the directory.
const LOCK: &str = "LOCK";

/// A directory that is this process's. The kernel lets go of it however the process ends.
#[derive(Debug)]
pub(crate) struct DataDir(#[expect(dead_code, reason = "held, not used")] File);

impl DataDir {
    /// Makes the directory where it is not there, and locks it.
    ///
    /// # Errors
    /// [`StartError::DataDir`], [`StartError::InUse`].
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
    fn a_directory_is_one_process_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("edge");
        let held = DataDir::lock(&path).unwrap();
        let error = DataDir::lock(&path).unwrap_err();
        assert!(matches!(error, StartError::InUse { .. }) && error.to_string().contains("edge.data_dir"), "{error}");
        drop(held);
        DataDir::lock(&path).unwrap();
    }

    #[test]
    fn a_directory_that_cannot_be_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        std::fs::write(&file, "").unwrap();
        let error = DataDir::lock(&file.join("edge")).unwrap_err().to_string();
        assert!(error.contains(&file.display().to_string()), "{error}");
    }
}
