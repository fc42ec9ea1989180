//! Answers: from the replica at once, or by waiting, filling, or asking the leader, as the demand says.

use crate::{
    fills,
    progress::Waiter,
    replica::{Point, Replica},
    shared::Shared,
};
use littoral_edge_core::{
    demand::{self, Unmet},
    read::{self as core, Joining, Unjoined},
};
use littoral_model::{
    freshness::{Consistency, Degraded, Freshness, OnUnmet, Source},
    lives::RegionLives,
    read::{Place, ReadAnswer, ReadError, ReadRequest},
    region::Region,
    row::Row,
};
use std::{sync::Arc, time::Duration};
use tokio::time::{Instant, timeout_at};

/// How often a read begins again because a snapshot has replaced the replica.
const REPLACED_MAX: usize = 3;

/// See [`littoral_model::ports::FeatureReader::read_now`].
pub(crate) fn now(shared: &Shared, request: &ReadRequest, answer: &mut ReadAnswer) -> bool {
    let replica = shared.replica.load();
    let Some(replica) = &*replica else { return false };
    let point = replica.point.load();
    let staleness = shared.staleness();
    if demand::unmet(&request.demand, &point, staleness).is_some() {
        return false;
    }
    let mut missing = Vec::new();
    answer.unknown.clear();
    answer.freshness = local(shared, replica, &point, staleness, request, &mut answer.rows, &mut missing);
    missing.is_empty()
}

/// See [`littoral_model::ports::FeatureReader::read`].
pub(crate) async fn with_waiting(shared: &Arc<Shared>, request: &ReadRequest) -> Result<ReadAnswer, ReadError> {
    let came = Came { at: shared.now(), deadline: Instant::now() + request.demand.wait_max };
    for _ in 0..REPLACED_MAX {
        match of_one_replica(shared, request, came).await {
            Ok(answer) => return Ok(answer),
            Err(Unjoined::Failed(error)) => return Err(error),
            Err(Unjoined::Replaced) => {}
        }
    }
    Err(ReadError::Overloaded("snapshots kept replacing the replica while it was read".to_owned()))
}

async fn of_one_replica(shared: &Arc<Shared>, request: &ReadRequest, came: Came) -> Result<ReadAnswer, Unjoined> {
    let on_unmet = request.demand.on_unmet;
    loop {
        // Before the point: it has then everything that the leader had after the read had come.
        let has_all_since = shared.is_fresh_since(came.at);
        let Some(replica) = shared.replica.load_full() else { return Err(ReadError::NotReady.into()) };
        let point = replica.point.load_full();
        let staleness = shared.staleness();
        let configured = shared.configured.load_full();
        let Some(unmet) = demand::unmet(&request.demand, &point, staleness) else {
            return filled(shared, &replica, &point, staleness, request, None).await;
        };
        let stale = async || filled(shared, &replica, &point, staleness, request, Some(Degraded::DemandUnmet)).await;
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
                None => wait(shared, request, &unmet, &point, came).await?,
            },
        }
    }
}

/// When a read came, and how long it waits.
#[derive(Clone, Copy)]
struct Came {
    /// By the edge's clock.
    at: Duration,
    deadline: Instant,
}

/// Waits until another look is worth it.
async fn wait(
    shared: &Shared,
    request: &ReadRequest,
    unmet: &Unmet,
    point: &Point,
    came: Came,
) -> Result<(), ReadError> {
    let Some(mut place) = place(shared, unmet, point)? else { return Err(unmet.error()) };
    // What decides that a position of the log which is followed never comes.
    let max = shared.config.waiting_reads_max;
    let never = demand::never(unmet, point, &shared.configured.load());
    let mut decided = match &never {
        Some(_) => shared.fresh.wait_for(came.at.as_nanos() as u64, max),
        None => None,
    };
    if never.is_some() && shared.is_fresh_since(came.at) {
        return Ok(());
    }
    // Only now, with the place taken: what was reached in between would wake nobody.
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
            () = place.woken() => {}
            () = decided => {}
        }
    };
    timeout_at(came.deadline, woken).await.map_err(|_| unmet.error())
}

/// A place to wait at until another look is worth it; `None` when waiting cannot help.
fn place<'a>(shared: &'a Shared, unmet: &Unmet, point: &Point) -> Result<Option<Waiter<'a>>, ReadError> {
    let max = shared.config.waiting_reads_max;
    let place = match unmet {
        Unmet::Leader | Unmet::Quorum | Unmet::Lost { .. } => return Ok(None),
        Unmet::Stale { max: staleness_max, .. } => {
            let target = shared.now().saturating_sub(*staleness_max);
            shared.fresh.wait_for(target.as_nanos() as u64, max)
        }
        Unmet::Behind { .. } => {
            shared.applied.wait_for(demand::look_at(unmet, point).map_or(u64::MAX, |lsn| lsn.0), max)
        }
    };
    match place {
        Some(place) => Ok(Some(place)),
        None => Err(ReadError::TooManyWaiting(max)),
    }
}

/// Reads the replica. Position and staleness were read before, so that the rows are at least as fresh.
fn local(
    shared: &Shared,
    replica: &Replica,
    point: &Point,
    staleness: Option<Duration>,
    request: &ReadRequest,
    rows: &mut Vec<Vec<Option<Row>>>,
    missing: &mut Vec<Place>,
) -> Freshness {
    let over_budget = core::local(replica, request, rows, missing);
    let degraded = shared.apart().or(over_budget.then_some(Degraded::OverBudget));
    Freshness {
        position: point.resume.position,
        watermark: point.told.clone(),
        staleness,
        source: Source::Replica,
        regions: Vec::new(),
        degraded,
    }
}

/// Reads the replica, and what it does not hold from the leader.
async fn filled(
    shared: &Arc<Shared>,
    replica: &Replica,
    point: &Point,
    staleness: Option<Duration>,
    request: &ReadRequest,
    degraded: Option<Degraded>,
) -> Result<ReadAnswer, Unjoined> {
    let mut answer = ReadAnswer::default();
    let mut missing = Vec::new();
    answer.freshness = local(shared, replica, point, staleness, request, &mut answer.rows, &mut missing);
    if !missing.is_empty() {
        let stale_is_fine =
            degraded.is_some() || request.demand.is_none() || request.demand.on_unmet == OnUnmet::ServeStale;
        let joining = Joining::new(replica, point.resume.position, missing);
        match fill(shared, joining, request, &mut answer).await? {
            None => answer.freshness.source = Source::Leader,
            // Without a leader, what is not held cannot be told from what is not there.
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

/// Fetches what is missing. All keys are asked for before the first answer is waited for. When the leader cannot be asked for some
/// of them, they are the answer's unknown ones, and the reason is returned.
async fn fill(
    shared: &Arc<Shared>,
    mut joining: Joining,
    request: &ReadRequest,
    answer: &mut ReadAnswer,
) -> Result<Option<ReadError>, Unjoined> {
    let wait_max = Duration::from_millis(shared.config.fill_wait_ms_max);
    let deadline = Instant::now() + wait_max;
    let mut unavailable = None;
    loop {
        let places = match joining.ask() {
            Ok(places) => places,
            Err(Unjoined::Failed(error @ ReadError::LeaderUnavailable(_))) => {
                answer.unknown.extend(joining.open());
                unavailable = Some(error);
                Vec::new()
            }
            Err(error) => return Err(error),
        };
        if places.is_empty() {
            answer.unknown.sort_unstable();
            return Ok(unavailable);
        }
        let mut flights = Vec::with_capacity(places.len());
        for (read, key) in places {
            let (view, bytes) = request
                .reads
                .get(read as usize)
                .map_or_else(Default::default, |asked| (asked.view, asked.keys.get(key as usize)));
            flights.push(((read, key), fills::ask(shared, view, bytes)?));
        }
        for (place, flight) in flights {
            let outcome = match timeout_at(deadline, flight).await {
                Ok(Ok(outcome)) => outcome,
                Ok(Err(_)) => Err(ReadError::LeaderUnavailable("the call was given up".to_owned())),
                Err(_) => {
                    let why = format!("no rows came within {} ms", wait_max.as_millis());
                    Err(ReadError::LeaderUnavailable(why))
                }
            };
            match outcome {
                Ok(answered) => joining.landed(place, answered, &mut answer.rows),
                Err(error @ ReadError::LeaderUnavailable(_)) => {
                    answer.unknown.push(place);
                    unavailable.get_or_insert(error);
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// The histories of the regions' logs.
fn lives(shared: &Shared) -> Arc<RegionLives> {
    shared.replica.load().as_ref().map(|replica| replica.point.load().lives.clone()).unwrap_or_default()
}

/// The whole read at the leader.
async fn at_leader(shared: &Shared, request: &ReadRequest) -> Result<ReadAnswer, ReadError> {
    let calls = shared.link.calls().map_err(ReadError::LeaderUnavailable)?;
    let asked_at = Instant::now();
    let read = calls.read(request.reads.clone(), Consistency::Leader).await?;
    read.into_answer((region(shared), &lives(shared)), &request.demand, Source::Leader, asked_at)
}

/// The whole read at a majority of the regions' leaders, through ours.
async fn at_quorum(shared: &Shared, request: &ReadRequest) -> Result<ReadAnswer, ReadError> {
    let calls = shared.link.calls().map_err(ReadError::LeaderUnavailable)?;
    let asked_at = Instant::now();
    let (read, regions) = calls.quorum(request.reads.clone(), request.demand.wait_max).await?;
    let mut answer = read.into_answer((region(shared), &lives(shared)), &request.demand, Source::Quorum, asked_at)?;
    answer.freshness.regions = regions;
    Ok(answer)
}

/// Whose log is followed.
fn region(shared: &Shared) -> Option<Region> {
    shared.replica.load().as_ref().map(|replica| replica.point.load().region)
}
