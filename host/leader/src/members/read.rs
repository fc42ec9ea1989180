//! Reads at a member: its own rows, which a majority has, or the leader's when the demand is not met by them.

use super::Part;
use crate::{
    read::{rows, unconfigured},
    read_quorum,
    shared::Shared,
};
use littoral_feed::client::CallClient;
use littoral_leader_core::Published;
use littoral_model::{
    freshness::{Consistency, Degraded, Freshness, OnUnmet, Source},
    position::Position,
    read::{ReadAnswer, ReadError, ReadRequest},
    token::Watermark,
};
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// When a read that waits for freshness looks again for the first time, besides when something is applied; twice as long
/// after each look, up to [`LOOK_AFTER_MAX`].
const LOOK_AFTER: Duration = Duration::from_millis(10);
const LOOK_AFTER_MAX: Duration = Duration::from_millis(160);

/// What a demand wants that these rows do not give.
enum Unmet {
    Leader,
    Behind(String),
    Stale(Option<Duration>),
}

/// Answers at once, when the rows here are what is demanded.
pub(crate) fn now(shared: &Shared, part: &Part, request: &ReadRequest, answer: &mut ReadAnswer) -> bool {
    let published = shared.published.load();
    let (staleness, source) = part.freshness(&published);
    let met = unmet(&published, (staleness, source), request).is_none();
    if met {
        fill(shared, part, &published, (staleness, source), request, answer, None);
    }
    met
}

/// Answers, waiting or asking the leader as the demand says.
pub(crate) async fn with_waiting(shared: &Shared, part: &Part, request: &ReadRequest) -> Result<ReadAnswer, ReadError> {
    let deadline = Instant::now() + request.demand.wait_max;
    let mut head = shared.head.subscribe();
    let mut answer = ReadAnswer::default();
    if request.demand.consistency == Consistency::Quorum {
        let read = match part.leads_surely() {
            true => read_quorum::gather(shared, request).await,
            false => at_quorum(shared, part, request).await,
        };
        return match (read, request.demand.on_unmet) {
            (Err(_), OnUnmet::Leader | OnUnmet::ServeStale) => {
                let published = shared.published.load_full();
                let fresh = part.freshness(&published);
                fill(shared, part, &published, fresh, request, &mut answer, Some(Degraded::DemandUnmet));
                Ok(answer)
            }
            (read, _) => read,
        };
    }
    let mut look_after = LOOK_AFTER;
    loop {
        head.borrow_and_update();
        if now(shared, part, request, &mut answer) {
            return Ok(answer);
        }
        let published = shared.published.load_full();
        let fresh = part.freshness(&published);
        let Some(unmet) = unmet(&published, fresh, request) else { continue };
        if request.demand.on_unmet != OnUnmet::ServeStale
            && let Some(lost) = lost(shared, &published, request)
        {
            return Err(lost);
        }
        let asks = matches!(unmet, Unmet::Leader) || request.demand.on_unmet == OnUnmet::Leader;
        let read = if asks { at_leader(shared, part, request).await } else { Err(error(&unmet, &published)) };
        match (read, request.demand.on_unmet) {
            (Ok(read), _) => return Ok(read),
            (Err(_), OnUnmet::ServeStale) => {
                fill(shared, part, &published, fresh, request, &mut answer, Some(Degraded::DemandUnmet));
                return Ok(answer);
            }
            (Err(error), OnUnmet::Fail) => return Err(error),
            (Err(error), OnUnmet::Wait | OnUnmet::Leader) if Instant::now() >= deadline => return Err(error),
            (Err(_), OnUnmet::Wait | OnUnmet::Leader) => {
                // The time being over is a reason to look again too.
                let _ = timeout_at(deadline.min(Instant::now() + look_after), head.changed()).await;
                look_after = (look_after * 2).min(LOOK_AFTER_MAX);
            }
        }
    }
}

fn unmet(
    published: &Published,
    (staleness, source): (Option<Duration>, Source),
    request: &ReadRequest,
) -> Option<Unmet> {
    let demand = &request.demand;
    if demand.consistency == Consistency::Leader && source != Source::Leader {
        return Some(Unmet::Leader);
    }
    if let Some(token) = &demand.at_least
        && !published.covers(token)
    {
        return Some(Unmet::Behind(token.to_string()));
    }
    match demand.max_staleness {
        Some(max) if staleness.is_none_or(|staleness| staleness > max) => Some(Unmet::Stale(staleness)),
        _ => None,
    }
}

/// The error for a token that is past where a log forked, or of a region that is not configured.
fn lost(shared: &Shared, published: &Published, request: &ReadRequest) -> Option<ReadError> {
    let token = request.demand.at_least.as_ref()?;
    let mut parts = token.iter();
    let forked = parts
        .find(|&(region, incarnation, lsn)| published.lives.has_lost(region, Position { incarnation, lsn }))
        .map(|(region, incarnation, lsn)| Watermark::at(region, incarnation, lsn));
    match forked {
        Some(part) => Some(ReadError::lost_with_its_log(&part)),
        None => unconfigured(shared, published, token),
    }
}

fn error(unmet: &Unmet, published: &Published) -> ReadError {
    match unmet {
        Unmet::Leader => ReadError::LeaderUnavailable("no member of the region leads now".to_owned()),
        Unmet::Behind(token) => ReadError::NotFreshEnough {
            wanted: format!("the token '{token}' is demanded"),
            have: format!("this member is at '{}'", published.watermark),
        },
        Unmet::Stale(staleness) => ReadError::NotFreshEnough {
            wanted: "a smaller staleness is demanded".to_owned(),
            have: match staleness {
                Some(staleness) => format!("this member may be {} ms behind", staleness.as_millis()),
                None => "this member has not heard of a leader yet".to_owned(),
            },
        },
    }
}

async fn at_leader(shared: &Shared, part: &Part, request: &ReadRequest) -> Result<ReadAnswer, ReadError> {
    let asked_at = Instant::now();
    let read = leader(part)?.read(request.reads.clone(), Consistency::Leader).await?;
    read.into_answer(
        (Some(shared.identity.region), &shared.published.load().lives),
        &request.demand,
        Source::Leader,
        asked_at,
    )
}

/// The whole read at a majority of the regions' leaders, through ours.
async fn at_quorum(shared: &Shared, part: &Part, request: &ReadRequest) -> Result<ReadAnswer, ReadError> {
    let asked_at = Instant::now();
    let (read, regions) = leader(part)?.quorum(request.reads.clone(), request.demand.wait_max).await?;
    let mut answer = read.into_answer(
        (Some(shared.identity.region), &shared.published.load().lives),
        &request.demand,
        Source::Quorum,
        asked_at,
    )?;
    answer.freshness.regions = regions;
    Ok(answer)
}

fn leader(part: &Part) -> Result<CallClient, ReadError> {
    let nobody = || ReadError::LeaderUnavailable("no member of the region leads now".to_owned());
    part.leader().map(|leader| leader.calls).ok_or_else(nobody)
}

fn fill(
    shared: &Shared,
    part: &Part,
    published: &Published,
    (staleness, source): (Option<Duration>, Source),
    request: &ReadRequest,
    answer: &mut ReadAnswer,
    degraded: Option<Degraded>,
) {
    rows(shared, request, answer);
    let lost = source == Source::Replica && part.leader().is_none();
    // The position was taken before the rows were read: they may be newer, never older.
    answer.freshness = Freshness {
        position: published.position,
        watermark: published.told.clone(),
        staleness,
        source,
        degraded: degraded.or(lost.then_some(Degraded::LeaderLost)),
        ..Freshness::default()
    };
}
