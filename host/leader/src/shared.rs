//! What the leader's threads and callers share.

use crate::{
    config::Config,
    modules::Modules,
    proof::{Proof, Task},
    queue::Queue,
};
use arc_swap::ArcSwap;
use littoral_leader_core::{Limits, Published, Receipts, published};
use littoral_log::{Identity, Log, storage::Storage};
use littoral_model::{
    ports::ModuleRuntime,
    position::{Epoch, Lsn, Position},
    write::{WriteError, WriteReceipt},
};
use littoral_replica::Table;
use parking_lot::Mutex;
use std::sync::{Arc, atomic::AtomicU64};
use tokio::sync::{oneshot, watch};

/// Milliseconds since 1970, from wherever the leader takes its time.
pub(crate) type Clock = Arc<dyn Fn() -> u64 + Send + Sync>;

/// What is asked of the commit thread.
#[derive(Debug)]
pub(crate) enum Work {
    /// For the log.
    Log(littoral_leader_core::Work),
    /// Not for the log: the apply thread is to do it in its turn, between two batches.
    Prove(Task),
}

/// Where an answer goes.
pub(crate) type Reply = oneshot::Sender<Result<WriteReceipt, WriteError>>;

#[derive(Debug)]
pub(crate) struct Submission {
    pub(crate) work: Work,
    pub(crate) reply: Reply,
}

pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) identity: Identity,
    pub(crate) epoch: Epoch,
    pub(crate) log: Arc<dyn Log>,
    pub(crate) storage: Arc<dyn Storage>,
    pub(crate) modules: Modules,
    pub(crate) runtime: Arc<dyn ModuleRuntime>,
    pub(crate) table: Arc<Table>,
    pub(crate) published: ArcSwap<Published>,
    pub(crate) head: watch::Sender<Position>,
    pub(crate) queue: Queue<Submission>,
    pub(crate) receipts: Arc<Mutex<Receipts>>,
    pub(crate) clock: Clock,
    /// Why the last append failed, until one succeeds.
    pub(crate) trouble: Mutex<Option<String>>,
    /// Bytes of records appended since the start.
    pub(crate) appended_bytes: AtomicU64,
    /// Batches appended since the start.
    pub(crate) commits: AtomicU64,
    /// The newest durable snapshot.
    pub(crate) snapshot_lsn: AtomicU64,
    pub(crate) proof: Proof,
}

impl Shared {
    pub(crate) fn now_ms(&self) -> u64 {
        (self.clock)()
    }

    /// What one write may be.
    pub(crate) fn limits(&self) -> Limits {
        self.config.limits()
    }

    pub(crate) fn receipt(&self, first: Lsn, last: Lsn, duplicate: bool) -> WriteReceipt {
        published::receipt(self.identity, first, last, duplicate)
    }
}
