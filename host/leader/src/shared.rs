//! What the leader's threads and callers share.

use crate::{
    config::Config,
    modules::Modules,
    proof::{Proof, Task},
    queue::Queue,
    receipts::Receipts,
};
use arc_swap::ArcSwap;
use littoral_log::{Identity, Log, storage::Storage};
use littoral_model::{
    catalogue::{Catalogue, CatalogueChange},
    hlc::Hlc,
    ports::ModuleRuntime,
    position::{Epoch, Lsn, Position},
    record::ChainHash,
    token::Watermark,
    write::{WriteConcern, WriteError, WriteReceipt, WriteRequest},
};
use littoral_replica::Table;
use parking_lot::Mutex;
use std::sync::{Arc, atomic::AtomicU64};
use tokio::sync::{oneshot, watch};

/// Milliseconds since 1970, from wherever the leader takes its time.
pub(crate) type Clock = Arc<dyn Fn() -> u64 + Send + Sync>;

/// What is durable and applied, all as of one record.
#[derive(Debug)]
pub(crate) struct Published {
    pub(crate) position: Position,
    pub(crate) chain: ChainHash,
    pub(crate) hlc: Hlc,
    pub(crate) catalogue: Arc<Catalogue>,
    pub(crate) watermark: Watermark,
}

/// What is asked of the commit thread.
#[derive(Debug)]
pub(crate) enum Work {
    /// A write that was checked against the catalogue of this generation.
    Write { request: WriteRequest, content: u64, generation: u64 },
    /// A change that the commit thread is to prepare.
    Change(CatalogueChange),
    /// Tombstones of older writes are to be collected, by everybody at one record.
    Collect(Hlc),
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
    pub(crate) receipts: Mutex<Receipts>,
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

    pub(crate) fn receipt(&self, first: Lsn, last: Lsn, duplicate: bool) -> WriteReceipt {
        let Identity { region, incarnation } = self.identity;
        WriteReceipt {
            first,
            position: Position { incarnation, lsn: last },
            token: Watermark::at(region, incarnation, last),
            concern: WriteConcern::Local,
            duplicate,
        }
    }
}
