//! What the leader's threads and callers share.

use crate::{
    belonging::Standing,
    config::Config,
    exchange::Exchange,
    members::Part,
    modules::Modules,
    proof::{Proof, Task},
    queue::Queue,
    spread::Edges,
};
use arc_swap::ArcSwap;
use littoral_leader_core::{Committer, Ledger, Limits, Marks, Published, Receipts, published, receipts::bytes_hash};
use littoral_log::{Identity, Log, storage::Storage};
use littoral_model::{
    ports::ModuleRuntime,
    position::{Epoch, Incarnation, Lsn, Position},
    token::Watermark,
    write::{WriteConcern, WriteError, WriteReceipt},
};
use littoral_replica::Table;
use parking_lot::Mutex;
use std::{
    sync::{Arc, atomic::AtomicU64},
    time::{Duration, Instant},
};
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

/// What a write is answered with.
pub(crate) type Answer = Result<WriteReceipt, WriteError>;

/// Where an answer goes.
pub(crate) type Reply = oneshot::Sender<Answer>;

#[derive(Debug)]
pub(crate) struct Submission {
    pub(crate) work: Work,
    pub(crate) reply: Reply,
}

pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) identity: Identity,
    pub(crate) log: Arc<dyn Log>,
    /// Gives writes their place in the log. Held by whoever appends.
    pub(crate) core: Mutex<Committer>,
    /// This process's part among those that keep the log; `None` when it keeps it alone.
    pub(crate) members: Option<Arc<Part>>,
    pub(crate) storage: Arc<dyn Storage>,
    pub(crate) modules: Modules,
    pub(crate) runtime: Arc<dyn ModuleRuntime>,
    pub(crate) table: Arc<Table>,
    pub(crate) published: ArcSwap<Published>,
    pub(crate) head: watch::Sender<Position>,
    pub(crate) queue: Queue<Submission>,
    pub(crate) receipts: Arc<Mutex<Receipts>>,
    pub(crate) ledger: Arc<Mutex<Ledger>>,
    pub(crate) marks: Arc<Mutex<Marks>>,
    pub(crate) clock: Clock,
    /// Why the last append failed, until one succeeds.
    pub(crate) trouble: Mutex<Option<String>>,
    /// Files of the log that are gone: nothing is appended until they are back.
    pub(crate) files_gone: Mutex<Option<String>>,
    /// Bytes of records appended since the start.
    pub(crate) appended_bytes: AtomicU64,
    /// Batches appended since the start.
    pub(crate) commits: AtomicU64,
    /// The newest durable snapshot.
    pub(crate) snapshot_lsn: AtomicU64,
    pub(crate) proof: Proof,
    /// Those who take this log's records to answer reads from.
    pub(crate) edges: Edges,
    pub(crate) entropy: u64,
    /// When another life of the log was last begun because a subscriber has shown that the log was put back.
    pub(crate) begun_anew_at: Mutex<Option<Instant>>,
    /// Where the log belongs.
    pub(crate) standing: Standing,
    /// Other regions.
    pub(crate) exchange: Exchange,
}

impl Shared {
    pub(crate) fn now_ms(&self) -> u64 {
        (self.clock)()
    }

    /// What one write may be.
    pub(crate) fn limits(&self) -> Limits {
        self.config.limits()
    }

    /// How long a write waits for others.
    pub(crate) fn concern_wait(&self, asked_ms: u32) -> Duration {
        let ms = if asked_ms == 0 { self.config.concern_wait_ms } else { asked_ms };
        Duration::from_millis(u64::from(ms.min(self.config.concern_wait_ms_max)))
    }

    /// Refuses a concern that cannot be reached here, whatever others do.
    pub(crate) fn check_concern(&self, wanted: WriteConcern) -> Result<(), WriteError> {
        let known = self.exchange.len();
        match wanted {
            WriteConcern::Regions(count) if usize::from(count) > known => Err(WriteError::Invalid(format!(
                "{wanted} was asked for, and this leader knows {known} other regions; name them as [[regions]] in its configuration"
            ))),
            // A log that one member keeps is kept by a majority.
            WriteConcern::Quorum | WriteConcern::Local | WriteConcern::Regions(_) => Ok(()),
        }
    }

    /// How far every region's records are here: also what was taken that had nothing to write down.
    pub(crate) fn told(&self) -> Watermark {
        let published = self.published.load();
        let mut told = published.told.clone();
        self.exchange.add_to(&mut told, &published.lives);
        told
    }

    /// The epoch of who leads, as far as this log tells.
    pub(crate) fn epoch(&self) -> Epoch {
        self.log.bounds().epoch
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

/// Draws the name of a new life of a log. It depends on the time and on the log's end too: a host that was put back to an earlier
/// state repeats its random numbers.
pub(crate) fn draw_life(log: &dyn Log, entropy: u64, now_ms: u64) -> Incarnation {
    let bounds = log.bounds();
    let mut unlike = littoral_runtime::clock::wall().0.to_le_bytes().to_vec();
    unlike.extend_from_slice(&now_ms.to_le_bytes());
    unlike.extend_from_slice(&bounds.tail.0.to_le_bytes());
    unlike.extend_from_slice(&bounds.chain.0.to_le_bytes());
    Incarnation(bytes_hash(&unlike) ^ fastrand::u64(..) ^ entropy)
}
