//! Whether the replica is as fresh as a read demands.

use crate::replica::Point;
use littoral_model::{
    freshness::{Consistency, ReadDemand},
    mutation::{Mutation, active},
    position::{Incarnation, Lsn, Position},
    read::ReadError,
    region::Region,
    token::Watermark,
};
use std::time::Duration;

/// A demand that is not met.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unmet {
    /// Only the leader may answer.
    Leader,
    /// Only a majority of the regions' leaders may.
    Quorum,
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
        /// The record of the log that is followed to wait for until another look is worth it; `None` when waiting for none of
        /// them helps.
        look_at: Option<Lsn>,
    },
}

/// What of the demand is not met at this point and staleness.
#[must_use]
pub fn unmet(demand: &ReadDemand, point: &Point, staleness: Option<Duration>) -> Option<Unmet> {
    if demand.is_none() {
        return None;
    }
    match demand.consistency {
        Consistency::Replica => {}
        Consistency::Leader => return Some(Unmet::Leader),
        Consistency::Quorum => return Some(Unmet::Quorum),
    }
    if let Some(token) = &demand.at_least
        && !point.watermark.covers(token)
        && !active(Mutation::IgnoreToken)
    {
        let (token, have) = (token.clone(), point.watermark.clone());
        return Some(Unmet::Behind { look_at: look_at(&token, point), token, have });
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
            Self::Quorum => ReadError::LeaderUnavailable("the read demands a quorum of regions".to_owned()),
            Self::Stale { max, have } => ReadError::NotFreshEnough {
                wanted: format!("at most {} ms behind was demanded", max.as_millis()),
                have: match have {
                    Some(have) => format!("this edge is up to {} ms behind", have.as_nanos().div_ceil(1_000_000)),
                    None => "this edge has not heard its leader since it started".to_owned(),
                },
            },
            Self::Behind { token, have, .. } => ReadError::NotFreshEnough {
                wanted: format!("at least '{token}' was demanded"),
                have: format!("this edge has applied '{have}'"),
            },
        }
    }

    /// The record to wait for until another look is worth it; `None` when waiting for none of them helps.
    #[must_use]
    pub fn look_at(&self) -> Option<Lsn> {
        if let Self::Behind { look_at, .. } = self { *look_at } else { None }
    }
}

/// Until the first of the regions that are behind gets on; then there is another look.
fn look_at(token: &Watermark, point: &Point) -> Option<Lsn> {
    let behind = |(region, incarnation, lsn): &(Region, Incarnation, Lsn)| {
        !point.watermark.covers(&Watermark::at(*region, *incarnation, *lsn))
    };
    let (region, incarnation, lsn) = token.iter().find(behind)?;
    let Position { incarnation: followed, lsn: applied } = point.resume.position;
    match region == point.region {
        true if incarnation == followed => Some(lsn),
        // A position in another life of the log is only reached by following that: its snapshot wakes everyone.
        true => None,
        // Which record brings another region's is not known before it comes.
        false => Some(applied.next()),
    }
}
