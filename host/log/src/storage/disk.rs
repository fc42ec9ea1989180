//! A directory on a real disk.

use super::{File, Room, Storage, direct::Direct};
use parking_lot::Mutex;
use rustix::fs::{AtFlags, StatxFlags};
use std::{
    fs, io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::Arc,
};

const LOCK: &str = "LOCK";

/// The size of a write when filling [`Room::Zeros`], each followed by a sync, in bytes.
const ZEROS_AT_ONCE: usize = 1 << 20;

/// A directory.
#[derive(Debug)]
pub struct Disk {
    path: PathBuf,
    lock: Mutex<Option<fs::File>>,
}

impl Disk {
    /// Opens the directory at `path`, creating it if needed.
    ///
    /// # Errors
    /// A disk error.
    pub fn at(path: impl Into<PathBuf>) -> io::Result<Self> {
        let path = path.into();
        fs::create_dir_all(&path)?;
        if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            // Makes the directory itself durable.
            fs::File::open(parent)?.sync_all()?;
        }
        Ok(Self { path, lock: Mutex::default() })
    }

    fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }
}

impl Storage for Disk {
    fn lock(&self) -> io::Result<()> {
        let mut lock = self.lock.lock();
        if lock.is_none() {
            let file = fs::OpenOptions::new().create(true).truncate(false).write(true).open(self.file(LOCK))?;
            // The lock belongs to the open file, so the kernel releases it however the process ends.
            file.try_lock().map_err(|error| match error {
                fs::TryLockError::WouldBlock => io::Error::from(io::ErrorKind::WouldBlock),
                fs::TryLockError::Error(error) => error,
            })?;
            *lock = Some(file);
        }
        Ok(())
    }

    fn name(&self) -> String {
        self.path.display().to_string()
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            let entry = entry?;
            if entry.file_type()?.is_file()
                && let Ok(name) = entry.file_name().into_string()
                && name != LOCK
            {
                names.push(name);
            }
        }
        Ok(names)
    }

    fn create(&self, name: &str, room: Room) -> io::Result<Arc<dyn File>> {
        let path = self.file(name);
        // Removed rather than truncated: readers that have the old file open can continue.
        self.remove(name)?;
        let file = fs::OpenOptions::new().read(true).write(true).create_new(true).open(&path)?;
        if let Err(error) = make(&file, room) {
            drop(file);
            // Best effort: the first error is returned.
            let _ = fs::remove_file(&path);
            return Err(error);
        }
        let direct = Mutex::new(Direct::into(&file, room.bytes()));
        Ok(Arc::new(DiskFile { file, direct }))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn File>> {
        let file = fs::OpenOptions::new().read(true).write(true).open(self.file(name))?;
        Ok(Arc::new(DiskFile { file, direct: Mutex::default() }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.file(from), self.file(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        match fs::remove_file(self.file(name)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }

    fn sync(&self) -> io::Result<()> {
        fs::File::open(Path::new(&self.path))?.sync_all()
    }
}

fn make(file: &fs::File, room: Room) -> io::Result<()> {
    if room == Room::None {
        return Ok(());
    }
    // Also before writing zeros: it reports a full disk at once.
    let reserved = match rustix::fs::fallocate(file, rustix::fs::FallocateFlags::empty(), 0, room.bytes()) {
        Ok(()) => true,
        // Some file systems cannot preallocate; writing zeros has the same effect.
        Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS | rustix::io::Errno::INVAL) => false,
        Err(error) => return Err(error.into()),
    };
    if reserved && matches!(room, Room::Reserved(_)) {
        return Ok(());
    }
    let zeros = vec![0; ZEROS_AT_ONCE];
    let mut at = 0;
    while at < room.bytes() {
        let part = zeros.len().min((room.bytes() - at) as usize);
        file.write_all_at(&zeros[..part], at)?;
        // Sync small pieces: a sync of another file waits for everything that was submitted to the disk before it.
        file.sync_data()?;
        at += part as u64;
    }
    file.sync_all()
}

#[derive(Debug)]
struct DiskFile {
    file: fs::File,
    /// Direct access for appends, if supported.
    direct: Mutex<Option<Direct>>,
}

impl File for DiskFile {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(buffer, offset)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut direct = self.direct.lock();
        match direct.as_mut().map(|direct| direct.append(&self.file, offset, bytes)) {
            Some(Ok(true)) => return Ok(()),
            // Some file systems report only now that they do not support direct writes.
            Some(Err(error)) if error.kind() == io::ErrorKind::InvalidInput => *direct = None,
            Some(Err(error)) => return Err(error),
            Some(Ok(false)) | None => {}
        }
        self.file.write_all_at(bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn is_linked(&self) -> io::Result<bool> {
        // Query only the link count. A query that includes the times makes the kernel (6.13 and later) record a new
        // time with the next write, and so commit the inode with every batch.
        let status = rustix::fs::statx(&self.file, "", AtFlags::EMPTY_PATH, StatxFlags::NLINK)?;
        Ok(status.stx_nlink > 0)
    }

    fn drop_pages(&self) {
        *self.direct.lock() = None;
        // Best effort: otherwise the system reclaims the memory when it needs it.
        let _ = rustix::fs::fadvise(&self.file, 0, None, rustix::fs::Advice::DontNeed);
    }
}
