//! Whether the replica is as fresh as a read demands.

use crate::replica::Point;
use littoral_model::{
    freshness::{Consistency, ReadDemand},
    mutation::{Mutation, active},
    read::ReadError,
    token::Watermark,
};
use std::time::Duration;

/// A demand that is not met.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unmet {
    /// Only the leader may answer.
    Leader,
    /// The replica is too far behind.
    Stale {
        /// What was demanded.
        max: Duration,
        /// How far behind the replica is at most.
        have: Option<Duration>,
    },
    /// A write that must be seen is not here yet.
    Behind {
        /// What was demanded.
        token: Watermark,
        /// What is applied.
        have: Watermark,
    },
}

/// What of the demand is not met at this point and staleness.
#[must_use]
pub fn unmet(demand: &ReadDemand, point: &Point, staleness: Option<Duration>) -> Option<Unmet> {
    if demand.is_none() {
        return None;
    }
    if demand.consistency == Consistency::Leader {
        return Some(Unmet::Leader);
    }
    if let Some(token) = &demand.at_least
        && !point.watermark.covers(token)
        && !active(Mutation::IgnoreToken)
    {
        return Some(Unmet::Behind { token: token.clone(), have: point.watermark.clone() });
    }
    match demand.max_staleness {
        Some(max) if staleness.is_none_or(|have| have > max) => Some(Unmet::Stale { max, have: staleness }),
        _ => None,
    }
}

impl Unmet {
    /// As an error of the read.
    #[must_use]
    pub fn error(&self) -> ReadError {
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

    /// The record to wait for until another look is worth it; `None` when waiting for none of them helps.
    #[must_use]
    pub fn lsn(&self) -> Option<u64> {
        let Self::Behind { token, have } = self else { return None };
        // Until the first of the regions that are behind gets on; then there is another look.
        let behind = token.iter().find(|(region, incarnation, lsn)| {
            have.get(*region).is_none_or(|(here, at)| here != *incarnation || at < *lsn)
        });
        // A position in another log is only reached by following that log: its snapshot wakes everyone.
        behind
            .filter(|(region, incarnation, _)| have.get(*region).is_some_and(|(here, _)| here == *incarnation))
            .map(|(_, _, lsn)| lsn.0)
    }
}
