//! Notices that a file has changed and is complete.

use std::{
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    time::SystemTime,
};

/// A file that is checked at intervals for changes.
///
/// An editor or a script may truncate a file and write it anew. A file that is read in between is empty or ends early,
/// and may still be valid. A change is therefore reported once two successive checks found the same properties.
#[derive(Clone, Debug)]
pub struct WatchedFile {
    path: PathBuf,
    last: Stamp,
    reported: Option<Stamp>,
}

/// The properties of a file that show a change, or why they cannot be read.
type Stamp = Result<Properties, io::ErrorKind>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Properties {
    modified: Option<SystemTime>,
    bytes: u64,
    /// Files are often replaced by renaming others.
    inode: u64,
}

impl WatchedFile {
    /// Watches a file whose contents were not read yet: the first change is reported even if the file stays as it is.
    /// Blocks for the disk.
    #[must_use]
    pub fn unread(path: PathBuf) -> Self {
        let last = stamp(&path);
        Self { path, last, reported: None }
    }

    /// Watches a file that is read right after this call. Blocks for the disk.
    #[must_use]
    pub fn about_to_be_read(path: PathBuf) -> Self {
        let last = stamp(&path);
        Self { path, last, reported: Some(last) }
    }

    /// Checks the file and returns whether it must be read now: it has changed since this method last returned true,
    /// and is unchanged since the previous check. A file that appears, disappears or becomes unreadable has changed.
    /// Blocks for the disk.
    pub fn take_change(&mut self) -> bool {
        let now = stamp(&self.path);
        let complete = now == self.last;
        self.last = now;
        let changed = complete && self.reported != Some(now);
        if changed {
            self.reported = Some(now);
        }
        changed
    }

    /// Checks all files, and returns whether one of them [has changed](Self::take_change). Blocks for the disk.
    pub fn take_any_change(files: &mut [Self]) -> bool {
        let mut any = false;
        // Every file is checked, so that each is compared with its own last check.
        for file in files {
            any |= file.take_change();
        }
        any
    }
}

fn stamp(path: &Path) -> Stamp {
    let metadata = fs::metadata(path).map_err(|error| error.kind())?;
    Ok(Properties { modified: metadata.modified().ok(), bytes: metadata.len(), inode: metadata.ino() })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::WatchedFile;
    use std::fs;

    #[test]
    fn a_file_is_reported_once_its_writer_is_done() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("policy.toml");
        fs::write(&path, "before").unwrap();
        let mut file = WatchedFile::about_to_be_read(path.clone());
        assert!(!file.take_change() && !file.take_change());
        for half_written in ["", "af", "after"] {
            fs::write(&path, half_written).unwrap();
            assert!(!file.take_change(), "{half_written:?} may be incomplete");
        }
        assert!(file.take_change() && !file.take_change());
        fs::remove_file(&path).unwrap();
        assert!(!file.take_change() && file.take_change() && !file.take_change());
        fs::write(&path, "again").unwrap();
        assert!(!file.take_change() && file.take_change() && !file.take_change());
    }

    #[test]
    fn an_unread_file_is_reported_although_it_stays_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("topology.toml");
        fs::write(&path, "").unwrap();
        let mut file = WatchedFile::unread(path);
        assert!(file.take_change() && !file.take_change());
    }
}
