//! Checks whether an edge's replica is as fresh as a read demands, and determines what an unmet demand waits for.

use crate::replica::AppliedPoint;
use littoral_model::{
    freshness::ReadDemand,
    lineage::Lineage,
    position::{Incarnation, Lsn, Position},
    read::ReadError,
    region::Region,
    token::Watermark,
};
use littoral_protocol::demand::{self, Standing};
use std::time::Duration;

pub use littoral_protocol::demand::Unmet;

/// Returns why the demand is not met at this point and staleness; `None` if it is met.
#[must_use]
pub fn unmet(demand: &ReadDemand, point: &AppliedPoint, staleness: Option<Duration>) -> Option<Unmet> {
    let standing = Standing { watermark: &point.watermark, lineages: &point.lineages, staleness, leads: false };
    demand::unmet(demand, &standing)
}

/// Returns the error if the demand can never be met, at a point that includes everything that the leader had after the
/// read arrived. Returns `None` if that is undecided, because other regions' records arrive at any time. `configured`
/// lists the regions whose records can arrive; empty if unknown.
#[must_use]
pub fn never(unmet: &Unmet, point: &AppliedPoint, configured: &[Region]) -> Option<ReadError> {
    unmet.unconfigured(configured).or_else(|| unmet.never_written(point.region))
}

/// Returns the record of the followed log after which to check again: the one that advances the first region that is
/// behind. `None` if no record of that log can help.
#[must_use]
pub fn look_at(unmet: &Unmet, point: &AppliedPoint) -> Option<Lsn> {
    let Unmet::Behind { token, .. } = unmet else { return None };
    let behind = |(region, incarnation, lsn): &(Region, Incarnation, Lsn)| {
        !point.covers(&Watermark::at(*region, *incarnation, *lsn))
    };
    let (region, incarnation, lsn) = token.iter().find(behind)?;
    let applied = point.resume.position.lsn;
    let will_arrive =
        |lineage: &Lineage| lineage.lists(incarnation) && !lineage.has_lost(Position { incarnation, lsn });
    match region == point.region {
        true if point.lineages.get(region).is_some_and(will_arrive) => Some(lsn),
        // A position in another life of the log is reached only by following that life, and its snapshot wakes all
        // waiters.
        true => None,
        // The record that advances another region is unknown until it arrives.
        false => Some(applied.next()),
    }
}
