//! What the leader's threads and its callers share.
//!
//! Locks are taken in this order, and none is held while another process is awaited:
//!
//! 1. `core`: held over appends. Only threads take it, never a task on the runtime.
//! 2. The replication's writing lock: held over disk work, and taken by threads only.
//! 3. `Stage`'s lock, or the replication's state: in memory only.
//! 4. `receipts`, `trouble`, `files_gone`, and the locks inside `queue`, `commits`, `cross_region` and `affiliation`, or `ledger` and then
//!    `rehoming`: in memory only, and only the rows' locks are taken under them.
//!
//! Readers take none of them for what is applied: they load `published`.

use crate::{
    affiliation::AffiliationState,
    anti_entropy::{AntiEntropyState, Task},
    commit_waiters::CommitWaiters,
    config::Config,
    cross_region::CrossRegion,
    modules::Modules,
    queue::Queue,
    replication::{Replication, RowFreshness, Writers},
    rollout::Edges,
};
use arc_swap::ArcSwap;
use littoral_leader_core::{
    Ledger, Limits, Published, Receipts, RehomingPoints, Sequencer, published, receipts::bytes_hash,
};
use littoral_log::{Identity, Log, storage::Storage};
use littoral_model::{
    catalogue::Catalogue,
    ports::ModuleRuntime,
    position::{Epoch, Incarnation, Lsn, Position},
    token::Watermark,
    write::{WriteConcern, WriteError, WriteReceipt},
};
use littoral_replica::Table;
use parking_lot::Mutex;
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};
use tokio::sync::{oneshot, watch};

/// Milliseconds since 1970, from wherever the leader takes its time.
pub(crate) type Clock = Arc<dyn Fn() -> u64 + Send + Sync>;

/// A job for the leader's threads.
#[derive(Debug)]
pub(crate) enum Job {
    /// Appends records to the log.
    Append(littoral_leader_core::LogCommand),
    /// Appends nothing: the apply thread carries it out between two batches.
    Task(Task),
}

/// Where a job's answer is sent.
pub(crate) type Reply = oneshot::Sender<Result<WriteReceipt, WriteError>>;

#[derive(Debug)]
pub(crate) struct Submission {
    pub(crate) job: Job,
    pub(crate) reply: Reply,
}

pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) identity: Identity,
    pub(crate) log: Arc<dyn Log>,
    /// Gives writes their place in the log. Locked for an append.
    pub(crate) core: Mutex<Sequencer>,
    /// Makes this node's log the log of the region.
    pub(crate) replication: Arc<dyn Replication>,
    /// Which nodes can append to the log.
    pub(crate) writers: Writers,
    /// Durable batches that wait to be committed and applied.
    pub(crate) commits: Arc<CommitWaiters>,
    /// The last record that was acknowledged before it was applied.
    pub(crate) acknowledged: AtomicU64,
    pub(crate) storage: Arc<dyn Storage>,
    pub(crate) modules: Modules,
    pub(crate) runtime: Arc<dyn ModuleRuntime>,
    /// The runtime for tasks that a thread starts.
    pub(crate) tasks: tokio::runtime::Handle,
    pub(crate) table: Arc<Table>,
    pub(crate) published: ArcSwap<Published>,
    pub(crate) head: watch::Sender<Position>,
    pub(crate) queue: Queue<Submission>,
    pub(crate) receipts: Arc<Mutex<Receipts>>,
    pub(crate) ledger: Arc<Mutex<Ledger>>,
    pub(crate) rehoming: Arc<Mutex<RehomingPoints>>,
    pub(crate) clock: Clock,
    /// Why the last append failed, until one succeeds.
    pub(crate) trouble: Mutex<Option<String>>,
    /// Files of the log that are missing: nothing is appended until they are back.
    pub(crate) files_gone: Mutex<Option<String>>,
    /// Bytes of records appended since the start.
    pub(crate) appended_bytes: AtomicU64,
    /// Batches appended since the start.
    pub(crate) commit_count: AtomicU64,
    /// The newest durable snapshot.
    pub(crate) snapshot_lsn: AtomicU64,
    pub(crate) anti_entropy: AntiEntropyState,
    /// The subscribers that answer reads.
    pub(crate) edges: Edges,
    pub(crate) entropy: u64,
    /// When a life of the log was last begun because a subscriber had shown that the log was restored from an older copy.
    pub(crate) new_life_at: Mutex<Option<Instant>>,
    /// The cluster that the log belongs to.
    pub(crate) affiliation: AffiliationState,
    /// The other regions.
    pub(crate) cross_region: CrossRegion,
}

impl Shared {
    pub(crate) fn now_ms(&self) -> u64 {
        (self.clock)()
    }

    /// Returns the limits of one write.
    pub(crate) fn limits(&self) -> Limits {
        self.config.limits()
    }

    /// Returns how fresh the published rows are.
    pub(crate) fn freshness(&self, published: &Published) -> RowFreshness {
        self.replication.freshness(published.position.lsn)
    }

    /// Returns whether this node leads and no other node can have led until now.
    pub(crate) fn leads(&self) -> bool {
        self.freshness(&self.published.load()).leads
    }

    /// Returns the last record that may have been acknowledged: the head, or later where writes are acknowledged before they are
    /// committed.
    pub(crate) fn acknowledged(&self) -> Position {
        let head = self.published.load().position;
        Position { lsn: head.lsn.max(Lsn(self.acknowledged.load(Relaxed))), ..head }
    }

    /// Returns how long a write waits for other regions.
    pub(crate) fn concern_wait(&self, asked_ms: u32) -> Duration {
        let ms = if asked_ms == 0 { self.config.concern_wait_ms } else { asked_ms };
        Duration::from_millis(u64::from(ms.min(self.config.concern_wait_ms_max)))
    }

    /// Rejects a concern that can never be reached here.
    pub(crate) fn check_concern(&self, wanted: WriteConcern) -> Result<(), WriteError> {
        let known = self.cross_region.len();
        match wanted {
            WriteConcern::Regions(count) if usize::from(count) > known => Err(WriteError::Invalid(format!(
                "{wanted} was requested, and this leader knows {known} other regions; name them as [[regions]] in its configuration"
            ))),
            // One node that keeps its log alone is a majority.
            WriteConcern::Quorum | WriteConcern::Local | WriteConcern::Regions(_) => Ok(()),
        }
    }

    /// Returns the position of every region's log that is here, including records of other regions that changed nothing.
    pub(crate) fn watermark(&self) -> Watermark {
        let published = self.published.load();
        let mut watermark = published.portable_watermark.clone();
        self.cross_region.add_to(&mut watermark, &published.lives);
        watermark
    }

    /// Returns the epoch of this log's last record.
    pub(crate) fn epoch(&self) -> Epoch {
        self.log.bounds().epoch
    }

    /// Has the sandbox prepare the modules that `catalogue` names, in the background.
    pub(crate) fn make_modules_ready(&self, catalogue: &Catalogue) {
        for module in catalogue.modules() {
            let (digest, name) = (module.digest, module.name.clone());
            if self.runtime.is_ready(digest) {
                continue;
            }
            let (modules, sandbox) = (self.modules.clone(), self.runtime.clone());
            self.tasks.spawn(async move {
                if let Err(error) = modules.make_ready(&*sandbox, digest).await {
                    tracing::error!(module = name, %digest, error, "a module cannot be called here; upload it again");
                }
            });
        }
    }

    pub(crate) fn receipt(&self, first: Lsn, last: Lsn, duplicate: bool) -> WriteReceipt {
        let Identity { region, incarnation } = self.identity;
        let published = self.published.load();
        let position = published.lives.get(region).map(|lives| lives.position(last));
        published::receipt(region, first, position.unwrap_or(Position { incarnation, lsn: last }), duplicate)
    }

    /// Draws the name of a new life of the log.
    pub(crate) fn draw_life(&self) -> Incarnation {
        draw_life(&*self.log, self.entropy, self.now_ms())
    }
}

/// Draws the name of a new life of a log. It depends on the time and on the log's end too: a host that was restored to an earlier
/// state repeats its random numbers.
pub(crate) fn draw_life(log: &dyn Log, entropy: u64, now_ms: u64) -> Incarnation {
    let bounds = log.bounds();
    let mut unlike = littoral_runtime::clock::wall().0.to_le_bytes().to_vec();
    unlike.extend_from_slice(&now_ms.to_le_bytes());
    unlike.extend_from_slice(&bounds.tail.0.to_le_bytes());
    unlike.extend_from_slice(&bounds.chain.0.to_le_bytes());
    Incarnation(bytes_hash(&unlike) ^ fastrand::u64(..) ^ entropy)
}
