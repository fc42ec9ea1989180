//! When this region's log was put back to an older copy: another life of it begins, and what it has lost is asked for.
//! See `host/decisions/0013-lives-of-a-log.md`.

use crate::{
    replication::Writers,
    shared::{Job, Shared, Submission},
};
use littoral_leader_core::Work;
use littoral_model::{region::Region, write::WriteError};
use std::time::{Duration, Instant};
use tokio::{sync::oneshot, time::timeout};

/// How long after another life was begun the next may.
const BEGIN_EVERY: Duration = Duration::from_secs(1);

/// How long what another region has may take to be asked for.
const ASKED_WITHIN: Duration = Duration::from_secs(10);

/// A subscriber has shown what this log must have and does not: another life of it begins. Not with members, of whom another
/// leads then.
pub(crate) fn begin_anew(shared: &Shared) {
    if shared.writers != Writers::ThisNode {
        return;
    }
    {
        let mut begun_at = shared.begun_anew_at.lock();
        if begun_at.is_some_and(|at| at.elapsed() < BEGIN_EVERY) {
            return;
        }
        *begun_at = Some(Instant::now());
    }
    let life = shared.draw_life();
    tracing::error!(
        head = %shared.published.load().position,
        %life,
        "a subscriber has records of this log that it does not have: it was put back to an older copy while this process ran, and goes \
         on as another life"
    );
    metrics::counter!("littoral_leader_put_back_total").increment(1);
    // Whoever has shown it comes again, and shows it again when this could not be written.
    let (reply, _) = oneshot::channel();
    let _ = shared.queue.push(Submission { job: Job::Append(Work::Begin { life, put_back: true }), reply }, 0);
}

/// Another region's leader holds records that this log has lost. From now on nothing counts as taken from that region, durably: so
/// its whole snapshot is taken, with those records in it, also after a crash.
pub(crate) async fn ask_for_all(shared: &Shared, region: Region) -> Result<(), WriteError> {
    let Some(link) = shared.exchange.link(region) else { return Ok(()) };
    tracing::warn!(%region, "this region's log was put back to an older copy: what another region has of it is taken back");
    let late = |_| Err(WriteError::NotDurable(format!("what '{region}' has could not be asked for in time")));
    let stopping = |_| Err(WriteError::NotLeader("it is stopping".to_owned()));
    timeout(ASKED_WITHIN, link.ask_for_all()).await.map_or_else(late, |answer| answer.unwrap_or_else(stopping))
}
