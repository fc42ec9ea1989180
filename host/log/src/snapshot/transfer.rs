//! A snapshot's file on its way from one member of a region to another, piece by piece.

use super::{Head, RECEIVED, Reader, name};
use crate::{
    error::OpenError,
    storage::{File, Room, Storage},
};
use bytes::Bytes;
use littoral_model::position::Lsn;
use std::{io, sync::Arc};

/// Where a snapshot is written while it comes. Swept at the next start.
const INCOMING: &str = "incoming-snapshot.tmp";

/// Written bytes after which the file is synced, so that a log's own fsyncs never wait behind a large one.
const SYNC_EVERY: u64 = 8 << 20;

/// How long the file of the snapshot as of `lsn` is, in bytes.
///
/// # Errors
/// Of the disk; [`io::ErrorKind::NotFound`] when there is none.
pub fn file_len(storage: &dyn Storage, lsn: Lsn) -> io::Result<u64> {
    storage.open(&name(lsn))?.size()
}

/// Up to `len` bytes of that file from `offset` on; fewer at its end, none past it. Nothing is checked: whoever
/// receives the whole does.
///
/// # Errors
/// Of the disk; [`io::ErrorKind::NotFound`] when there is none, as it was pruned since.
pub fn read_chunk(storage: &dyn Storage, lsn: Lsn, offset: u64, len: usize) -> io::Result<Bytes> {
    let file = storage.open(&name(lsn))?;
    let left = file.size()?.saturating_sub(offset);
    let mut bytes = vec![0; len.min(usize::try_from(left).unwrap_or(len))];
    if !bytes.is_empty() {
        file.read_at(offset, &mut bytes)?;
    }
    Ok(Bytes::from(bytes))
}

/// Takes a snapshot's file, chunk by chunk. One at a time in a directory. Dropped before it is whole it leaves nothing.
#[derive(Debug)]
pub struct Receiver {
    storage: Arc<dyn Storage>,
    file: Arc<dyn File>,
    at: u64,
    synced: u64,
    kept: bool,
}

impl Receiver {
    /// Begins a file.
    ///
    /// # Errors
    /// Of the disk.
    pub fn begin(storage: Arc<dyn Storage>) -> io::Result<Self> {
        let file = storage.create(INCOMING, Room::None)?;
        Ok(Self { storage, file, at: 0, synced: 0, kept: false })
    }

    /// Bytes that have come: where the next chunk begins.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.at
    }

    /// Takes the next chunk.
    ///
    /// # Errors
    /// Of the disk. The chunk may be given again.
    pub fn write(&mut self, chunk: &[u8]) -> io::Result<()> {
        self.file.write_at(self.at, chunk)?;
        self.at += chunk.len() as u64;
        if self.at - self.synced >= SYNC_EVERY {
            self.file.sync()?;
            self.synced = self.at;
        }
        Ok(())
    }

    /// All chunks have come: the whole is checked, block by block, and kept durably, for [`crate::begin_after`] to take. A log
    /// that is opened before that goes on without it, and lets go of it.
    ///
    /// # Errors
    /// [`OpenError`] for what is not whole, which is let go of.
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
            // Best effort: it is swept at the next start.
            let _ = self.storage.remove(INCOMING);
        }
    }
}
