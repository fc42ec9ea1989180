//! What the log needs of a disk: named files in one directory. A real disk, or one in memory that fails on demand.

mod direct;
mod disk;
mod memory;

pub use disk::Disk;
pub use memory::{Faults, Memory};

use std::{fmt, io, sync::Arc};

/// A file. Reads and writes name their offset; several threads may use it at once.
pub trait File: Send + Sync + fmt::Debug {
    /// Fills `buffer` from `offset`.
    ///
    /// # Errors
    /// Of the disk; [`io::ErrorKind::UnexpectedEof`] when the file ends before.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()>;

    /// Writes all of `bytes` at `offset`. An error may leave any part of them written.
    ///
    /// # Errors
    /// Of the disk.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Makes durable what was written: contents, and the length when it grew. After an error nothing is known of what
    /// was written since the last success, and trying again proves nothing.
    ///
    /// # Errors
    /// Of the disk.
    fn sync(&self) -> io::Result<()>;

    /// How long it is, in bytes.
    ///
    /// # Errors
    /// Of the disk.
    fn size(&self) -> io::Result<u64>;

    /// Whether it can still be found under a name: one that was removed while it is open can be written, and is lost.
    ///
    /// # Errors
    /// Of the disk.
    fn is_linked(&self) -> io::Result<bool> {
        Ok(true)
    }

    /// Says that it will hardly be read, so that the system need not keep it in memory. It stays readable.
    fn let_go(&self) {}
}

/// Bytes that a new file begins with. They read as zeros, and writing into them meets no full disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    /// None: the file grows as it is written.
    None,
    /// Set aside. Quick to make; but each sync of a part that is written for the first time has to journal that it is in use.
    Reserved(u64),
    /// Written and synced. Takes as long as writing that much; syncs of what is written later are at their fastest.
    Zeros(u64),
}

impl Room {
    /// How many bytes.
    #[must_use]
    pub fn bytes(self) -> u64 {
        match self {
            Self::None => 0,
            Self::Reserved(bytes) | Self::Zeros(bytes) => bytes,
        }
    }
}

/// A directory of files.
pub trait Storage: Send + Sync + fmt::Debug + 'static {
    /// Keeps others out, for as long as the storage lives.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] when another has it.
    fn lock(&self) -> io::Result<()>;

    /// What it is called, for messages.
    fn name(&self) -> String;

    /// The names of the files, in no order.
    ///
    /// # Errors
    /// Of the disk.
    fn list(&self) -> io::Result<Vec<String>>;

    /// Makes a file anew, in place of any of this name. Room that cannot be had leaves no file behind. Durable under its
    /// name only after [`File::sync`] and [`Storage::sync`].
    ///
    /// # Errors
    /// Of the disk.
    fn create(&self, name: &str, room: Room) -> io::Result<Arc<dyn File>>;

    /// Opens a file that is there.
    ///
    /// # Errors
    /// Of the disk.
    fn open(&self, name: &str) -> io::Result<Arc<dyn File>>;

    /// Renames, replacing any file of the new name. Durable after [`Storage::sync`].
    ///
    /// # Errors
    /// Of the disk.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes; one that is not there is no error. Whoever has it open can go on reading. Durable after [`Storage::sync`].
    ///
    /// # Errors
    /// Of the disk.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Makes durable which files there are.
    ///
    /// # Errors
    /// Of the disk.
    fn sync(&self) -> io::Result<()>;
}

/// Writes a small file whole: beside it, synced, renamed over it, and the directory synced.
///
/// # Errors
/// Of the disk. The old file, if there is one, is then still there and whole, or the new one is.
pub fn replace(storage: &dyn Storage, name: &str, bytes: &[u8]) -> io::Result<()> {
    stage(storage, name, bytes)?;
    commit(storage, name)
}

/// The first half of [`replace`]: the new file is durable beside the old one.
pub(crate) fn stage(storage: &dyn Storage, name: &str, bytes: &[u8]) -> io::Result<()> {
    let temporary = temporary(name);
    let written = (|| {
        let file = storage.create(&temporary, Room::None)?;
        file.write_at(0, bytes)?;
        file.sync()
    })();
    if written.is_err() {
        // Best effort: it is swept at the next start.
        let _ = storage.remove(&temporary);
    }
    written
}

/// The second half of [`replace`]. When it fails, nobody knows which of the two is there after a loss of power.
pub(crate) fn commit(storage: &dyn Storage, name: &str) -> io::Result<()> {
    let temporary = temporary(name);
    if let Err(error) = storage.rename(&temporary, name) {
        // Best effort, as above.
        let _ = storage.remove(&temporary);
        return Err(error);
    }
    storage.sync()
}

fn temporary(name: &str) -> String {
    format!("{name}{TEMPORARY}")
}

/// Reads a file whole, up to `len_max` bytes.
///
/// # Errors
/// Of the disk; [`io::ErrorKind::InvalidData`] for a longer one.
pub fn read(storage: &dyn Storage, name: &str, len_max: u64) -> io::Result<Vec<u8>> {
    let file = storage.open(name)?;
    let len = file.size()?;
    if len > len_max {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("{len} bytes, more than {len_max}")));
    }
    let mut bytes = vec![0; len as usize];
    file.read_at(0, &mut bytes)?;
    Ok(bytes)
}

/// How names of files end that are not finished; what is left of them after a crash is swept.
pub const TEMPORARY: &str = ".tmp";
