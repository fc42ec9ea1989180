//! Recovers from a rollback, which is a log restored from an older copy: starts another life of the log, and requests
//! the lost records from other regions. See `host/decisions/0013-lives-of-a-log.md`.

use crate::{replication::Writers, shared::Shared, write_path::Job};
use littoral_leader_core::{LogCommand, receipts::bytes_hash};
use littoral_log::Log;
use littoral_model::{position::Incarnation, region::Region, write::WriteError};
use parking_lot::Mutex;
use std::time::{Duration, Instant};
use tokio::time::timeout;

/// The shortest time between two lives.
const LIFE_INTERVAL_MIN: Duration = Duration::from_secs(1);

/// How long a request for another region's records may take to become durable.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// Names new lives of the log, and limits how often they start.
#[derive(Debug)]
pub(crate) struct NewLives {
    entropy: u64,
    /// When a rollback last started a life.
    started_at: Mutex<Option<Instant>>,
}

impl NewLives {
    pub(crate) fn new(entropy: u64) -> Self {
        Self { entropy, started_at: Mutex::default() }
    }

    /// Generates the name of a new life of a log. It depends on the time and on the log's end too: a host that was
    /// restored to an earlier state repeats its random numbers.
    pub(crate) fn generate(&self, log: &dyn Log, now_ms: u64) -> Incarnation {
        let bounds = log.bounds();
        let mut distinct = littoral_runtime::clock::wall().0.to_le_bytes().to_vec();
        distinct.extend_from_slice(&now_ms.to_le_bytes());
        distinct.extend_from_slice(&bounds.tail.0.to_le_bytes());
        distinct.extend_from_slice(&bounds.chain.0.to_le_bytes());
        Incarnation(bytes_hash(&distinct) ^ fastrand::u64(..) ^ self.entropy)
    }

    /// Returns whether a rollback may start a life now.
    fn may_start(&self) -> bool {
        let mut started_at = self.started_at.lock();
        let may_start = started_at.is_none_or(|at| at.elapsed() >= LIFE_INTERVAL_MIN);
        if may_start {
            *started_at = Some(Instant::now());
        }
        may_start
    }
}

/// Starts another life of the log, because a subscriber has a record that this log must have had and lacks. Does
/// nothing where other nodes keep the log: one of them leads then.
pub(crate) fn begin_new_life(shared: &Shared) {
    if shared.writers != Writers::ThisNode || !shared.new_lives.may_start() {
        return;
    }
    let life = shared.generate_life();
    tracing::error!(
        head = %shared.applied.load().position,
        %life,
        "a subscriber has records of this log that the log lacks: it was restored from an older copy while this process ran, and \
         continues as another life"
    );
    metrics::counter!("littoral_leader_rollbacks_total").increment(1);
    // If the record is not appended, the subscriber connects again and sends its position again.
    let _ = shared.writes.submit(Job::Append(LogCommand::Begin { life, rolled_back: true }), 0);
}

/// Requests everything that another region holds, because it has records that this log has lost. Durably records that
/// nothing of that region counts as replicated. Its whole snapshot, which includes those records, is then replicated
/// even if this node crashes in between.
pub(crate) async fn request_snapshot(shared: &Shared, region: Region) -> Result<(), WriteError> {
    let Some(link) = shared.cross_region.link(region) else { return Ok(()) };
    // Nothing of it counts as replicated, so its whole snapshot is replicated anyway. Without this check two regions
    // that both lost records would interrupt each other's snapshots forever.
    if !shared.applied.load().known().has_any(region) {
        return Ok(());
    }
    tracing::warn!(%region, "this region's log was restored from an older copy; replicating its lost records from another region");
    let late = |_| {
        Err(WriteError::NotDurable(format!("the records that region '{region}' holds could not be requested in time")))
    };
    let stopping = |_| Err(WriteError::NotLeader("it is shutting down".to_owned()));
    timeout(REQUEST_TIMEOUT, link.request_snapshot()).await.map_or_else(late, |sent| sent.unwrap_or_else(stopping))
}
