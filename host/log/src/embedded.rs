//! The log on this host's own disk: segment files, one writer.

mod append;
mod open;
mod read;

use crate::{
    backend::{Batch, Bounds, Identity, Log, Retention},
    cache::Cache,
    error::{AppendError, ReadError},
    mark,
    segment::Segment,
    storage::{File, Storage},
};
use littoral_model::{
    ports::RecordBlock,
    position::{Epoch, Lsn},
    record::ChainHash,
    region::Region,
};
use parking_lot::{Mutex, RwLock};
use std::sync::{Arc, atomic::AtomicU64};

/// How an embedded log is set up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// The region whose log it is.
    pub region: Region,
    /// Where the epoch of a log that is made anew begins.
    pub first_epoch: Epoch,
    /// Bytes of a segment file, set aside when it is begun. A larger batch gets a larger file.
    pub segment_bytes: u64,
    /// Bytes of the newest records that are also kept in memory.
    pub cache_bytes: usize,
    /// A random number: what a new log's incarnation and the segments' salts are drawn from.
    pub entropy: u64,
}

/// The log. See the contract at the top of the crate.
#[derive(Debug)]
pub struct Embedded {
    storage: Arc<dyn Storage>,
    options: Options,
    identity: Identity,
    state: RwLock<State>,
    /// Held by whoever appends, and while the state is changed after it.
    writer: Mutex<Writer>,
    prepared: Mutex<Option<Prepared>>,
    /// The durable tail as it was noted down last.
    marked: Mutex<Lsn>,
    /// The first record of the newest segment that the system's memory was freed of.
    let_go: Mutex<Lsn>,
    /// Files made for segments so far: each has a name of its own until it becomes one.
    files_made: AtomicU64,
}

/// What readers see. Locked shortly, never during an fsync.
#[derive(Debug)]
struct State {
    bounds: Bounds,
    /// By their first record; the last one is written to.
    segments: Vec<Segment>,
    cache: Cache,
    /// How many bytes a batch has of late.
    batch_bytes: usize,
}

#[derive(Debug, Default)]
struct Writer {
    /// The last segment is not written to any more: there is none, or its disk has failed.
    closed: bool,
    salts: u64,
}

/// A file that is to become a segment.
#[derive(Debug)]
struct Prepared {
    name: String,
    file: Arc<dyn File>,
    capacity: u64,
}

impl Log for Embedded {
    fn identity(&self) -> Identity {
        self.identity
    }

    fn bounds(&self) -> Bounds {
        self.state.read().bounds
    }

    fn append(&self, batch: Batch) -> Result<RecordBlock, AppendError> {
        self.append_batch(batch)
    }

    fn read(&self, from: Lsn, bytes_max: usize) -> Result<RecordBlock, ReadError> {
        self.read_records(from, bytes_max)
    }

    fn read_cached(&self, from: Lsn, bytes_max: usize) -> Option<RecordBlock> {
        let entries = self.state.read().cache.from(from, bytes_max);
        (!entries.is_empty()).then(|| crate::cut::cut(&entries, from, bytes_max))
    }

    fn chain_at(&self, lsn: Lsn) -> Result<Option<ChainHash>, ReadError> {
        self.read_chain(lsn)
    }

    fn trim(&self, retention: Retention) -> Result<Lsn, ReadError> {
        self.trim_segments(retention)
    }

    fn prepare(&self) {
        self.prepare_segment();
        self.let_go_of_full_segments();
    }

    fn mark(&self) -> std::io::Result<()> {
        let mut marked = self.marked.lock();
        let tail = self.bounds().tail;
        if tail > *marked {
            mark::write(&*self.storage, self.identity, tail)?;
            *marked = tail;
        }
        Ok(())
    }

    fn spare_buffer(&self) -> Vec<u8> {
        self.state.write().cache.take_spare()
    }

    fn bytes(&self) -> u64 {
        self.state.read().segments.iter().map(|segment| segment.end).sum()
    }
}
