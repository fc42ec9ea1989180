//! The operations of a replication on the log of its own node.
//!
//! A replication appends records of another leader, discards records that were never committed, and starts its own
//! leadership. All of that excludes the commit thread, which holds the same [`AppendLock`].

use crate::{handle::Handle, shared::Shared, write_path::Job};
use bytes::Bytes;
use littoral_leader_core::{LogCommand, Published, Sequencer, receipts::bytes_hash};
use littoral_log::{Identity, Log, storage::Storage};
use littoral_model::{
    lineage::RegionLineages,
    module::ModuleDigest,
    position::{Epoch, Lsn, Position},
    write::{WriteError, WriteReceipt},
};
use parking_lot::MutexGuard;
use std::{fmt, io, sync::Arc};
use tokio::sync::watch;

/// The log and the state of this node. Cheap to clone.
#[derive(Clone)]
pub struct LocalLog(Arc<Shared>);

impl fmt::Debug for LocalLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LocalLog").field(&self.0.config.name).finish()
    }
}

impl Handle {
    /// Returns the log and the state that this handle serves.
    #[must_use]
    pub fn local_log(&self) -> LocalLog {
        LocalLog(self.shared().clone())
    }
}

impl LocalLog {
    /// Returns the log's region and incarnation.
    #[must_use]
    pub fn identity(&self) -> Identity {
        self.0.identity
    }

    /// Returns the log.
    #[must_use]
    pub fn log(&self) -> &Arc<dyn Log> {
        &self.0.log
    }

    /// Returns the storage of the log and its snapshots.
    #[must_use]
    pub fn storage(&self) -> &Arc<dyn Storage> {
        &self.0.snapshots.storage
    }

    /// Returns what is applied.
    #[must_use]
    pub fn published(&self) -> Arc<Published> {
        self.0.applied.load_full()
    }

    /// Returns the last record that is applied, now and whenever that changes.
    #[must_use]
    pub fn head(&self) -> watch::Receiver<Position> {
        self.0.applied.head()
    }

    /// Returns whether the log accepts no more writes because it is being closed.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.0.writes.queue.is_closed()
    }

    /// Returns whether a module's component is stored here. Blocks for the disk.
    #[must_use]
    pub fn has_component(&self, digest: ModuleDigest) -> bool {
        self.0.modules.load(digest).is_ok()
    }

    /// Stores a module's component durably. Blocks for the disk.
    ///
    /// # Errors
    /// A disk error.
    pub fn store_component(&self, digest: ModuleDigest, component: &[u8]) -> io::Result<()> {
        self.0.modules.store(digest, component)
    }

    /// Excludes every other append. Blocks while one is under way, so call it on a thread that may block.
    #[must_use]
    pub fn append_lock(&self) -> AppendLock<'_> {
        AppendLock { shared: &self.0, sequencer: self.0.writes.sequencer.lock() }
    }

    /// Appends rows and deletions of a detached tail, under their old versions. `piece` is their idempotency key.
    ///
    /// # Errors
    /// Why they were rejected.
    pub async fn merge(&self, piece: String, records: Bytes) -> Result<WriteReceipt, WriteError> {
        let (content, bytes) = (bytes_hash(&records), records.len());
        self.0.writes.run(Job::Append(LogCommand::Merge { records, piece, content }), bytes).await
    }
}

/// Excludes every other append to this node's log.
pub struct AppendLock<'a> {
    shared: &'a Shared,
    sequencer: MutexGuard<'a, Sequencer>,
}

impl fmt::Debug for AppendLock<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AppendLock").field("epoch", &self.sequencer.epoch()).finish_non_exhaustive()
    }
}

impl AppendLock<'_> {
    /// Assigns `epoch` to all records appended from now on. `lineages` has the log's own lives up to its last record,
    /// applied or not.
    pub fn lead(&mut self, epoch: Epoch, lineages: RegionLineages) {
        self.sequencer.lead(epoch, self.shared.log.bounds().hlc, lineages);
    }

    /// Appends the record that begins a life of the log. Blocks for the disk.
    ///
    /// # Errors
    /// Why it is not durable.
    pub fn begin_life(&mut self) -> Result<Lsn, WriteError> {
        let log = &self.shared.log;
        let append = |batch| log.append(batch).map(drop);
        self.sequencer.begin_now(&log.bounds(), self.shared.generate_life(), self.shared.now_ms(), append)
    }

    /// Checks further writes against the applied state. Everything in the log must be applied.
    pub fn open(&mut self) {
        self.sequencer.open(self.shared.applied.load_full().known());
        self.shared.affiliation.leads(self.shared);
    }

    /// Forgets the idempotency keys of writes past `after`, whose records were discarded.
    pub fn forget_writes(&mut self, after: Lsn) {
        self.shared.writes.receipts.lock().cut(after);
    }
}
