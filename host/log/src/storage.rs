//! The file operations that the log needs: named files in one directory. Implemented by a real disk and by one in
//! memory that fails on demand.

mod direct;
mod disk;
mod memory;

pub use disk::Disk;
pub use memory::{Faults, Memory};

use std::{fmt, io, sync::Arc};

/// A file. Reads and writes state their offset; several threads may use a file at once.
pub trait File: Send + Sync + fmt::Debug {
    /// Fills `buffer` from `offset`.
    ///
    /// # Errors
    /// A disk error; [`io::ErrorKind::UnexpectedEof`] if the file is too short.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()>;

    /// Writes all of `bytes` at `offset`. An error may leave any part of them written.
    ///
    /// # Errors
    /// A disk error.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Makes earlier writes durable: the contents, and the length if the file grew. After an error, the state of
    /// everything written since the last success is unknown, and a later success proves nothing about it.
    ///
    /// # Errors
    /// A disk error.
    fn sync(&self) -> io::Result<()>;

    /// Returns the length in bytes.
    ///
    /// # Errors
    /// A disk error.
    fn size(&self) -> io::Result<u64>;

    /// Returns whether the file still has a name. A file that was deleted while open can be written, but the data is
    /// lost.
    ///
    /// # Errors
    /// A disk error.
    fn is_linked(&self) -> io::Result<bool> {
        Ok(true)
    }

    /// Drops the file's pages from the page cache, because it will hardly be read. The file stays readable.
    fn drop_pages(&self) {}
}

/// The space that a new file begins with. It reads as zeros, and writing into it never finds the disk full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    /// None: the file grows as it is written.
    None,
    /// Preallocated. Quick to create, but the first sync of each part must journal that the space is in use.
    Reserved(u64),
    /// Written and synced. Creating it takes as long as writing that much, and later syncs are as fast as possible.
    Zeros(u64),
}

impl Room {
    /// Returns the size in bytes.
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
    /// Locks the directory against other processes for the lifetime of the storage.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] if another process holds the lock.
    fn lock(&self) -> io::Result<()>;

    /// Returns a name for messages.
    fn name(&self) -> String;

    /// Returns the names of the files, in no particular order.
    ///
    /// # Errors
    /// A disk error.
    fn list(&self) -> io::Result<Vec<String>>;

    /// Creates a file, replacing any file of that name. If the space is not available, no file remains. Durable under
    /// its name only after [`File::sync`] and [`Storage::sync`].
    ///
    /// # Errors
    /// A disk error.
    fn create(&self, name: &str, room: Room) -> io::Result<Arc<dyn File>>;

    /// Opens an existing file.
    ///
    /// # Errors
    /// A disk error.
    fn open(&self, name: &str) -> io::Result<Arc<dyn File>>;

    /// Renames a file, replacing any file of the new name. Durable after [`Storage::sync`].
    ///
    /// # Errors
    /// A disk error.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file, if it exists. A reader that has it open can continue. Durable after [`Storage::sync`].
    ///
    /// # Errors
    /// A disk error.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Makes creations, renames and removals durable.
    ///
    /// # Errors
    /// A disk error.
    fn sync(&self) -> io::Result<()>;
}

/// Replaces a small file atomically: writes a temporary file, syncs it, renames it, and syncs the directory.
///
/// # Errors
/// A disk error. Then either the old file or the new one is there, complete.
pub fn replace(storage: &dyn Storage, name: &str, bytes: &[u8]) -> io::Result<()> {
    stage(storage, name, bytes)?;
    commit(storage, name)
}

/// Performs the first half of [`replace`]: makes the new file durable next to the old one.
pub(crate) fn stage(storage: &dyn Storage, name: &str, bytes: &[u8]) -> io::Result<()> {
    let temporary = temporary(name);
    let written = (|| {
        let file = storage.create(&temporary, Room::None)?;
        file.write_at(0, bytes)?;
        file.sync()
    })();
    if written.is_err() {
        // Best effort: the next start removes it.
        let _ = storage.remove(&temporary);
    }
    written
}

/// Performs the second half of [`replace`]. If it fails, either file may be there after a loss of power.
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

/// Reads a whole file of at most `len_max` bytes.
///
/// # Errors
/// A disk error; [`io::ErrorKind::InvalidData`] for a longer file.
pub fn read(storage: &dyn Storage, name: &str, len_max: u64) -> io::Result<Vec<u8>> {
    let file = storage.open(name)?;
    let len = file.size()?;
    if len > len_max {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("the file has {len} bytes; at most {len_max} are expected"),
        ));
    }
    let mut bytes = vec![0; len as usize];
    file.read_at(0, &mut bytes)?;
    Ok(bytes)
}

/// The suffix of temporary files. The next start removes those that a crash left.
pub const TEMPORARY: &str = ".tmp";
