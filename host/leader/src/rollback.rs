//! Recovers from a log that was restored from an older copy: starts another life of the log, and requests the lost records from other
//! regions. See `host/decisions/0013-lives-of-a-log.md`.

use crate::{
    replication::Writers,
    shared::{Job, Shared, Submission},
};
use littoral_leader_core::LogCommand;
use littoral_model::{region::Region, write::WriteError};
use std::time::{Duration, Instant};
use tokio::{sync::oneshot, time::timeout};

/// The shortest time between two lives.
const BEGIN_EVERY: Duration = Duration::from_secs(1);

/// How long a request for another region's records may take to become durable.
const ASKED_WITHIN: Duration = Duration::from_secs(10);

/// Starts another life of the log, because a subscriber has shown a record that this log must have and lacks. Does nothing where other
/// nodes keep the log: one of them leads then.
pub(crate) fn begin_new_life(shared: &Shared) {
    if shared.writers != Writers::ThisNode {
        return;
    }
    {
        let mut begun_at = shared.new_life_at.lock();
        if begun_at.is_some_and(|at| at.elapsed() < BEGIN_EVERY) {
            return;
        }
        *begun_at = Some(Instant::now());
    }
    let life = shared.draw_life();
    tracing::error!(
        head = %shared.published.load().position,
        %life,
        "a subscriber has records of this log that the log lacks: it was restored from an older copy while this process ran, and \
         continues as another life"
    );
    metrics::counter!("littoral_leader_put_back_total").increment(1);
    // The subscriber connects again, and shows the record again when this could not be written.
    let (reply, _) = oneshot::channel();
    let _ = shared.queue.push(Submission { job: Job::Append(LogCommand::Begin { life, rolled_back: true }), reply }, 0);
}

/// Requests everything that another region holds, because it has records that this log has lost. Durably marks nothing as replicated
/// from that region, so that its whole snapshot is replicated, with those records, also after a crash.
pub(crate) async fn ask_for_all(shared: &Shared, region: Region) -> Result<(), WriteError> {
    let Some(link) = shared.cross_region.link(region) else { return Ok(()) };
    tracing::warn!(%region, "this region's log was restored from an older copy; replicating its lost records from another region");
    let late = |_| {
        Err(WriteError::NotDurable(format!("the records that region '{region}' holds could not be requested in time")))
    };
    let stopping = |_| Err(WriteError::NotLeader("it is shutting down".to_owned()));
    timeout(ASKED_WITHIN, link.ask_for_all()).await.map_or_else(late, |answer| answer.unwrap_or_else(stopping))
}
