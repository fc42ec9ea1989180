//! Damage to stored files, like that of bit rot, mistakes and incomplete backups.

use std::{fs, io, path::Path, path::PathBuf};

/// A damage to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damage {
    /// One bit is flipped, at this share of the file's length in thousandths.
    Flip(u64),
    /// The second half is missing.
    Halve,
    /// The file is missing.
    Delete,
}

impl Damage {
    /// Damages a file.
    ///
    /// # Errors
    /// When the file cannot be changed.
    pub fn inflict(self, file: &Path) -> io::Result<()> {
        match self {
            Self::Flip(thousandths) => {
                let mut bytes = fs::read(file)?;
                let at = (bytes.len() as u64 * thousandths / 1_000) as usize;
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << (thousandths % 8);
                }
                fs::write(file, bytes)
            }
            Self::Halve => {
                let len = fs::metadata(file)?.len();
                fs::File::options().write(true).open(file)?.set_len(len / 2)
            }
            Self::Delete => fs::remove_file(file),
        }
    }
}

/// Returns the files below a directory, relative to it, in a fixed order.
///
/// # Errors
/// When the directory cannot be read.
pub fn files(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let (mut files, mut dirs) = (Vec::new(), vec![PathBuf::new()]);
    while let Some(below) = dirs.pop() {
        for entry in fs::read_dir(dir.join(&below))? {
            let entry = entry?;
            let path = below.join(entry.file_name());
            if entry.file_type()?.is_dir() { dirs.push(path) } else { files.push(path) }
        }
    }
    files.sort();
    Ok(files)
}

/// Copies a directory with its contents.
///
/// # Errors
/// When it cannot be read, or the copy not be written.
pub fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for file in files(from)? {
        let copy = to.join(&file);
        if let Some(parent) = copy.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::copy(from.join(&file), copy)?;
    }
    Ok(())
}
