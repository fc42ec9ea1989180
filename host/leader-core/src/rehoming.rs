//! Finds the record of this region's log after which a replica of another region's log can continue, so that it needs
//! no snapshot.
//!
//! The replica reports only up to where it has each region's records. It can continue after a record of this log before
//! which it lacks nothing. It receives some records again, which changes nothing: merging is idempotent.

use littoral_model::{
    hlc::Hlc,
    lineage::RegionLineages,
    mutation::{Mutation, active},
    origin::Origins,
    position::{Lsn, Position},
    region::Region,
    token::Watermark,
};
use std::collections::{BTreeMap, VecDeque};

/// The maximum number of points that are remembered for each region. Older ones would help only replicas that were away
/// for long, and those can load a snapshot instead.
const POINTS_MAX: usize = 1 << 16;

/// Where in this log other regions' records are: pairs of a position in their log and a record of this one.
#[derive(Clone, Debug, Default)]
pub struct RehomingPoints(BTreeMap<Region, VecDeque<RehomingPoint>>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct RehomingPoint {
    theirs: Lsn,
    /// The newest clock reading of their records up to there.
    hlc: Hlc,
    ours: Lsn,
}

impl RehomingPoints {
    /// Notes that, as of the record `ours`, everything up to `theirs` is stored; its newest clock reading is `hlc`.
    pub fn add(&mut self, region: Region, (theirs, hlc): (Lsn, Hlc), ours: Lsn) {
        let points = self.0.entry(region).or_default();
        points.push_back(RehomingPoint { theirs, hlc, ours });
        if points.len() > POINTS_MAX {
            points.pop_front();
        }
    }

    /// Notes that a region's records past `kept` are lost.
    pub fn cut(&mut self, region: Region, kept: Lsn) {
        if let Some(points) = self.0.get_mut(&region) {
            points.retain(|point| point.theirs <= kept);
        }
    }

    /// Returns whether everything of a region up to a clock reading is among its records up to `lsn`.
    fn reaches(&self, region: Region, lsn: Lsn, hlc: Hlc) -> bool {
        let points = self.0.get(&region).into_iter().flatten();
        points.filter(|point| point.theirs <= lsn).any(|point| point.hlc >= hlc)
    }

    /// Returns the last record of this log before which there is no record of a region after `lsn`. A region's LSNs
    /// ascend, so everything before it belongs to a point that the replica has.
    fn before(&self, region: Region, lsn: Lsn) -> Option<Lsn> {
        let points = self.0.get(&region)?;
        let after = points.iter().rposition(|point| point.theirs <= lsn)?;
        points.get(after).map(|point| point.ours)
    }
}

/// This region's log.
#[derive(Clone, Copy, Debug)]
pub struct OwnLog<'a> {
    /// The region.
    pub region: Region,
    /// The last applied record.
    pub head: Position,
    /// The positions of other regions' records in it.
    pub origins: &'a Origins,
    /// The lineages that this region knows.
    pub lineages: &'a RegionLineages,
}

/// A replica of another region's log that is to continue in this one.
#[derive(Clone, Copy, Debug)]
pub struct Replica<'a> {
    /// The position of each region's records in it.
    pub watermark: &'a Watermark,
    /// The lineages that it knows.
    pub lineages: &'a RegionLineages,
}

/// Returns the record after which a replica can continue that has each region's records up to its watermark, given the
/// lineages that it knows. Returns `None` if it needs a snapshot.
#[must_use]
pub fn resume_point(log: OwnLog<'_>, replica: Replica<'_>, points: &RehomingPoints) -> Option<Lsn> {
    let OwnLog { region: own, head, origins, lineages } = log;
    let Replica { watermark: theirs, lineages: their_lineages } = replica;
    let position = |(incarnation, lsn)| Position { incarnation, lsn };
    let has = match theirs.get(own).map(position) {
        Some(has) => has,
        // A replica that reports regions whose records this log has, but not this region, has no records of this
        // region: it continues before this log's first record, if that was not trimmed. One that reports no such region
        // may belong to any log.
        None if origins.iter().any(|(region, origin)| region != own && origin.position.lsn > Lsn::NONE) => {
            Position { lsn: Lsn::NONE, ..head }
        }
        None => return None,
    };
    if !lineages.reaches(own, head, has) {
        return None;
    }
    let mut point = has.lsn;
    if active(Mutation::RehomeByOwnAlone) {
        return Some(point);
    }
    for (region, origin) in origins.iter().filter(|(region, _)| *region != own) {
        if origin.recreated {
            // It is unknown which of the lost records the replica holds.
            return None;
        }
        let has = theirs.get(region).map(position)?;
        // Either side may know more about that region's lives.
        let all_ours = [lineages, their_lineages].iter().any(|lineages| lineages.reaches(region, has, origin.position));
        let same_log = all_ours || lineages.reaches(region, origin.position, has);
        // Rows that arrived with a third region's snapshot are in this log without an LSN of their origin.
        let all = all_ours && origin.hlc >= origin.foreign;
        if origin.foreign > Hlc::default() && !all && !(same_log && points.reaches(region, has.lsn, origin.foreign)) {
            return None;
        }
        // Rows that no position includes yet, from a snapshot that is being received, are after the last point.
        let all_named = origin.newest <= origin.hlc || active(Mutation::SkipUnnamed);
        if all_ours && all_named {
            continue;
        }
        point = point.min(points.before(region, has.lsn).filter(|_| same_log)?);
    }
    Some(point)
}

#[cfg(test)]
mod tests {
    use super::*;
    use littoral_model::{position::Incarnation, record::ChainHash};

    const OURS: Incarnation = Incarnation(1);
    const THEIRS: Incarnation = Incarnation(2);

    fn region(name: &str) -> Region {
        name.parse().unwrap()
    }

    fn at(incarnation: Incarnation, lsn: u64) -> Position {
        Position { incarnation, lsn: Lsn(lsn) }
    }

    /// A log up to record 100. At its records 20, 50 and 90 it had b's records up to 5, 8 and 30.
    fn log() -> (Origins, RehomingPoints) {
        let (mut origins, mut points) = (Origins::default(), RehomingPoints::default());
        for (theirs, ours) in [(5, 20), (8, 50), (30, 90)] {
            points.add(region("b"), (Lsn(theirs), Hlc(theirs)), Lsn(ours));
            origins.set(region("b"), (at(THEIRS, theirs), ChainHash(0)), Hlc(theirs), &[], false);
        }
        (origins, points)
    }

    /// Calls the function for logs with a single life.
    fn resume_point(
        own: (Region, Position),
        theirs: &Watermark,
        origins: &Origins,
        points: &RehomingPoints,
    ) -> Option<Lsn> {
        let none = RegionLineages::default();
        let log = OwnLog { region: own.0, head: own.1, origins, lineages: &none };
        super::resume_point(log, Replica { watermark: theirs, lineages: &none }, points)
    }

    fn point(a: u64, b: Option<(Incarnation, u64)>) -> Option<u64> {
        let (origins, points) = log();
        let mut theirs = Watermark::at(region("a"), OURS, Lsn(a));
        if let Some((incarnation, lsn)) = b {
            theirs.set(region("b"), incarnation, Lsn(lsn));
        }
        resume_point((region("a"), at(OURS, 100)), &theirs, &origins, &points).map(|lsn| lsn.0)
    }

    #[test]
    fn a_replica_continues_where_it_lacks_nothing_before() {
        assert_eq!(point(70, Some((THEIRS, 30))), Some(70), "it has all of b");
        assert_eq!(point(70, Some((THEIRS, 44))), Some(70), "it has more of b than this log");
        assert_eq!(point(70, Some((THEIRS, 8))), Some(50));
        assert_eq!(point(70, Some((THEIRS, 29))), Some(50));
        assert_eq!(point(10, Some((THEIRS, 29))), Some(10));
        assert_eq!(point(100, Some((THEIRS, 5))), Some(20));
    }

    #[test]
    fn rows_that_arrived_via_a_third_region_must_be_held_too() {
        let (mut origins, points) = log();
        let point = |origins: &Origins, b: u64| {
            let mut theirs = Watermark::at(region("a"), OURS, Lsn(70));
            theirs.set(region("b"), THEIRS, Lsn(b));
            resume_point((region("a"), at(OURS, 100)), &theirs, origins, &points).map(|lsn| lsn.0)
        };
        origins.note_foreign_row(region("b"), Hlc(8));
        assert_eq!((point(&origins, 8), point(&origins, 7)), (Some(50), None));
        origins.note_foreign_row(region("b"), Hlc(99));
        assert_eq!(point(&origins, 30), None, "no replica is known to have that");
    }

    #[test]
    fn rows_that_no_position_includes_yet_are_sent_again() {
        let (mut origins, points) = log();
        let mut theirs = Watermark::at(region("a"), OURS, Lsn(100));
        theirs.set(region("b"), THEIRS, Lsn(30));
        let point = |origins: &Origins| resume_point((region("a"), at(OURS, 100)), &theirs, origins, &points);
        assert_eq!(point(&origins), Some(Lsn(100)));
        origins.note_row(region("b"), Lsn(5), Hlc(31));
        assert_eq!(
            point(&origins),
            Some(Lsn(90)),
            "the row arrived after b's record 30, and a replica with that record may lack it"
        );
    }

    #[test]
    fn a_replica_without_records_of_this_region_continues_before_its_first_record() {
        let (origins, points) = log();
        let head = (region("a"), at(OURS, 100));
        let point = |theirs: &Watermark| resume_point(head, theirs, &origins, &points);
        assert_eq!(point(&Watermark::at(region("b"), THEIRS, Lsn(30))), Some(Lsn::NONE));
        assert_eq!(point(&Watermark::at(region("c"), THEIRS, Lsn(30))), None, "it has nothing of b");
        assert_eq!(point(&Watermark::default()), None, "it cannot continue anywhere");
        let alone = resume_point(head, &Watermark::at(region("b"), THEIRS, Lsn(30)), &Origins::default(), &points);
        assert_eq!(alone, None, "this log has nothing of b");
        let mut origins = Origins::default();
        origins.set(region("b"), (at(THEIRS, 0), ChainHash(0)), Hlc::default(), &[], false);
        let history_alone =
            resume_point(head, &Watermark::at(region("b"), THEIRS, Lsn(30)), &origins, &RehomingPoints::default());
        assert_eq!(history_alone, None, "of b this log has only the lineage");
    }

    #[test]
    fn an_undecidable_position_needs_a_snapshot() {
        assert_eq!(point(70, Some((THEIRS, 4))), None, "older than the remembered points");
        assert_eq!(point(70, None), None, "it has nothing of b");
        assert_eq!(point(70, Some((Incarnation(9), 30))), None, "another life of b's log");
        assert_eq!(point(101, Some((THEIRS, 30))), None, "it has records of this region that this log lacks");
    }
}
