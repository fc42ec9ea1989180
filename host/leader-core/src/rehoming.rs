//! Where in this region's log a replica of another region's log can go on, so that it need not be made anew.
//!
//! All that such a replica says is up to where it has each region's records. It goes on behind a record of this log before
//! which there is nothing that it lacks. What it has already comes to it once more, which changes nothing: merging is idempotent.

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

/// Places that are remembered for each region. Older ones help those who were away for long, who may take a snapshot.
const POINTS_MAX: usize = 1 << 16;

/// Where in this log other regions' records stand: up to which of theirs, at which of ours.
#[derive(Clone, Debug, Default)]
pub struct RehomingPoints(BTreeMap<Region, VecDeque<RehomingPoint>>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct RehomingPoint {
    theirs: Lsn,
    /// The newest clock reading of theirs up to there.
    hlc: Hlc,
    ours: Lsn,
}

impl RehomingPoints {
    /// The record `ours` says that everything up to `theirs` is here, of which the newest clock reading is `hlc`.
    pub fn add(&mut self, region: Region, (theirs, hlc): (Lsn, Hlc), ours: Lsn) {
        let points = self.0.entry(region).or_default();
        points.push_back(RehomingPoint { theirs, hlc, ours });
        if points.len() > POINTS_MAX {
            points.pop_front();
        }
    }

    /// What was known of a region past its record `kept` is lost there.
    pub fn cut(&mut self, region: Region, kept: Lsn) {
        if let Some(points) = self.0.get_mut(&region) {
            points.retain(|point| point.theirs <= kept);
        }
    }

    /// Whether everything of a region up to a clock reading is among its records up to `lsn`.
    fn reaches(&self, region: Region, lsn: Lsn, hlc: Hlc) -> bool {
        let points = self.0.get(&region).into_iter().flatten();
        points.filter(|point| point.theirs <= lsn).any(|point| point.hlc >= hlc)
    }

    /// The last record of ours that has nothing of a region behind `lsn` of its log before it. Whatever came before was of a point
    /// that was held too, as a region's numbers ascend.
    fn before(&self, region: Region, lsn: Lsn) -> Option<Lsn> {
        let points = self.0.get(&region)?;
        let after = points.iter().rposition(|point| point.theirs <= lsn)?;
        points.get(after).map(|point| point.ours)
    }
}

/// The record behind which a replica goes on that has each region's records up to `theirs`, by the histories that it knows. `None` when
/// only a snapshot helps.
#[must_use]
pub fn resume_point(
    (own, head): (Region, Position),
    (theirs, their_lives): (&Watermark, &RegionLineages),
    (origins, lives): (&Origins, &RegionLineages),
    points: &RehomingPoints,
) -> Option<Lsn> {
    let position = |(incarnation, lsn)| Position { incarnation, lsn };
    let has = match theirs.get(own).map(position) {
        Some(has) => has,
        // One that names others whose records we take, and nothing of ours, has nothing of ours: it goes on before our first
        // record, as long as that is here. One that names nobody of whom something is here may be of any log.
        None if origins.iter().any(|(region, origin)| region != own && origin.position.lsn > Lsn::NONE) => {
            Position { lsn: Lsn::NONE, ..head }
        }
        None => return None,
    };
    if !lives.reaches(own, head, has) {
        return None;
    }
    let mut point = has.lsn;
    if active(Mutation::RehomeByOwnAlone) {
        return Some(point);
    }
    for (region, origin) in origins.iter().filter(|(region, _)| *region != own) {
        if origin.recreated {
            // What it holds of what is lost there is not said.
            return None;
        }
        let has = theirs.get(region).map(position)?;
        // Either may know more of that region's lives.
        let all_ours = [lives, their_lives].iter().any(|lives| lives.reaches(region, has, origin.position));
        let same_log = all_ours || lives.reaches(region, origin.position, has);
        // Its rows that came with a third region's snapshot stand in our log without a number of its own.
        let all = all_ours && origin.hlc >= origin.foreign;
        if origin.foreign > Hlc::default() && !all && !(same_log && points.reaches(region, has.lsn, origin.foreign)) {
            return None;
        }
        // Rows that nothing names yet, as of a snapshot that is being taken in, stand behind the last point.
        let all_named = origin.newest <= origin.hlc || active(Mutation::PassOverUnnamed);
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

    /// Our log up to record 100; at 20, 50 and 90 it had b's records up to 5, 8 and 30.
    fn log() -> (Origins, RehomingPoints) {
        let (mut origins, mut points) = (Origins::default(), RehomingPoints::default());
        for (theirs, ours) in [(5, 20), (8, 50), (30, 90)] {
            points.add(region("b"), (Lsn(theirs), Hlc(theirs)), Lsn(ours));
            origins.set(region("b"), (at(THEIRS, theirs), ChainHash(0)), Hlc(theirs), &[], false);
        }
        (origins, points)
    }

    /// Without lives that began since.
    fn resume_point(
        own: (Region, Position),
        theirs: &Watermark,
        origins: &Origins,
        points: &RehomingPoints,
    ) -> Option<Lsn> {
        let none = RegionLineages::default();
        super::resume_point(own, (theirs, &none), (origins, &none), points)
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
    fn it_goes_on_where_it_lacks_nothing_before() {
        assert_eq!(point(70, Some((THEIRS, 30))), Some(70), "it has all of b");
        assert_eq!(point(70, Some((THEIRS, 44))), Some(70), "it has more of b than we have");
        assert_eq!(point(70, Some((THEIRS, 8))), Some(50));
        assert_eq!(point(70, Some((THEIRS, 29))), Some(50));
        assert_eq!(point(10, Some((THEIRS, 29))), Some(10));
        assert_eq!(point(100, Some((THEIRS, 5))), Some(20));
    }

    #[test]
    fn rows_that_came_round_a_third_region_must_be_held_too() {
        let (mut origins, points) = log();
        let point = |origins: &Origins, b: u64| {
            let mut theirs = Watermark::at(region("a"), OURS, Lsn(70));
            theirs.set(region("b"), THEIRS, Lsn(b));
            resume_point((region("a"), at(OURS, 100)), &theirs, origins, &points).map(|lsn| lsn.0)
        };
        origins.note_foreign_row(region("b"), Hlc(8));
        assert_eq!((point(&origins, 8), point(&origins, 7)), (Some(50), None));
        origins.note_foreign_row(region("b"), Hlc(99));
        assert_eq!(point(&origins, 30), None, "nobody is known to have that");
    }

    #[test]
    fn rows_that_nothing_names_yet_come_once_more() {
        let (mut origins, points) = log();
        let mut theirs = Watermark::at(region("a"), OURS, Lsn(100));
        theirs.set(region("b"), THEIRS, Lsn(30));
        let point = |origins: &Origins| resume_point((region("a"), at(OURS, 100)), &theirs, origins, &points);
        assert_eq!(point(&origins), Some(Lsn(100)));
        origins.note_row(region("b"), Lsn(5), Hlc(31));
        assert_eq!(point(&origins), Some(Lsn(90)), "it came behind b's record 30, and who has that may lack it");
    }

    #[test]
    fn who_has_nothing_of_ours_goes_on_before_our_first_record() {
        let (origins, points) = log();
        let head = (region("a"), at(OURS, 100));
        let point = |theirs: &Watermark| resume_point(head, theirs, &origins, &points);
        assert_eq!(point(&Watermark::at(region("b"), THEIRS, Lsn(30))), Some(Lsn::NONE));
        assert_eq!(point(&Watermark::at(region("c"), THEIRS, Lsn(30))), None, "it knows nothing of b");
        assert_eq!(point(&Watermark::default()), None, "it must not go on anywhere");
        let alone = resume_point(head, &Watermark::at(region("b"), THEIRS, Lsn(30)), &Origins::default(), &points);
        assert_eq!(alone, None, "nothing is known of b here");
        let mut origins = Origins::default();
        origins.set(region("b"), (at(THEIRS, 0), ChainHash(0)), Hlc::default(), &[], false);
        let history_alone =
            resume_point(head, &Watermark::at(region("b"), THEIRS, Lsn(30)), &origins, &RehomingPoints::default());
        assert_eq!(history_alone, None, "of b no more than its log's history is known here");
    }

    #[test]
    fn what_cannot_be_told_needs_a_snapshot() {
        assert_eq!(point(70, Some((THEIRS, 4))), None, "before what is remembered");
        assert_eq!(point(70, None), None, "it knows nothing of b");
        assert_eq!(point(70, Some((Incarnation(9), 30))), None, "another life of b's log");
        assert_eq!(point(101, Some((THEIRS, 30))), None, "it has what we do not have of ourselves");
    }
}
