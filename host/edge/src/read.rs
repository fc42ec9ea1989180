//! Reads: local reads at once, or reads that wait, fill, or go to the leader, as their demand requires.

use crate::{
    progress::Waiter,
    replica::{AppliedPoint, Replica},
    shared::Shared,
};
use littoral_edge_core::{
    Holding,
    demand::{self, Unmet},
    read::{self as core, FillFailure, FillingRead},
};
use littoral_model::{
    freshness::{Consistency, Degraded, Freshness, OnUnmet, Source},
    lineage::RegionLineages,
    project::quoted,
    read::{KeyIndex, ReadAnswer, ReadError, ReadRequest},
    region::Region,
    row::Row,
};
use littoral_runtime::trace::{self, Kind, Span};
use std::{
    sync::{Arc, LazyLock},
    time::Duration,
};
use tokio::time::{Instant, timeout_at};

/// The keys that the edge held. Kept, as a search by name would cost more than the count.
static HITS: LazyLock<metrics::Counter> = LazyLock::new(|| metrics::counter!("littoral_edge_hits_total"));

/// How many times a read is attempted if a snapshot replaces the replica each time.
const REPLACED_MAX: usize = 3;

/// See [`littoral_model::ports::FeatureReader::read_local`].
pub(crate) fn local(shared: &Shared, request: &ReadRequest, answer: &mut ReadAnswer) -> bool {
    let replica = shared.replica.load();
    let Some(replica) = &*replica else { return false };
    let point = replica.point.load();
    let staleness = shared.staleness();
    if demand::unmet(&request.demand, &point, staleness).is_some() {
        return false;
    }
    let mut misses = Vec::new();
    answer.unknown.clear();
    answer.freshness = held(shared, replica, &point, staleness, request, &mut answer.rows, &mut misses);
    // With misses, the read begins again, and counts then.
    if misses.is_empty() {
        count(request, 0);
    }
    misses.is_empty()
}

/// Counts hits and misses.
fn count(request: &ReadRequest, misses: usize) {
    let keys: usize = request.reads.iter().map(|read| read.keys.len()).sum();
    HITS.increment(keys.saturating_sub(misses) as u64);
    if misses > 0 {
        metrics::counter!("littoral_edge_misses_total").increment(misses as u64);
    }
}

/// See [`littoral_model::ports::FeatureReader::read`].
pub(crate) async fn with_waiting(shared: &Arc<Shared>, request: &ReadRequest) -> Result<ReadAnswer, ReadError> {
    let arrival = Arrival { at: shared.now(), deadline: Instant::now() + request.demand.wait_max };
    for _ in 0..REPLACED_MAX {
        match of_one_replica(shared, request, arrival).await {
            Ok(answer) => return Ok(answer),
            Err(FillFailure::Failed(error)) => return Err(error),
            Err(FillFailure::Replaced) => {}
        }
    }
    Err(ReadError::Overloaded("snapshots kept replacing the replica during the read; retry".to_owned()))
}

async fn of_one_replica(
    shared: &Arc<Shared>,
    request: &ReadRequest,
    arrival: Arrival,
) -> Result<ReadAnswer, FillFailure> {
    let on_unmet = request.demand.on_unmet;
    loop {
        // Read before the point, which then includes every record that the leader had when the read arrived.
        let has_all_since = shared.is_fresh_since(arrival.at);
        let Some(replica) = shared.replica.load_full() else { return Err(ReadError::NotReady.into()) };
        let point = replica.point.load_full();
        let staleness = shared.staleness();
        let configured = shared.configured.load_full();
        let Some(unmet) = demand::unmet(&request.demand, &point, staleness) else {
            return read_and_fill(shared, &replica, &point, staleness, request, None).await;
        };
        let stale =
            async || read_and_fill(shared, &replica, &point, staleness, request, Some(Degraded::DemandUnmet)).await;
        match (&unmet, on_unmet) {
            (Unmet::Leader, OnUnmet::ServeStale) => {
                return match at_leader(shared, request).await {
                    Ok(answer) => Ok(answer),
                    Err(_) => stale().await,
                };
            }
            (Unmet::Quorum, on_unmet) => {
                let unreached = match at_quorum(shared, request).await {
                    Ok(answer) => return Ok(answer),
                    Err(error) => error,
                };
                return match on_unmet {
                    OnUnmet::ServeStale => stale().await,
                    OnUnmet::Leader => {
                        let mut answer = at_leader(shared, request).await?;
                        answer.freshness.degraded = Some(Degraded::DemandUnmet);
                        Ok(answer)
                    }
                    OnUnmet::Wait | OnUnmet::Fail => Err(unreached.into()),
                };
            }
            (Unmet::Leader, _) | (Unmet::Stale { .. } | Unmet::Behind { .. }, OnUnmet::Leader) => {
                return Ok(at_leader(shared, request).await?);
            }
            (_, OnUnmet::ServeStale) => return stale().await,
            (Unmet::Lost { .. }, _) => return Err(unmet.error().into()),
            (_, OnUnmet::Fail) => return Err(unmet.error().into()),
            (_, OnUnmet::Wait) => match demand::never(&unmet, &point, &configured).filter(|_| has_all_since) {
                Some(never) => return Err(never.into()),
                None => wait(shared, request, &unmet, &point, arrival).await?,
            },
        }
    }
}

/// When a read arrived, and how long it may wait.
#[derive(Clone, Copy)]
struct Arrival {
    /// By the edge's clock.
    at: Duration,
    deadline: Instant,
}

/// Waits until the demand may be met.
async fn wait(
    shared: &Shared,
    request: &ReadRequest,
    unmet: &Unmet,
    point: &AppliedPoint,
    arrival: Arrival,
) -> Result<(), ReadError> {
    let Some(mut waiter) = waiter(shared, unmet, point)? else { return Err(unmet.error()) };
    // Decides whether a position of the followed log can never be reached.
    let max = shared.config.waiting_reads_max;
    let never = demand::never(unmet, point, &shared.configured.load());
    let mut decided = match &never {
        Some(_) => shared.fresh.wait_for(arrival.at.as_nanos() as u64, max),
        None => None,
    };
    if never.is_some() && shared.is_fresh_since(arrival.at) {
        return Ok(());
    }
    // Checked only now, with the waiter registered: progress before that would not wake it.
    let reached = shared
        .replica
        .load()
        .as_ref()
        .is_some_and(|replica| demand::unmet(&request.demand, &replica.point.load(), shared.staleness()).is_none());
    if reached {
        return Ok(());
    }
    metrics::counter!("littoral_edge_reads_waited_total").increment(1);
    let decided = async {
        match &mut decided {
            Some(decided) => decided.woken().await,
            None => std::future::pending().await,
        }
    };
    let woken = async {
        tokio::select! {
            () = waiter.woken() => {}
            () = decided => {}
        }
    };
    timeout_at(arrival.deadline, woken).await.map_err(|_| unmet.error())
}

/// Returns a waiter for the progress that may meet the demand. `None` if waiting cannot help.
fn waiter<'a>(shared: &'a Shared, unmet: &Unmet, point: &AppliedPoint) -> Result<Option<Waiter<'a>>, ReadError> {
    let max = shared.config.waiting_reads_max;
    let waiter = match unmet {
        Unmet::Leader | Unmet::Quorum | Unmet::Lost { .. } => return Ok(None),
        Unmet::Stale { max: staleness_max, .. } => {
            let target = shared.now().saturating_sub(*staleness_max);
            shared.fresh.wait_for(target.as_nanos() as u64, max)
        }
        Unmet::Behind { .. } => {
            shared.applied.wait_for(demand::look_at(unmet, point).map_or(u64::MAX, |lsn| lsn.0), max)
        }
    };
    match waiter {
        Some(waiter) => Ok(Some(waiter)),
        None => Err(ReadError::TooManyWaiting(max)),
    }
}

/// Reads the rows that the replica holds. The caller has read the position and the staleness before, so the rows are at
/// least as fresh.
fn held(
    shared: &Shared,
    replica: &Replica,
    point: &AppliedPoint,
    staleness: Option<Duration>,
    request: &ReadRequest,
    rows: &mut Vec<Vec<Option<Row>>>,
    misses: &mut Vec<KeyIndex>,
) -> Freshness {
    let over_budget = core::local(replica, request, rows, misses);
    let degraded = shared.apart().or(over_budget.then_some(Degraded::OverBudget));
    Freshness {
        position: point.resume.position,
        watermark: point.portable_watermark.clone(),
        staleness,
        source: Source::Replica,
        regions: Vec::new(),
        degraded,
    }
}

/// Reads the replica, and fills the misses from the leader.
async fn read_and_fill(
    shared: &Arc<Shared>,
    replica: &Replica,
    point: &AppliedPoint,
    staleness: Option<Duration>,
    request: &ReadRequest,
    degraded: Option<Degraded>,
) -> Result<ReadAnswer, FillFailure> {
    let mut answer = ReadAnswer::default();
    let mut misses = Vec::new();
    answer.freshness = held(shared, replica, point, staleness, request, &mut answer.rows, &mut misses);
    count(request, misses.len());
    if !misses.is_empty() {
        check_residency(replica, request)?;
        let stale_is_fine =
            degraded.is_some() || request.demand.is_none() || request.demand.on_unmet == OnUnmet::ServeStale;
        let mut span = Span::child("fill", Kind::Internal);
        span.set("littoral.keys", misses.len());
        let filling = FillingRead::new(replica, point.resume.position, misses);
        let filled = trace::within(span.context(), fill(shared, filling, request, &mut answer)).await;
        if !matches!(filled, Ok(None)) {
            span.failed("not_filled");
        }
        drop(span);
        match filled? {
            None => answer.freshness.source = Source::Leader,
            // Without a leader, a miss cannot be distinguished from a row that does not exist.
            Some(_) if stale_is_fine => {
                metrics::counter!("littoral_edge_reads_incomplete_total").increment(1);
                answer.freshness.degraded = Some(Degraded::Incomplete);
            }
            Some(error) => return Err(error.into()),
        }
    }
    if degraded.is_some() && answer.freshness.degraded != Some(Degraded::Incomplete) {
        answer.freshness.degraded = degraded;
    }
    Ok(answer)
}

/// Fills the misses of a read. Requests all of them before it waits for the first. If the leader cannot be reached for
/// some, they are unknown in the answer, and the reason is returned.
async fn fill(
    shared: &Arc<Shared>,
    mut filling: FillingRead,
    request: &ReadRequest,
    answer: &mut ReadAnswer,
) -> Result<Option<ReadError>, FillFailure> {
    let wait_max = Duration::from_millis(shared.config.fill_wait_ms_max);
    let deadline = Instant::now() + wait_max;
    let mut unavailable = None;
    loop {
        let keys = match filling.next_round() {
            Ok(keys) => keys,
            Err(FillFailure::Failed(error @ ReadError::LeaderUnavailable(_))) => {
                answer.unknown.extend(filling.misses());
                unavailable = Some(error);
                Vec::new()
            }
            Err(error) => return Err(error),
        };
        if keys.is_empty() {
            answer.unknown.sort_unstable();
            return Ok(unavailable);
        }
        let mut fills = Vec::with_capacity(keys.len());
        for (read, key) in keys {
            let (view, bytes) = request
                .reads
                .get(read as usize)
                .map_or_else(Default::default, |view_read| (view_read.view, view_read.keys.get(key as usize)));
            fills.push(((read, key), crate::fills::request(shared, view, bytes)?));
        }
        for (index, fill) in fills {
            let outcome = match timeout_at(deadline, fill).await {
                Ok(Ok(outcome)) => outcome,
                Ok(Err(_)) => Err(ReadError::LeaderUnavailable("the call was abandoned".to_owned())),
                Err(_) => {
                    let why = format!("no rows arrived within {} ms", wait_max.as_millis());
                    Err(ReadError::LeaderUnavailable(why))
                }
            };
            match outcome {
                Ok(filled) => filling.filled(index, filled, &mut answer.rows),
                Err(error @ ReadError::LeaderUnavailable(_)) => {
                    answer.unknown.push(index);
                    unavailable.get_or_insert(error);
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// Returns the lineages of the regions' logs.
fn lineages(shared: &Shared) -> Arc<RegionLineages> {
    shared.replica.load().as_ref().map(|replica| replica.point.load().lineages.clone()).unwrap_or_default()
}

/// Checks that this edge may receive the rows of a read. A publisher rejects a read of others, but this edge does not
/// rely on that.
fn check_residency(replica: &Replica, request: &ReadRequest) -> Result<(), ReadError> {
    let routes = replica.routes.load();
    let outside = |view| routes.get(&view).is_some_and(|route| route.holding == Holding::Outside);
    let Some(read) = request.reads.iter().find(|read| outside(read.view)) else { return Ok(()) };
    let point = replica.point.load();
    let (view, regions) = (point.catalogue.view_label(read.view), quoted(point.catalogue.regions_of(read.view)));
    Err(ReadError::OutsideRegions(format!(
        "rows of view {view} stay in {regions}, and this edge is elsewhere; read from a node in these regions"
    )))
}

/// Sends the whole read to the leader.
async fn at_leader(shared: &Shared, request: &ReadRequest) -> Result<ReadAnswer, ReadError> {
    shared.replica.load().as_ref().map_or(Ok(()), |replica| check_residency(replica, request))?;
    let calls = shared.link.calls().map_err(ReadError::LeaderUnavailable)?;
    let sent_at = Instant::now();
    let read = calls.read(request.reads.clone(), Consistency::Leader).await?;
    read.into_answer((region(shared), &lineages(shared)), &request.demand, Source::Leader, sent_at)
}

/// Sends the whole read to a majority of the regions' leaders, through our leader.
async fn at_quorum(shared: &Shared, request: &ReadRequest) -> Result<ReadAnswer, ReadError> {
    shared.replica.load().as_ref().map_or(Ok(()), |replica| check_residency(replica, request))?;
    let calls = shared.link.calls().map_err(ReadError::LeaderUnavailable)?;
    let sent_at = Instant::now();
    let (read, regions) = calls.quorum(request.reads.clone(), request.demand.wait_max).await?;
    let mut answer = read.into_answer((region(shared), &lineages(shared)), &request.demand, Source::Quorum, sent_at)?;
    answer.freshness.regions = regions;
    Ok(answer)
}

/// Returns the region whose log the edge follows.
fn region(shared: &Shared) -> Option<Region> {
    shared.replica.load().as_ref().map(|replica| replica.point.load().region)
}
