//! Checks whether the replica is as fresh as a read demands.

use crate::replica::AppliedPoint;
use littoral_model::{
    freshness::{Consistency, ReadDemand},
    lives::Lives,
    mutation::{Mutation, active},
    position::{Incarnation, Lsn, Position},
    read::ReadError,
    region::Region,
    token::Watermark,
};
use std::time::Duration;

/// Why a demand is not met.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unmet {
    /// Only the leader may answer.
    Leader,
    /// Only a majority of the regions' leaders may answer.
    Quorum,
    /// The replica is too far behind.
    Stale {
        /// The demanded maximum.
        max: Duration,
        /// Upper bound of how far the replica is behind.
        have: Option<Duration>,
    },
    /// A write that must be visible is not applied yet.
    Behind {
        /// The demanded token.
        token: Watermark,
        /// The applied positions.
        have: Watermark,
        /// The positions of the token that are not reached.
        missing: Watermark,
        /// The record of the followed log after which to check again; `None` if no record of that
        /// log can help.
        look_at: Option<Lsn>,
        /// A position in the followed log that is not reached. Once everything that the leader had
        /// after the read arrived is applied, it can never be reached.
        followed: Option<Watermark>,
    },
    /// A write that must be visible is lost, because its log forked before it.
    Lost {
        /// The demanded position of that log.
        token: Watermark,
    },
}

/// Returns why the demand is not met at this point and staleness; `None` if it is met.
#[must_use]
pub fn unmet(demand: &ReadDemand, point: &AppliedPoint, staleness: Option<Duration>) -> Option<Unmet> {
    if demand.is_none() {
        return None;
    }
    match demand.consistency {
        Consistency::Replica => {}
        Consistency::Leader => return Some(Unmet::Leader),
        Consistency::Quorum => return Some(Unmet::Quorum),
    }
    if let Some(token) = &demand.at_least
        && !point.covers(token)
        && !active(Mutation::IgnoreToken)
    {
        if let Some(token) = parts(token).find(|part| is_lost(part, point)) {
            return Some(Unmet::Lost { token });
        }
        let (token, have) = (token.clone(), point.watermark.clone());
        let missing = point.lives.beyond(&token, &point.watermark);
        let followed = parts(&missing).find(|part| part.get(point.region).is_some());
        return Some(Unmet::Behind { look_at: look_at(&token, point), followed, missing, token, have });
    }
    match demand.max_staleness {
        Some(max) if staleness.is_none_or(|have| have > max) => Some(Unmet::Stale { max, have: staleness }),
        _ => None,
    }
}

impl Unmet {
    /// Converts to an error of the read.
    #[must_use]
    pub fn error(&self) -> ReadError {
        match self {
            Self::Leader => ReadError::LeaderUnavailable("the read demands the leader".to_owned()),
            Self::Quorum => ReadError::LeaderUnavailable("the read demands a quorum of regions".to_owned()),
            Self::Stale { max, have } => ReadError::NotFreshEnough {
                wanted: format!("the read demands at most {} ms of staleness", max.as_millis()),
                have: match have {
                    Some(have) => format!("this edge is up to {} ms behind", have.as_nanos().div_ceil(1_000_000)),
                    None => "this edge has not heard from its leader since it started".to_owned(),
                },
            },
            Self::Lost { token } => ReadError::lost_with_its_log(token),
            Self::Behind { token, have, .. } => ReadError::NotFreshEnough {
                wanted: format!("the read demands at least '{token}'"),
                have: format!("this edge has applied '{have}'"),
            },
        }
    }

    /// Returns the error if the demand can never be met, at a point that includes everything that
    /// the leader had after the read arrived. Returns `None` if that is undecided, because other
    /// regions' records arrive at any time. `configured` lists the regions whose records can
    /// arrive; empty if unknown.
    #[must_use]
    pub fn never(&self, configured: &[Region]) -> Option<ReadError> {
        let Self::Behind { followed, missing, have, .. } = self else { return None };
        let is_unknown =
            |part: &Watermark| !configured.is_empty() && part.iter().all(|(region, ..)| !configured.contains(&region));
        if let Some(unknown) = parts(missing).find(is_unknown) {
            let known: Vec<_> = configured.iter().map(|region| format!("'{region}'")).collect();
            let reason = format!("the leader is configured only for the regions {}", known.join(" and "));
            return Some(ReadError::TokenLost { token: unknown.to_string(), reason });
        }
        let token = followed.as_ref()?;
        let reason = format!("no log that the leader knows contains it, and everything up to '{have}' is applied");
        Some(ReadError::TokenLost { token: token.to_string(), reason })
    }

    /// Returns the record after which to check again; `None` if no record of the followed log can
    /// help.
    #[must_use]
    pub fn look_at(&self) -> Option<Lsn> {
        if let Self::Behind { look_at, .. } = self { *look_at } else { None }
    }
}

/// Splits a token into the demanded position of each region.
fn parts(token: &Watermark) -> impl Iterator<Item = Watermark> {
    token.iter().map(|(region, incarnation, lsn)| Watermark::at(region, incarnation, lsn))
}

/// Returns whether a region's demanded position lies past the fork of its log.
fn is_lost(part: &Watermark, point: &AppliedPoint) -> bool {
    part.iter().any(|(region, incarnation, lsn)| point.lives.has_lost(region, Position { incarnation, lsn }))
}

/// Returns the record after which to check again: the one that advances the first region that is
/// behind.
fn look_at(token: &Watermark, point: &AppliedPoint) -> Option<Lsn> {
    let behind = |(region, incarnation, lsn): &(Region, Incarnation, Lsn)| {
        !point.covers(&Watermark::at(*region, *incarnation, *lsn))
    };
    let (region, incarnation, lsn) = token.iter().find(behind)?;
    let applied = point.resume.position.lsn;
    let will_arrive = |lives: &Lives| lives.lists(incarnation) && !lives.has_lost(Position { incarnation, lsn });
    match region == point.region {
        true if point.lives.get(region).is_some_and(will_arrive) => Some(lsn),
        // A position in another life of the log is reached only by following that life, and its
        // snapshot wakes all waiters.
        true => None,
        // The record that advances another region is unknown until it arrives.
        false => Some(applied.next()),
    }
}
