//! Judges a read's demand against an edge's replica, and decides what an unmet demand waits for.

use crate::replica::Point;
use littoral_model::{
    freshness::ReadDemand,
    lives::Lives,
    position::{Incarnation, Lsn, Position},
    read::ReadError,
    region::Region,
    token::Watermark,
};
use littoral_protocol::demand::{self, Standing};
use std::time::Duration;

pub use littoral_protocol::demand::Unmet;

/// Returns the first demand that the replica does not meet at this point and staleness.
#[must_use]
pub fn unmet(demand: &ReadDemand, point: &Point, staleness: Option<Duration>) -> Option<Unmet> {
    let standing = Standing { watermark: &point.watermark, lives: &point.lives, staleness, leads: false };
    demand::unmet(demand, &standing)
}

/// Returns the error of a read whose edge has applied everything that the leader had after the read arrived. `None` where that decides
/// nothing, because records of other regions may still come. `configured` names the regions whose records may come; it is empty
/// where that is not known.
#[must_use]
pub fn never(unmet: &Unmet, point: &Point, configured: &[Region]) -> Option<ReadError> {
    unmet.unconfigured(configured).or_else(|| unmet.never_written(point.region))
}

/// Returns the record after which the demand is judged again: the first one that a missing region waits for. `None` when waiting for
/// a record does not help.
#[must_use]
pub fn look_at(unmet: &Unmet, point: &Point) -> Option<Lsn> {
    let Unmet::Behind { token, .. } = unmet else { return None };
    let behind = |(region, incarnation, lsn): &(Region, Incarnation, Lsn)| {
        !point.covers(&Watermark::at(*region, *incarnation, *lsn))
    };
    let (region, incarnation, lsn) = token.iter().find(behind)?;
    let applied = point.resume.position.lsn;
    let comes = |lives: &Lives| lives.lists(incarnation) && !lives.has_lost(Position { incarnation, lsn });
    match region == point.region {
        true if point.lives.get(region).is_some_and(comes) => Some(lsn),
        // A position in another life of the log is only reached by following that life: its snapshot wakes every waiting read.
        true => None,
        // The record that brings another region's is not known before it comes.
        false => Some(applied.next()),
    }
}
