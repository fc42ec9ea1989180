//! The log on a local disk: segment files, with one writer.

mod append;
mod cut;
mod missing;
pub(crate) mod open;
pub(crate) mod read;

use crate::{
    backend::{Batch, Bounds, Identity, Log, Retention},
    cache::Cache,
    detached::Detached,
    error::{AppendError, CutError, ReadError},
    intent::Intent,
    mark::{self, Marked},
    promise,
    segment::Segment,
    storage::{File, Storage},
};
use littoral_model::{
    ports::RecordBlock,
    position::{Epoch, Lsn},
    record::ChainHash,
    region::Region,
};
use littoral_protocol::members::EpochHistory;
use parking_lot::{Mutex, RwLock};
use std::{
    collections::VecDeque,
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
};

/// The settings of an embedded log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// The region.
    pub region: Region,
    /// The first epoch of a newly created log.
    pub first_epoch: Epoch,
    /// Size of a segment file in bytes, reserved when it is created. A larger batch gets a larger file.
    pub segment_bytes: u64,
    /// How many bytes of the newest records are also kept in memory.
    pub cache_bytes: usize,
    /// A random number, from which a new log's incarnation and the segments' salts are derived.
    pub entropy: u64,
}

/// The embedded log. The documentation of the crate states its contract.
#[derive(Debug)]
pub struct Embedded {
    storage: Arc<dyn Storage>,
    options: Options,
    identity: Identity,
    /// Whether this opening created the log.
    made: bool,
    state: RwLock<State>,
    /// The epoch with which the log was created. Older epochs are rejected.
    begun: Epoch,
    /// The newest promise that is durable.
    promised: AtomicU64,
    /// Held while a promise is made.
    promising: Mutex<()>,
    /// Held while segments are removed; locked before any other lock. Contains the names of trimmed segments whose
    /// files still exist. They are deleted oldest first, because a log with a gap cannot be opened.
    trimmed: Mutex<VecDeque<String>>,
    /// Held while appending, including the update of the state.
    writer: Mutex<Writer>,
    prepared: Mutex<Option<Prepared>>,
    /// The mark that was written last. Locked after `writer`.
    marked: Mutex<Marked>,
    /// The files that were missing at the last check.
    missing: Mutex<Option<String>>,
    /// The first record of the newest segment whose pages were dropped from the page cache.
    pages_dropped: Mutex<Lsn>,
    /// How many segment files were created: the number makes the temporary names unique.
    files_made: AtomicU64,
}

/// The state that readers see. Locked briefly, never during an fsync.
#[derive(Debug)]
struct State {
    bounds: Bounds,
    history: EpochHistory,
    /// Never past the tail.
    committed: Lsn,
    /// The last record that may become committed: later ones are being cut off.
    committed_max: Lsn,
    /// Ordered by first record. The last one is being written.
    segments: Vec<Segment>,
    cache: Cache,
    /// A moving average of the size of batches.
    batch_bytes: usize,
}

#[derive(Debug, Default)]
struct Writer {
    /// Whether the last segment may not be written any more: there is none, or its disk has failed.
    closed: bool,
    salts: u64,
    /// A cut that is decided but not complete on the disk.
    unfinished: Option<Intent>,
}

/// A file that will become a segment.
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

    fn is_new(&self) -> bool {
        self.made
    }

    fn bounds(&self) -> Bounds {
        self.state.read().bounds
    }

    fn append(&self, batch: Batch) -> Result<RecordBlock, AppendError> {
        self.append_batch(batch)
    }

    fn append_block(&self, block: &RecordBlock) -> Result<(), AppendError> {
        self.append_records(block)
    }

    fn cut(&self, after: Lsn) -> Result<Option<Detached>, CutError> {
        self.cut_after(after)
    }

    fn history(&self) -> EpochHistory {
        self.state.read().history.clone()
    }

    fn promised(&self) -> Epoch {
        let newest = self.state.read().history.advance().0;
        newest.max(Epoch(self.promised.load(SeqCst)))
    }

    fn promise(&self, epoch: Epoch) -> io::Result<()> {
        let _one = self.promising.lock();
        if epoch > Epoch(self.promised.load(SeqCst)) {
            promise::write(&*self.storage, epoch)?;
            self.promised.store(epoch.0, SeqCst);
        }
        Ok(())
    }

    fn committed(&self) -> Lsn {
        self.state.read().committed
    }

    fn note_committed(&self, lsn: Lsn) {
        let mut state = self.state.write();
        let known = lsn.min(state.bounds.tail).min(state.committed_max);
        state.committed = state.committed.max(known);
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
        self.drop_pages_of_full_segments();
    }

    fn missing_files(&self) -> Option<String> {
        self.check_files()
    }

    fn mark(&self) -> io::Result<()> {
        let mut marked = self.marked.lock();
        let now = {
            let state = self.state.read();
            Marked { tail: state.bounds.tail, committed: state.committed }
        };
        if now.tail > marked.tail || now.committed > marked.committed {
            mark::write(&*self.storage, self.identity.incarnation, now)?;
            *marked = now;
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
