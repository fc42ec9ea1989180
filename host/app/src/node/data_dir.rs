//! A node's data directory. It is checked before anything else starts, so that a problem is reported with its path.

use crate::failure::Failure;
use std::{
    fs::{OpenOptions, create_dir_all},
    path::{Path, absolute},
};

/// The file that a process locks while it uses the directory. Opening it for writing shows whether that is permitted.
const LOCK: &str = "LOCK";

/// Creates the directory if needed, and checks that this process may write to it; `key` is the setting that names it.
///
/// # Errors
/// When the directory cannot be created or written to; the message has the absolute path, the key, and what to do.
pub fn check(path: &Path, key: &str) -> Result<(), Failure> {
    let writable = create_dir_all(path)
        .and_then(|()| OpenOptions::new().create(true).truncate(false).write(true).open(path.join(LOCK)));
    writable.map(drop).map_err(|error| {
        let whole = absolute(path).unwrap_or_else(|_| path.to_owned());
        Failure::usage(format!(
            "{key} = {}: {error}; make it a directory that this process may write to, or set '{key}' to another",
            whole.display()
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_that_is_not_writable_is_reported_with_its_key() {
        let dir = tempfile::tempdir().unwrap();
        check(&dir.path().join("a/b"), "leader.data_dir").unwrap();
        let file = dir.path().join("file");
        std::fs::write(&file, "").unwrap();
        for bad in [file.clone(), file.join("below"), Path::new("/proc/nowhere").to_owned()] {
            let error = check(&bad, "leader.data_dir").unwrap_err().to_string();
            assert!(error.contains(&bad.display().to_string()) && error.contains("'leader.data_dir'"), "{error}");
        }
    }
}
