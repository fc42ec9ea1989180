//! Caches compiled modules on disk, so that a restarted process need not compile them again.
//!
//! A file holds `xxh3-128 of the rest | native code`. Its name contains the component's digest and what the code was
//! compiled for. Native code runs unchecked, so the directory must be ours alone, and a file that does not match its
//! checksum is compiled again. The checksum detects damage; a user who can write to the directory controls the process
//! anyway, unless files are encrypted ([`littoral_at_rest`]): then only code that a holder of the key has stored is
//! loaded, and a plain file is compiled again.

use littoral_at_rest::{Encryption, FileId, FileKind, Standing, survey};
use littoral_model::module::ModuleDigest;
use std::{
    fs, io,
    io::Write as _,
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
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
    encryption: Encryption,
}

/// Returns which encrypted file is, or is to be, at a path.
fn file_id(path: &Path) -> FileId<'_> {
    FileId::of_path(FileKind::CompiledModule, path)
}

impl Cache {
    /// Opens the cache in `dir`, and creates the directory if needed. Removes files that are no longer needed.
    ///
    /// # Errors
    /// If the directory cannot be created, or others may write to it.
    pub(crate) fn open(dir: PathBuf, compatibility: u64, encryption: Encryption) -> io::Result<Self> {
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
        let cache = Self { dir, compatibility, encryption };
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
            let is_unfinished = name.contains(&format!(".{UNFINISHED}"));
            if is_unfinished && self.encryption.is_on() && is_plain(&entry.path()) {
                // The process that wrote it may have been killed before it had keys.
                let _ = fs::remove_file(entry.path());
                continue;
            }
            let kept = match (name.ends_with(&ours), is_unfinished, name.ends_with(".module")) {
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
        let file = fs::File::open(&path).ok()?;
        if !is_ours(&file.metadata().ok()?) {
            tracing::warn!(file = %path.display(), "a compiled module belongs to another user; compiling it again");
            return None;
        }
        let mut bytes = match self.encryption.decode(file_id(&path), file) {
            Ok(bytes) => bytes,
            Err(error) => {
                tracing::warn!(file = %path.display(), %error, "a compiled module cannot be used; compiling it again");
                return None;
            }
        };
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
        let unfinished = unfinished(&path);
        let kept = (|| {
            let mut file = self.encryption.writer(file_id(&path), fs::File::create(&unfinished)?)?;
            file.write_all(&xxh3_128(code).to_le_bytes())?;
            file.write_all(code)?;
            file.finish()?.sync_all()?;
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

    /// Writes files under earlier keys again with the first key, removes those that are plain or whose key is missing,
    /// and publishes under which keys files are. Does nothing without a key ring.
    pub(crate) fn renew(&self) {
        if !self.encryption.is_on() {
            return;
        }
        let listed = || survey(&self.dir, |name| name.ends_with(".module").then_some(FileKind::CompiledModule));
        let renewed = (|| {
            for (name, (_, standing)) in listed()? {
                if !self.encryption.is_outdated(&standing) {
                    continue;
                }
                let path = self.dir.join(name);
                // A plain file is not made authentic: anybody could have written it.
                let renewed = self.encryption.renew(file_id(&path), &path, &unfinished(&path));
                if renewed.is_err_and(|error| error.withheld().is_some()) {
                    let _ = fs::remove_file(&path);
                }
            }
            listed()
        })();
        match renewed {
            Ok(files) => self.encryption.publish(&[FileKind::CompiledModule], files.values()),
            Err(error) => tracing::warn!(dir = %self.dir.display(), %error, "the compiled modules cannot be listed"),
        }
    }
}

/// Returns a name for a file that is to be at a path once it is complete.
fn unfinished(path: &Path) -> PathBuf {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    path.with_extension(format!("{UNFINISHED}{}-{number}", std::process::id()))
}

fn is_plain(path: &Path) -> bool {
    matches!(Standing::of(path), Ok(Some(Standing::Plain)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use littoral_at_rest::{KeyId, KeyRing};

    fn encryption(ids: &[&str], known: &mut std::collections::HashMap<String, String>) -> Encryption {
        let entries = ids.iter().map(|id| {
            let new = || KeyRing::new_entry(&KeyId::parse(id).unwrap()).unwrap().to_string();
            known.entry((*id).to_owned()).or_insert_with(new).clone()
        });
        Encryption::with(KeyRing::parse(&entries.collect::<Vec<_>>().join("\n")).unwrap())
    }

    #[test]
    fn only_authentic_code_is_returned_once_there_is_a_key_ring() {
        let dir = tempfile::tempdir().unwrap();
        let (modules, mut known) = (dir.path().join("modules"), std::collections::HashMap::new());
        let [one, two] = [b"one", b"two"].map(|component| ModuleDigest::of(component));
        let plain = Cache::open(modules.clone(), 7, Encryption::default()).unwrap();
        plain.put(one, b"planted code");
        let left = modules.join("x.unfinished-1-0");
        fs::write(&left, b"planted code").unwrap();
        let old = Cache::open(modules.clone(), 7, encryption(&["old"], &mut known)).unwrap();
        assert!(!left.exists(), "an unfinished plain file is removed at once");
        assert_eq!(old.get(one), None, "anybody could have written it");
        old.renew();
        assert!(!old.path(one).exists());
        old.put(one, b"first code");
        old.put(two, b"second code");
        let stored = fs::read(old.path(one)).unwrap();
        assert!(!stored.windows(5).any(|window| window == b"first"));
        // One module's code in another's place.
        fs::copy(old.path(one), old.path(two)).unwrap();
        assert_eq!((old.get(one).as_deref(), old.get(two)), (Some(&b"first code"[..]), None));
        let mut changed = stored;
        *changed.last_mut().unwrap() ^= 1;
        fs::write(old.path(two), changed).unwrap();
        assert_eq!(old.get(two), None);
        fs::remove_file(old.path(two)).unwrap();
        // Rotation, first with both keys and then without the old one.
        let both = Cache::open(modules.clone(), 7, encryption(&["new", "old"], &mut known)).unwrap();
        assert!(both.get(one).is_some());
        both.renew();
        let new = Cache::open(modules.clone(), 7, encryption(&["new"], &mut known)).unwrap();
        assert_eq!(new.get(one).as_deref(), Some(&b"first code"[..]));
        assert_eq!(old.get(one), None);
        assert_eq!(plain.get(one), None, "without keys it is compiled again");
        old.renew();
        assert!(!old.path(one).exists(), "code whose key is missing is removed");
        assert_eq!(fs::read_dir(&modules).unwrap().count(), 0);
    }

    #[test]
    fn damaged_code_is_never_returned() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::open(dir.path().join("modules"), 7, Encryption::default()).unwrap();
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
        let cache = Cache::open(modules, 7, Encryption::default()).unwrap();
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
        let opened = Cache::open(dir.path().to_owned(), 7, Encryption::default());
        assert_eq!(opened.unwrap_err().kind(), io::ErrorKind::PermissionDenied);
    }
}
