//! Caches compiled modules on disk, so that a restarted process need not compile them again.
//!
//! A file holds `xxh3-128 of the rest | native code`. Its name contains the component's digest and what the code was
//! compiled for. Native code runs unchecked, so the directory must be ours alone, and a file that does not match its
//! checksum is compiled again. The checksum detects damage; a user who can write to the directory controls the process
//! anyway.

use littoral_model::module::ModuleDigest;
use std::{
    fs, io,
    io::{Read as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _},
    path::PathBuf,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, SystemTime},
};
use xxhash_rust::xxh3::xxh3_128;

/// Follows the file's name while the file is being written.
const UNFINISHED: &str = "unfinished-";
/// The age at which an unfinished file counts as abandoned.
const UNFINISHED_KEPT: Duration = Duration::from_secs(60 * 60);
/// How long code for other engines is kept.
const OTHERS_KEPT: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// Returns whether a file belongs to the user that this process runs as.
fn is_ours(metadata: &fs::Metadata) -> bool {
    metadata.uid() == rustix::process::geteuid().as_raw()
}

/// A directory of compiled modules.
#[derive(Clone, Debug)]
pub(crate) struct Cache {
    dir: PathBuf,
    /// What the code was compiled for: engine, processor, settings.
    compatibility: u64,
}

impl Cache {
    /// Opens the cache in `dir`, and creates the directory if needed. Removes files that are no longer needed.
    ///
    /// # Errors
    /// If the directory cannot be created, or others may write to it.
    pub(crate) fn open(dir: PathBuf, compatibility: u64) -> io::Result<Self> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&dir)?;
        let metadata = fs::metadata(&dir)?;
        if !is_ours(&metadata) {
            return Err(io::Error::new(
                io::ErrorKind::PermissionDenied,
                format!(
                    "{} belongs to another user (number {}), and native code runs from there; chown it to the user that this process runs as",
                    dir.display(),
                    metadata.uid()
                ),
            ));
        }
        let mode = metadata.permissions().mode();
        if mode & 0o022 != 0 {
            return Err(io::Error::new(
                io::ErrorKind::PermissionDenied,
                format!(
                    "{} is writable by others (mode {:o}), and native code runs from there; chmod 700 it",
                    dir.display(),
                    mode & 0o777
                ),
            ));
        }
        let cache = Self { dir, compatibility };
        cache.sweep(littoral_runtime::clock::system())?;
        Ok(cache)
    }

    /// Removes files of an interrupted process, and code for other engines that was not used for a long time. After an
    /// upgrade, the old code must not stay forever, but a process of the old version may still need it.
    fn sweep(&self, now: SystemTime) -> io::Result<()> {
        let ours = format!("-{:016x}.module", self.compatibility);
        for entry in fs::read_dir(&self.dir)?.flatten() {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            let kept =
                match (name.ends_with(&ours), name.contains(&format!(".{UNFINISHED}")), name.ends_with(".module")) {
                    (true, ..) => continue,
                    (_, true, _) => UNFINISHED_KEPT,
                    (_, _, true) => OTHERS_KEPT,
                    _ => continue,
                };
            let written = entry.metadata().and_then(|metadata| metadata.modified());
            if written.is_ok_and(|written| now.duration_since(written).is_ok_and(|age| age > kept)) {
                let _ = fs::remove_file(entry.path());
            }
        }
        Ok(())
    }

    fn path(&self, digest: ModuleDigest) -> PathBuf {
        self.dir.join(format!("{digest}-{:016x}.module", self.compatibility))
    }

    /// Returns the native code of a component, if it is cached undamaged.
    pub(crate) fn get(&self, digest: ModuleDigest) -> Option<Vec<u8>> {
        let path = self.path(digest);
        let mut file = fs::File::open(&path).ok()?;
        let mut bytes = Vec::new();
        if !is_ours(&file.metadata().ok()?) || file.read_to_end(&mut bytes).is_err() {
            tracing::warn!(file = %path.display(), "a compiled module belongs to another user or cannot be read; compiling it again");
            return None;
        }
        let whole = bytes.first_chunk::<16>().is_some_and(|sum| u128::from_le_bytes(*sum) == xxh3_128(&bytes[16..]));
        if !whole {
            tracing::warn!(file = %path.display(), "a compiled module is damaged; compiling it again");
            return None;
        }
        bytes.drain(..16);
        Some(bytes)
    }

    /// Stores native code. If that fails, the next start compiles it again.
    pub(crate) fn put(&self, digest: ModuleDigest, code: &[u8]) {
        let path = self.path(digest);
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let unfinished = path.with_extension(format!("{UNFINISHED}{}-{number}", std::process::id()));
        let kept = (|| {
            let mut file = fs::File::create(&unfinished)?;
            file.write_all(&xxh3_128(code).to_le_bytes())?;
            file.write_all(code)?;
            file.sync_all()?;
            fs::rename(&unfinished, &path)
        })();
        if let Err(error) = kept {
            tracing::warn!(file = %path.display(), %error, "cannot store a compiled module; the next start compiles it again");
            let _ = fs::remove_file(&unfinished);
        }
    }

    /// Removes a component's native code.
    pub(crate) fn remove(&self, digest: ModuleDigest) {
        let _ = fs::remove_file(self.path(digest));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damaged_code_is_never_returned() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::open(dir.path().join("modules"), 7).unwrap();
        let digest = ModuleDigest::of(b"component");
        assert_eq!(cache.get(digest), None);
        cache.put(digest, b"native code");
        assert_eq!(cache.get(digest).as_deref(), Some(&b"native code"[..]));
        let mut bytes = fs::read(cache.path(digest)).unwrap();
        bytes[20] ^= 1;
        fs::write(cache.path(digest), bytes).unwrap();
        assert_eq!(cache.get(digest), None);
    }

    #[test]
    fn unused_files_are_removed() {
        let dir = tempfile::tempdir().unwrap();
        let (new, modules) = (ModuleDigest::of(b"new"), dir.path().join("modules"));
        fs::DirBuilder::new().mode(0o700).create(&modules).unwrap();
        let (old, left) = (modules.join("old.module"), modules.join("new.unfinished-1-0"));
        fs::write(&old, b"code").unwrap();
        fs::write(&left, b"half").unwrap();
        let cache = Cache::open(modules, 7).unwrap();
        cache.put(new, b"code");
        assert!(old.exists() && left.exists(), "too young to be abandoned");
        cache.sweep(littoral_runtime::clock::system() + Duration::from_secs(2 * 60 * 60)).unwrap();
        assert!(old.exists() && !left.exists());
        cache.sweep(littoral_runtime::clock::system() + OTHERS_KEPT + Duration::from_secs(60)).unwrap();
        assert!(!old.exists() && cache.get(new).is_some());
    }

    #[test]
    fn a_directory_that_others_may_write_to_is_rejected() {
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o777)).unwrap();
        assert_eq!(Cache::open(dir.path().to_owned(), 7).unwrap_err().kind(), io::ErrorKind::PermissionDenied);
    }
}
