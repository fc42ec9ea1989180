//! Where the text of the key ring comes from: a file, or a variable of the environment.

use crate::{
    Config,
    key_ring::{InvalidKeyRing, KeyRing},
};
use std::{
    env,
    fs::{File, Metadata},
    io::{self, Read as _},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};
use zeroize::Zeroizing;

/// The largest file, in bytes.
const FILE_LEN_MAX: u64 = 64 << 10;
/// The permissions that the file of a key ring must not have: writing by its group, and anything by others. The group
/// may read: that is how Kubernetes and systemd give a service its secrets.
const FORBIDDEN: u32 = 0o027;

/// Why a key ring cannot be loaded. Contains no key.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file cannot be read.
    #[error("key_ring = {path}: it cannot be read: {source}; correct the path or the permissions")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is not one that keys may come from.
    #[error("key_ring = {path}: {reason}")]
    Unsafe {
        /// The file.
        path: PathBuf,
        /// What is wrong, and what to do.
        reason: String,
    },
    /// The variable is not set, or not text.
    #[error("key_ring_env = {name}: the environment variable {reason}; set it to entries ID:KEY")]
    Variable {
        /// The variable.
        name: String,
        /// What is wrong.
        reason: &'static str,
    },
    /// The text is invalid.
    #[error("{place}: {source}")]
    Invalid {
        /// The key of the configuration, and its value.
        place: String,
        /// What is wrong, and what to do.
        source: InvalidKeyRing,
    },
}

/// Loads the key ring; `None` if the configuration names none. Blocks for the disk.
pub(crate) fn load(config: &Config) -> Result<Option<KeyRing>, LoadError> {
    let (text, place) = match (&config.key_ring, &config.key_ring_env) {
        (Some(path), _) => (from_file(path)?, format!("key_ring = {}", path.display())),
        (None, Some(name)) => (from_variable(name)?, format!("key_ring_env = {name}")),
        (None, None) => return Ok(None),
    };
    KeyRing::parse(&text).map(Some).map_err(|source| LoadError::Invalid { place, source })
}

fn from_variable(name: &str) -> Result<Zeroizing<String>, LoadError> {
    let failed = |reason| LoadError::Variable { name: name.to_owned(), reason };
    match env::var(name) {
        Ok(text) => Ok(Zeroizing::new(text)),
        Err(env::VarError::NotPresent) => Err(failed("is not set")),
        Err(env::VarError::NotUnicode(_)) => Err(failed("is not text")),
    }
}

fn from_file(path: &Path) -> Result<Zeroizing<String>, LoadError> {
    let unreadable = |source| LoadError::Unreadable { path: path.to_owned(), source };
    let rejected = |reason: String| LoadError::Unsafe { path: path.to_owned(), reason };
    // Not opened if it is a pipe or a device, which may never end.
    let is_file = std::fs::metadata(path).map_err(unreadable)?.is_file();
    if !is_file {
        return Err(rejected("it is not a file; name the file that has the keys".to_owned()));
    }
    let file = File::open(path).map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    if let Some(reason) = unsafe_owner(&metadata, rustix::process::geteuid().as_raw()) {
        return Err(rejected(reason));
    }
    let len = metadata.len();
    if len > FILE_LEN_MAX {
        return Err(rejected(format!("it has {len} bytes, but a key ring has at most {FILE_LEN_MAX}")));
    }
    // With its final size, so that no copy stays behind. A file that grows meanwhile is cut, and fails to parse or is
    // read again as changed.
    let mut bytes = Zeroizing::new(vec![0; len as usize]);
    let mut filled = 0;
    while filled < bytes.len() {
        match (&file).read(&mut bytes[filled..]).map_err(unreadable)? {
            0 => break,
            read => filled += read,
        }
    }
    bytes.truncate(filled);
    match std::str::from_utf8(&bytes) {
        Ok(text) => Ok(Zeroizing::new(text.to_owned())),
        Err(_) => Err(rejected("it is not text; add keys with `littoral key-ring add`".to_owned())),
    }
}

/// Returns what is wrong with the owner or the permissions of a file of keys, and what to do.
fn unsafe_owner(metadata: &Metadata, own_uid: u32) -> Option<String> {
    let (owner, mode) = (metadata.uid(), metadata.mode() & 0o777);
    if owner != own_uid && owner != 0 {
        return Some(format!(
            "it belongs to another user (number {owner}), who can change it; chown it to root or to the user of this process"
        ));
    }
    (mode & FORBIDDEN != 0).then(|| {
        format!(
            "others than its owner may read or change it (mode {mode:03o}); chmod it to 600, or to 640 for its group"
        )
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::KeyId;
    use std::{fs, os::unix::fs::PermissionsExt as _};

    fn ring(id: &str) -> String {
        KeyRing::new_entry(&KeyId::parse(id).unwrap()).unwrap().to_string()
    }

    fn write(path: &Path, bytes: &[u8], mode: u32) {
        let _ = fs::remove_file(path);
        fs::write(path, bytes).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn a_file_is_read_if_only_its_owner_and_its_group_may_read_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keys");
        let config = Config { key_ring: Some(path.clone()), ..Config::default() };
        for (mode, accepted) in
            [(0o600, true), (0o400, true), (0o640, true), (0o440, true), (0o644, false), (0o660, false), (0o602, false)]
        {
            write(&path, ring("a").as_bytes(), mode);
            let loaded = load(&config);
            assert_eq!(loaded.is_ok(), accepted, "{mode:o}: {loaded:?}");
            if let Err(error) = loaded {
                assert!(error.to_string().contains("chmod it to 600"), "{error}");
            }
        }
        // Kubernetes replaces secrets behind symbolic links.
        write(&path, ring("a").as_bytes(), 0o600);
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert!(load(&Config { key_ring: Some(link), ..Config::default() }).unwrap().is_some());
    }

    #[test]
    fn an_owner_who_is_neither_root_nor_this_user_is_rejected() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::set_permissions(file.path(), fs::Permissions::from_mode(0o600)).unwrap();
        let metadata = file.as_file().metadata().unwrap();
        let owner = metadata.uid();
        assert_eq!(unsafe_owner(&metadata, owner), None);
        let other = unsafe_owner(&metadata, owner + 1);
        assert_eq!(other.is_none(), owner == 0, "{other:?}");
    }

    #[test]
    fn what_is_no_key_file_is_rejected_with_its_path() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keys");
        let failed = |path: &Path| {
            load(&Config { key_ring: Some(path.to_owned()), ..Config::default() }).unwrap_err().to_string()
        };
        assert!(failed(&path).contains("it cannot be read"), "{}", failed(&path));
        assert!(failed(dir.path()).contains("it is not a file"));
        assert!(failed(Path::new("/dev/zero")).contains("it is not a file"));
        write(&path, &vec![b'#'; FILE_LEN_MAX as usize + 1], 0o600);
        assert!(failed(&path).contains("at most 65536"), "{}", failed(&path));
        write(&path, &[0xff, 0xfe, 0x00], 0o600);
        assert!(failed(&path).contains("it is not text"));
        write(&path, b"<html>", 0o600);
        let error = failed(&path);
        assert!(error.starts_with(&format!("key_ring = {}: line 1:", path.display())), "{error}");
    }

    #[test]
    fn a_variable_that_is_not_set_is_named() {
        let config = Config { key_ring_env: Some("LITTORAL_TEST_NO_SUCH_VARIABLE".to_owned()), ..Config::default() };
        let error = load(&config).unwrap_err().to_string();
        assert!(error.contains("LITTORAL_TEST_NO_SUCH_VARIABLE") && error.contains("is not set"), "{error}");
        assert!(load(&Config::default()).unwrap().is_none());
    }
}
