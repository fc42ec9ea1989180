//! Under which key stored files stand, from their headers alone.

use crate::{
    header::{FileKind, Header},
    key_ring::{FINGERPRINT_LEN, KeyId, PLAIN},
    read::start,
};
use std::{
    collections::BTreeMap,
    fs::{self, File},
    io,
    path::Path,
};

/// Under which key a file stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is not encrypted.
    Plain,
    /// It is encrypted with this key.
    Encrypted {
        /// The name of the key.
        key: KeyId,
        /// Distinguishes the key from others of the same name.
        fingerprint: [u8; FINGERPRINT_LEN],
    },
    /// Its header is damaged.
    Damaged,
}

impl Standing {
    /// Returns the standing of a file; `None` if there is no such file.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn of(path: &Path) -> io::Result<Option<Self>> {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        Ok(Some(match Header::decode(&start(&file)?) {
            Ok(None) => Self::Plain,
            Ok(Some((Header { key, fingerprint, .. }, _))) => Self::Encrypted { key, fingerprint },
            Err(_) => Self::Damaged,
        }))
    }

    /// Returns the name of the key, `plain`, or `damaged`.
    #[must_use]
    pub fn label(&self) -> &str {
        match self {
            Self::Plain => PLAIN,
            Self::Encrypted { key, .. } => key.as_str(),
            Self::Damaged => "damaged",
        }
    }
}

/// Returns the standing of each file of a directory whose name has a kind, with its name and kind. Files that disappear
/// meanwhile, and a directory that does not exist, have none.
///
/// # Errors
/// If the directory or a file cannot be read.
pub fn survey(
    directory: &Path,
    kind_of: impl Fn(&str) -> Option<FileKind>,
) -> io::Result<BTreeMap<String, (FileKind, Standing)>> {
    let mut found = BTreeMap::new();
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(found),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let entry = entry?;
        let Some((name, kind)) = entry.file_name().to_str().and_then(|name| Some((name.to_owned(), kind_of(name)?)))
        else {
            continue;
        };
        if let Some(standing) = Standing::of(&entry.path())? {
            found.insert(name, (kind, standing));
        }
    }
    Ok(found)
}
