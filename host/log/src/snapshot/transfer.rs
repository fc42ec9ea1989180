//! Copies a snapshot's file from one member of a region to another, in chunks.

use super::{Head, RECEIVED, Reader, name};
use crate::{
    error::OpenError,
    storage::{File, Room, Storage},
};
use bytes::Bytes;
use littoral_model::position::Lsn;
use std::{io, sync::Arc};

/// The temporary name of a snapshot that is being received. The next start removes it.
const INCOMING: &str = "incoming-snapshot.tmp";

/// The file is synced after this many bytes, so that the log's own fsyncs never wait for a large one.
const SYNC_EVERY: u64 = 8 << 20;

/// Returns the length in bytes of the file of the snapshot as of `lsn`.
///
/// # Errors
/// A disk error; [`io::ErrorKind::NotFound`] when there is none.
pub fn file_len(storage: &dyn Storage, lsn: Lsn) -> io::Result<u64> {
    storage.open(&name(lsn))?.size()
}

/// Reads up to `len` bytes of that file from `offset` on; fewer at its end, none past it. Checks nothing: the receiver
/// checks the whole file.
///
/// # Errors
/// A disk error; [`io::ErrorKind::NotFound`] if there is no such snapshot, for example because it was pruned.
pub fn read_chunk(storage: &dyn Storage, lsn: Lsn, offset: u64, len: usize) -> io::Result<Bytes> {
    let file = storage.open(&name(lsn))?;
    let left = file.size()?.saturating_sub(offset);
    let mut bytes = vec![0; len.min(usize::try_from(left).unwrap_or(len))];
    if !bytes.is_empty() {
        file.read_at(offset, &mut bytes)?;
    }
    Ok(Bytes::from(bytes))
}

/// Receives a snapshot's file in chunks. There may be one receiver per directory. Dropping it before the file is
/// complete removes the file.
#[derive(Debug)]
pub struct Receiver {
    storage: Arc<dyn Storage>,
    file: Arc<dyn File>,
    at: u64,
    synced: u64,
    kept: bool,
}

impl Receiver {
    /// Creates the file.
    ///
    /// # Errors
    /// A disk error.
    pub fn begin(storage: Arc<dyn Storage>) -> io::Result<Self> {
        let file = storage.create(INCOMING, Room::None)?;
        Ok(Self { storage, file, at: 0, synced: 0, kept: false })
    }

    /// Returns how many bytes were received: the offset of the next chunk.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.at
    }

    /// Writes the next chunk.
    ///
    /// # Errors
    /// A disk error. The same chunk may be written again.
    pub fn write(&mut self, chunk: &[u8]) -> io::Result<()> {
        self.file.write_at(self.at, chunk)?;
        self.at += chunk.len() as u64;
        if self.at - self.synced >= SYNC_EVERY {
            self.file.sync()?;
            self.synced = self.at;
        }
        Ok(())
    }

    /// Checks the complete file, block by block, and makes it durable, for use by [`crate::begin_after`]. Opening the
    /// log before that ignores the snapshot and deletes it.
    ///
    /// # Errors
    /// [`OpenError`] if the file is not valid; it is then deleted.
    pub fn finish(mut self) -> Result<Head, OpenError> {
        let io = |error| OpenError::io(INCOMING, error);
        self.file.sync().map_err(io)?;
        let mut reader = Reader::of(&*self.storage, INCOMING.to_owned())?;
        while reader.next_section()?.is_some() {}
        self.storage.rename(INCOMING, RECEIVED).map_err(io)?;
        self.kept = true;
        self.storage.sync().map_err(|error| OpenError::io(self.storage.name(), error))?;
        Ok(reader.head)
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        if !self.kept {
            // Best effort: the next start removes it.
            let _ = self.storage.remove(INCOMING);
        }
    }
}
