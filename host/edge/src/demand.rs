//! Whether the replica is as fresh as a read demands.

use crate::{progress::Waiter, replica::Point, shared::Shared};
use littoral_model::{
    freshness::{Consistency, ReadDemand},
    read::ReadError,
    token::Watermark,
};
use std::time::Duration;

/// A demand that is not met.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Unmet {
    /// Only the leader may answer.
    Leader,
    /// The replica is too far behind.
    Stale { max: Duration, have: Option<Duration> },
    /// A write that must be seen is not here yet.
    Behind { token: Watermark, have: Watermark },
}

/// What of the demand is not met at this point and staleness.
pub(crate) fn unmet(demand: &ReadDemand, point: &Point, staleness: Option<Duration>) -> Option<Unmet> {
    if demand.is_none() {
        return None;
    }
    if demand.consistency == Consistency::Leader {
        return Some(Unmet::Leader);
    }
    if let Some(token) = &demand.at_least
        && !point.watermark.covers(token)
    {
        return Some(Unmet::Behind { token: token.clone(), have: point.watermark.clone() });
    }
    match demand.max_staleness {
        Some(max) if staleness.is_none_or(|have| have > max) => Some(Unmet::Stale { max, have: staleness }),
        _ => None,
    }
}

impl Unmet {
    pub(crate) fn error(&self) -> ReadError {
        match self {
            Self::Leader => ReadError::LeaderUnavailable("the read demands the leader".to_owned()),
            Self::Stale { max, have } => ReadError::NotFreshEnough {
                wanted: format!("at most {} ms behind was demanded", max.as_millis()),
                have: match have {
                    Some(have) => format!("this edge is up to {} ms behind", have.as_millis()),
                    None => "this edge has not heard its leader since it started".to_owned(),
                },
            },
            Self::Behind { token, have } => ReadError::NotFreshEnough {
                wanted: format!("at least '{token}' was demanded"),
                have: format!("this edge has applied '{have}'"),
            },
        }
    }

    /// A place to wait at until another look is worth it; `None` when waiting cannot help or too many wait.
    pub(crate) fn place<'a>(&self, shared: &'a Shared) -> Result<Option<Waiter<'a>>, ReadError> {
        let max = shared.config.waiting_reads_max;
        let place = match self {
            Self::Leader => return Ok(None),
            Self::Stale { max: staleness_max, .. } => {
                let target = shared.now().saturating_sub(*staleness_max);
                shared.fresh.wait_for(target.as_nanos() as u64, max)
            }
            // Until the first of the regions that are behind gets on; then there is another look.
            Self::Behind { token, have } => {
                let behind = token.iter().find(|(region, incarnation, lsn)| {
                    have.get(*region).is_none_or(|(here, at)| here != *incarnation || at < *lsn)
                });
                // A position in another log is only reached by following that log: its snapshot wakes everyone.
                let lsn = behind
                    .filter(|(region, incarnation, _)| have.get(*region).is_some_and(|(here, _)| here == *incarnation))
                    .map_or(u64::MAX, |(_, _, lsn)| lsn.0);
                shared.applied.wait_for(lsn, max)
            }
        };
        match place {
            Some(place) => Ok(Some(place)),
            None => Err(ReadError::Overloaded(format!("{max} reads already wait for freshness"))),
        }
    }
}
