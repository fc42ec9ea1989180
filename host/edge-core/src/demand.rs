//! Whether the replica is as fresh as a read demands.

use crate::replica::Point;
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
        /// The part of it that is not reached.
        missing: Watermark,
        /// The record of the log that is followed to wait for until another look is worth it; `None` when waiting for none of
        /// them helps.
        look_at: Option<Lsn>,
        /// A position in the log that is followed which is not reached: once everything is here that its leader had after the
        /// read had come, it never will be.
        followed: Option<Watermark>,
    },
    /// A write that must be seen is lost: the log forked before it.
    Lost {
        /// What was demanded of that log.
        token: Watermark,
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
            Self::Lost { token } => ReadError::lost_with_its_log(token),
            Self::Behind { token, have, .. } => ReadError::NotFreshEnough {
                wanted: format!("at least '{token}' was demanded"),
                have: format!("this edge has applied '{have}'"),
            },
        }
    }

    /// The error of a read that has everything which the leader had after it had come; `None` where that decides nothing, as other
    /// regions' records come when they do. `configured`: the regions of which records may come; none where that is not known.
    #[must_use]
    pub fn never(&self, configured: &[Region]) -> Option<ReadError> {
        let Self::Behind { followed, missing, have, .. } = self else { return None };
        let is_unknown =
            |part: &Watermark| !configured.is_empty() && part.iter().all(|(region, ..)| !configured.contains(&region));
        if let Some(unknown) = parts(missing).find(is_unknown) {
            let known: Vec<_> = configured.iter().map(|region| format!("'{region}'")).collect();
            let reason = format!("its leader is configured for the regions {} alone", known.join(" and "));
            return Some(ReadError::TokenLost { token: unknown.to_string(), reason });
        }
        let token = followed.as_ref()?;
        let reason = format!("no log that its leader knows has it, and everything up to '{have}' is here");
        Some(ReadError::TokenLost { token: token.to_string(), reason })
    }

    /// The record to wait for until another look is worth it; `None` when waiting for none of them helps.
    #[must_use]
    pub fn look_at(&self) -> Option<Lsn> {
        if let Self::Behind { look_at, .. } = self { *look_at } else { None }
    }
}

/// What is demanded of each region.
fn parts(token: &Watermark) -> impl Iterator<Item = Watermark> {
    token.iter().map(|(region, incarnation, lsn)| Watermark::at(region, incarnation, lsn))
}

/// Whether what is demanded of a region is past where its log forked.
fn is_lost(part: &Watermark, point: &Point) -> bool {
    part.iter().any(|(region, incarnation, lsn)| point.lives.has_lost(region, Position { incarnation, lsn }))
}

/// Until the first of the regions that are behind gets on; then there is another look.
fn look_at(token: &Watermark, point: &Point) -> Option<Lsn> {
    let behind = |(region, incarnation, lsn): &(Region, Incarnation, Lsn)| {
        !point.covers(&Watermark::at(*region, *incarnation, *lsn))
    };
    let (region, incarnation, lsn) = token.iter().find(behind)?;
    let applied = point.resume.position.lsn;
    let comes = |lives: &Lives| lives.lists(incarnation) && !lives.has_lost(Position { incarnation, lsn });
    match region == point.region {
        true if point.lives.get(region).is_some_and(comes) => Some(lsn),
        // A position in another life of the log is only reached by following that: its snapshot wakes everyone.
        true => None,
        // Which record brings another region's is not known before it comes.
        false => Some(applied.next()),
    }
}
