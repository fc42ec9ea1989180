//! Replaces a file as a whole.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

/// Replaces a file in one step, or creates it, so that no reader ever finds half of it: writes `bytes` under another
/// name in the same directory, syncs them, and renames the new file. It has the permissions `mode`, less those that the
/// process's mask removes. Blocks for the disk.
///
/// # Errors
/// If the new file cannot be written or renamed. The old file then stays as it is.
pub fn replace_file(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".tmp{}", std::process::id()));
    let temporary = PathBuf::from(name);
    // Left over by a process that had the same number and was killed.
    let _ = fs::remove_file(&temporary);
    let open = OpenOptions::new().write(true).create_new(true).mode(mode).open(&temporary);
    let replaced = open.and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&temporary, path)
    });
    if replaced.is_err() {
        // The error that is returned says more than that of the removal.
        let _ = fs::remove_file(&temporary);
    }
    replaced
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::replace_file;
    use std::{fs, os::unix::fs::PermissionsExt as _};

    #[test]
    fn a_file_is_replaced_with_its_mode_and_a_failure_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tokens.toml");
        replace_file(&path, b"one", 0o600).unwrap();
        replace_file(&path, b"two", 0o600).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let occupied = dir.path().join("directory");
        fs::create_dir_all(occupied.join("below")).unwrap();
        replace_file(&occupied, b"three", 0o600).unwrap_err();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2, "nothing is left over");
    }
}
