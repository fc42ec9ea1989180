//! Reads at the leader: always of everything that is acknowledged.

use crate::{members, read_quorum, shared::Shared};
use littoral_leader_core::Published;
use littoral_model::{
    freshness::{Consistency, Degraded, Freshness, OnUnmet, Source},
    position::Position,
    read::{ReadAnswer, ReadError, ReadRequest},
    token::Watermark,
};
use std::time::Duration;

/// Answers at once, unless a token is demanded that is not reached, or a quorum.
pub(crate) fn now(shared: &Shared, request: &ReadRequest, answer: &mut ReadAnswer) -> bool {
    if request.demand.consistency == Consistency::Quorum || shared.standing.has_all(shared).is_err() {
        return false;
    }
    if let Some(part) = &shared.members {
        return members::read::now(shared, part, request, answer);
    }
    let published = shared.published.load();
    let met = request.demand.at_least.as_ref().is_none_or(|token| published.covers(token));
    if met {
        fill(shared, &published, request, answer, None);
    }
    met
}

/// Answers, waiting for the demanded token as far as the demand says. A leader reaches a token of its own log as soon
/// as it is given out; one that it does not reach is of another log.
pub(crate) async fn with_waiting(shared: &Shared, request: &ReadRequest) -> Result<ReadAnswer, ReadError> {
    shared.standing.has_all(shared).map_err(ReadError::NotAllHere)?;
    if let Some(part) = &shared.members {
        return members::read::with_waiting(shared, part, request).await;
    }
    let mut answer = ReadAnswer::default();
    if request.demand.consistency == Consistency::Quorum {
        return match (read_quorum::gather(shared, request).await, request.demand.on_unmet) {
            (Err(_), OnUnmet::Leader | OnUnmet::ServeStale) => {
                fill(shared, &shared.published.load(), request, &mut answer, Some(Degraded::DemandUnmet));
                Ok(answer)
            }
            (gathered, _) => gathered,
        };
    }
    if now(shared, request, &mut answer) {
        return Ok(answer);
    }
    if request.demand.on_unmet != OnUnmet::ServeStale
        && let Some(lost) = lost(shared, request)
    {
        return Err(lost);
    }
    let wait = match request.demand.on_unmet {
        OnUnmet::Wait | OnUnmet::Leader => request.demand.wait_max,
        OnUnmet::ServeStale | OnUnmet::Fail => Duration::ZERO,
    };
    let mut head = shared.head.subscribe();
    let token = request.demand.at_least.clone().unwrap_or_default();
    let reached = head.wait_for(|_| shared.published.load().covers(&token));
    if !wait.is_zero()
        && matches!(tokio::time::timeout(wait, reached).await, Ok(Ok(_)))
        && now(shared, request, &mut answer)
    {
        return Ok(answer);
    }
    let published = shared.published.load();
    if request.demand.on_unmet == OnUnmet::ServeStale {
        fill(shared, &published, request, &mut answer, Some(Degraded::DemandUnmet));
        return Ok(answer);
    }
    let wanted = request.demand.at_least.as_ref().map(Watermark::to_string).unwrap_or_default();
    Err(ReadError::NotFreshEnough {
        wanted: format!("the token '{wanted}' is demanded"),
        have: format!("the leader's log is at '{}'", published.watermark),
    })
}

/// The error for a token that is never reached: it is past where a log forked, or names what this leader's log does not have,
/// which knows all that it ever acknowledged.
fn lost(shared: &Shared, request: &ReadRequest) -> Option<ReadError> {
    let published = shared.published.load();
    let token = request.demand.at_least.as_ref()?;
    token.iter().find_map(|(region, incarnation, lsn)| {
        let part = Watermark::at(region, incarnation, lsn);
        if published.lives.has_lost(region, Position { incarnation, lsn }) {
            return Some(ReadError::lost_with_its_log(&part));
        }
        if region != shared.identity.region || published.covers(&part) {
            return unconfigured(shared, &published, &part);
        }
        let reason = format!("this leader's log is at '{}' and does not have it", published.watermark);
        Some(ReadError::TokenLost { token: part.to_string(), reason })
    })
}

/// The error for a token of which a part is of a region that is not configured here, and not reached: its records never come.
pub(crate) fn unconfigured(shared: &Shared, published: &Published, token: &Watermark) -> Option<ReadError> {
    let mut parts = token.iter().map(|(region, incarnation, lsn)| (region, Watermark::at(region, incarnation, lsn)));
    let (_, part) = parts
        .find(|(region, part)| shared.config.all_regions().all(|known| known != *region) && !published.covers(part))?;
    let known: Vec<_> = shared.config.all_regions().map(|known| format!("'{known}'")).collect();
    let reason = format!("this leader is configured for the regions {} alone", known.join(" and "));
    Some(ReadError::TokenLost { token: part.to_string(), reason })
}

fn fill(
    shared: &Shared,
    published: &Published,
    request: &ReadRequest,
    answer: &mut ReadAnswer,
    degraded: Option<Degraded>,
) {
    rows(shared, request, answer);
    // The position was taken before the rows were read: they may be newer, never older.
    answer.freshness = Freshness {
        position: published.position,
        watermark: published.told.clone(),
        staleness: Some(Duration::ZERO),
        source: Source::Leader,
        regions: Vec::new(),
        degraded,
    };
}

/// Reads the rows.
pub(crate) fn rows(shared: &Shared, request: &ReadRequest, answer: &mut ReadAnswer) {
    answer.unknown.clear();
    answer.rows.truncate(request.reads.len());
    answer.rows.iter_mut().for_each(Vec::clear);
    answer.rows.resize_with(request.reads.len(), Vec::new);
    let mut unknown = Vec::new();
    for (read, rows) in request.reads.iter().zip(&mut answer.rows) {
        // What a leader does not hold does not exist.
        shared.table.read(read.view, &read.keys, rows, &mut unknown);
        unknown.clear();
    }
}
