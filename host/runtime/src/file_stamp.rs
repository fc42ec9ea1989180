//! Notices that a file has changed.

use std::{fs, io, os::unix::fs::MetadataExt as _, path::Path, time::SystemTime};

/// The properties of a file that show a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileStamp {
    modified: Option<SystemTime>,
    bytes: u64,
    /// Files are often replaced by renaming others.
    inode: u64,
}

impl FileStamp {
    /// Returns the current properties of a file. Blocks for the disk.
    ///
    /// # Errors
    /// If the file does not exist or cannot be reached.
    pub fn of(path: &Path) -> io::Result<Self> {
        let metadata = fs::metadata(path)?;
        Ok(Self { modified: metadata.modified().ok(), bytes: metadata.len(), inode: metadata.ino() })
    }
}
