//! Reads of the rows that are applied here, or of the leader's when those do not meet the demand.

use crate::{read_quorum, replication, shared::Shared};
use littoral_feed::client::CallClient;
use littoral_leader_core::Published;
use littoral_model::{
    freshness::{Consistency, Degraded, Freshness, OnUnmet, Source},
    read::{ReadAnswer, ReadError, ReadRequest},
};
use littoral_protocol::demand::{self, Unmet};
use std::{sync::Arc, time::Duration};
use tokio::time::{Instant, timeout_at};

/// The first pause before an unmet demand is checked again; it is also checked whenever records are applied. The pause
/// doubles after each try, up to [`RETRY_DELAY_MAX`].
const RETRY_DELAY: Duration = Duration::from_millis(10);
const RETRY_DELAY_MAX: Duration = Duration::from_millis(160);

/// What is published, and how fresh it is.
struct View {
    published: Arc<Published>,
    freshness: replication::RowFreshness,
}

impl View {
    fn of(shared: &Shared) -> Self {
        let published = shared.applied.load_full();
        let freshness = shared.freshness(&published);
        Self { published, freshness }
    }

    /// Returns why the rows here do not meet the demand of a read; `None` if they do.
    fn unmet(&self, request: &ReadRequest) -> Option<Unmet> {
        let replication::RowFreshness { leads, staleness } = self.freshness;
        let Published { watermark, lineages, .. } = &*self.published;
        demand::unmet(&request.demand, &demand::Standing { watermark, lineages, staleness, leads })
    }

    /// Reads the rows. The position was loaded before: the rows may be newer than it, never older.
    fn fill(&self, shared: &Shared, request: &ReadRequest, answer: &mut ReadAnswer, degraded: Option<Degraded>) {
        rows(shared, request, answer);
        let replication::RowFreshness { leads, staleness } = self.freshness;
        let has_no_leader = !leads && leader(shared).is_err();
        answer.freshness = Freshness {
            position: self.published.position,
            watermark: self.published.portable_watermark.clone(),
            staleness,
            source: if leads { Source::Leader } else { Source::Replica },
            degraded: degraded.or(has_no_leader.then_some(Degraded::LeaderLost)),
            ..Freshness::default()
        };
    }
}

/// Answers from memory if the rows here meet the demand. Returns whether they do.
pub(crate) fn local(shared: &Shared, request: &ReadRequest, answer: &mut ReadAnswer) -> bool {
    if shared.affiliation.has_all(shared).is_err() {
        return false;
    }
    let view = View::of(shared);
    let is_met = view.unmet(request).is_none();
    if is_met {
        view.fill(shared, request, answer, None);
    }
    is_met
}

/// Answers a read, after waiting or by forwarding it to the leader as the demand allows.
pub(crate) async fn with_waiting(shared: &Shared, request: &ReadRequest) -> Result<ReadAnswer, ReadError> {
    shared.affiliation.has_all(shared).map_err(ReadError::NotAllHere)?;
    let on_unmet = request.demand.on_unmet;
    let deadline = Instant::now() + request.demand.wait_max;
    let mut head = shared.applied.head();
    let mut answer = ReadAnswer::default();
    if request.demand.consistency == Consistency::Quorum {
        let read = match shared.leads() {
            true => read_quorum::gather(shared, request).await,
            false => at_quorum(shared, request).await,
        };
        return match (read, on_unmet) {
            (Err(_), OnUnmet::Leader | OnUnmet::ServeStale) => {
                View::of(shared).fill(shared, request, &mut answer, Some(Degraded::DemandUnmet));
                Ok(answer)
            }
            (read, _) => read,
        };
    }
    let mut retry_delay = RETRY_DELAY;
    loop {
        head.borrow_and_update();
        let view = View::of(shared);
        let Some(unmet) = view.unmet(request) else {
            view.fill(shared, request, &mut answer, None);
            return Ok(answer);
        };
        if on_unmet != OnUnmet::ServeStale
            && let Some(lost) = lost(shared, &unmet)
        {
            return Err(lost);
        }
        let forwards = !view.freshness.leads && (unmet == Unmet::Leader || on_unmet == OnUnmet::Leader);
        let read = if forwards { at_leader(shared, request).await } else { Err(unmet.error()) };
        match (read, on_unmet) {
            (Ok(read), _) => return Ok(read),
            (Err(_), OnUnmet::ServeStale) => {
                view.fill(shared, request, &mut answer, Some(Degraded::DemandUnmet));
                return Ok(answer);
            }
            (Err(error), OnUnmet::Fail) => return Err(error),
            (Err(error), OnUnmet::Wait | OnUnmet::Leader) if Instant::now() >= deadline => return Err(error),
            (Err(_), OnUnmet::Wait | OnUnmet::Leader) => {
                // The demand is checked again when the pause ends, too.
                let _ = timeout_at(deadline.min(Instant::now() + retry_delay), head.changed()).await;
                retry_delay = (retry_delay * 2).min(RETRY_DELAY_MAX);
            }
        }
    }
}

/// Returns the error for a token that can never be reached: it names a record past a fork, or a region that is not
/// configured, or a record that was never written. The last is certain only if this log holds every acknowledged
/// record, as the log of a single writer does.
fn lost(shared: &Shared, unmet: &Unmet) -> Option<ReadError> {
    if matches!(unmet, Unmet::Lost { .. }) {
        return Some(unmet.error());
    }
    let configured: Vec<_> = shared.config.all_regions().collect();
    let knows_all = shared.writers == replication::Writers::ThisNode;
    let never_written = || unmet.never_written(shared.identity.region).filter(|_| knows_all);
    unmet.unconfigured(&configured).or_else(never_written)
}

async fn at_leader(shared: &Shared, request: &ReadRequest) -> Result<ReadAnswer, ReadError> {
    let requested_at = Instant::now();
    let read = leader(shared)?.read(request.reads.clone(), Consistency::Leader).await?;
    read.into_answer(
        (Some(shared.identity.region), &shared.applied.load().lineages),
        &request.demand,
        Source::Leader,
        requested_at,
    )
}

/// Reads from a majority of the regions' leaders, through the leader of this region.
async fn at_quorum(shared: &Shared, request: &ReadRequest) -> Result<ReadAnswer, ReadError> {
    let requested_at = Instant::now();
    let (read, regions) = leader(shared)?.quorum(request.reads.clone(), request.demand.wait_max).await?;
    let mut answer = read.into_answer(
        (Some(shared.identity.region), &shared.applied.load().lineages),
        &request.demand,
        Source::Quorum,
        requested_at,
    )?;
    answer.freshness.regions = regions;
    Ok(answer)
}

fn leader(shared: &Shared) -> Result<CallClient, ReadError> {
    let no_leader = || ReadError::LeaderUnavailable("no member of the region leads now".to_owned());
    shared.replication.role().borrow().leader().map(|leader| leader.calls.clone()).ok_or_else(no_leader)
}

/// Reads the rows from the table.
fn rows(shared: &Shared, request: &ReadRequest, answer: &mut ReadAnswer) {
    answer.unknown.clear();
    answer.rows.truncate(request.reads.len());
    answer.rows.iter_mut().for_each(Vec::clear);
    answer.rows.resize_with(request.reads.len(), Vec::new);
    let mut unknown = Vec::new();
    for (read, rows) in request.reads.iter().zip(&mut answer.rows) {
        // A row that is not stored here does not exist.
        shared.applied.table.read(read.view, &read.keys, rows, &mut unknown);
        unknown.clear();
    }
}
