//! The log on this host's own disk: segment files, one writer.

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
    /// Whether this opening has made it.
    made: bool,
    state: RwLock<State>,
    /// The epoch that the log was begun with: it takes nothing older.
    begun: Epoch,
    /// The newest promise that is durable.
    promised: AtomicU64,
    /// Held by whoever promises.
    promising: Mutex<()>,
    /// Held by whoever takes segments away, before any other lock. The names of those that were trimmed and whose files are still
    /// there: they go before any other, as a log with a gap is not opened.
    trimmed: Mutex<VecDeque<String>>,
    /// Held by whoever appends, and while the state is changed after it.
    writer: Mutex<Writer>,
    prepared: Mutex<Option<Prepared>>,
    /// What was noted down last. Locked after `writer`.
    marked: Mutex<Marked>,
    /// Files that are gone, when they were last looked for.
    missing: Mutex<Option<String>>,
    /// The first record of the newest segment that the system's memory was freed of.
    let_go: Mutex<Lsn>,
    /// Files made for segments so far: each has a name of its own until it becomes one.
    files_made: AtomicU64,
}

/// What readers see. Locked shortly, never during an fsync.
#[derive(Debug)]
struct State {
    bounds: Bounds,
    history: EpochHistory,
    /// Not past the tail.
    committed: Lsn,
    /// Nothing after it counts as committed: it is being cut off.
    committed_max: Lsn,
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
    /// The log is cut, and not yet on the disk.
    unfinished: Option<Intent>,
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
        self.let_go_of_full_segments();
    }

    fn missing_files(&self) -> Option<String> {
        self.look_for_files()
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
