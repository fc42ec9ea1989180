//! The lineage of a log: where each of its lives began, and whether a position belongs to the log.
//!
//! Every opening of a log, and every start of a member's leadership, begins a new life. The life's
//! first record is a `Begin` ([`crate::record::Payload::Begin`]) with a random number that
//! identifies the life. A [`Position`] contains the life and the LSN. So two copies of one log
//! that continued separately can be told apart, although both number their records from the same
//! record on. `host/decisions/0013-lives-of-a-log.md` gives the reasons.

use crate::{
    cluster::Affiliation,
    mutation::{Mutation, active},
    position::{Incarnation, Lsn, Position},
    region::Region,
    token::Watermark,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The maximum number of lives in a lineage. Older lives are dropped; tokens that name them can no
/// longer be checked.
pub const LIVES_MAX: usize = 1_024;

/// Where one life of a log began.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "LifeStart"))]
pub struct Start {
    /// The life.
    pub life: Incarnation,
    /// Its first record, the `Begin` that identifies it; 0 for a log's first life.
    pub first: Lsn,
    /// The previous life; for a log's first life, itself.
    pub after: Incarnation,
    /// The last record that this log certainly shares with every copy that has the previous life.
    /// Usually the record before `first`. It is earlier if the log was rolled back while it ran:
    /// then two records may have one LSN in the previous life, and only that life's first record
    /// is certain.
    pub shared: Lsn,
}

impl Start {
    /// Returns the start of a log's first life.
    const fn of(log: Incarnation) -> Self {
        Self { life: log, first: Lsn::NONE, after: log, shared: Lsn::NONE }
    }
}

/// The lives of one log, oldest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Lineage {
    /// The name of the log.
    log: Incarnation,
    /// The starts of its lives, oldest first.
    starts: Vec<Start>,
}

impl Lineage {
    /// Creates the lineage of a log with only its first life. A log written by a program that knew
    /// no lives has this lineage too.
    #[must_use]
    pub fn of(log: Incarnation) -> Self {
        Self { log, starts: vec![Start::of(log)] }
    }

    /// Returns the log's name, which is the ID of its first life. It never changes.
    #[must_use]
    pub const fn log(&self) -> Incarnation {
        self.log
    }

    /// Returns the newest life.
    #[must_use]
    pub fn current(&self) -> Incarnation {
        self.newest().life
    }

    fn newest(&self) -> Start {
        self.starts.last().copied().unwrap_or(Start::of(self.log))
    }

    /// Returns the lives, oldest first.
    #[must_use]
    pub fn starts(&self) -> &[Start] {
        &self.starts
    }

    /// Adds a life. Lives that began after its predecessor belong to an abandoned copy and are
    /// removed. Does nothing if the life is known.
    pub fn begin(&mut self, start: Start) {
        if self.lists(start.life) || start.first == Lsn::NONE {
            return;
        }
        let shared = start.shared.min(Lsn(start.first.0 - 1));
        if let Some(before) = self.starts.iter().position(|before| before.life == start.after) {
            self.starts.truncate(before + 1);
        }
        self.starts.retain(|before| before.first <= shared);
        self.starts.push(Start { shared, ..start });
        if self.starts.len() > LIVES_MAX {
            self.starts.remove(0);
        }
    }

    /// Returns whether the life is one of this log's.
    #[must_use]
    pub fn lists(&self, life: Incarnation) -> bool {
        self.newest().life == life || self.starts.iter().any(|start| start.life == life)
    }

    /// Returns the life that a position with this LSN contains: the life in which the record was
    /// written. If that life assigned the LSN twice, it is the following life.
    #[must_use]
    pub fn at(&self, lsn: Lsn) -> Incarnation {
        let newest = self.newest();
        if newest.shared < lsn {
            return newest.life;
        }
        let after = self.starts.partition_point(|start| start.shared < lsn);
        after.checked_sub(1).and_then(|at| self.starts.get(at)).map_or(self.log, |start| start.life)
    }

    /// Returns the position of a record of this log.
    #[must_use]
    pub fn position(&self, lsn: Lsn) -> Position {
        Position { incarnation: self.at(lsn), lsn }
    }

    /// Returns the last record of a life that is certainly in this log, whose last record is
    /// `head`. Returns `None` if the log has no such life.
    #[must_use]
    pub fn end(&self, life: Incarnation, head: Lsn) -> Option<Lsn> {
        let at = self.starts.iter().rposition(|start| start.life == life)?;
        Some(self.starts.get(at + 1).map_or(head, |next| next.shared.min(head)))
    }

    /// Returns whether a position belongs to this log, whose last record is `head`: its life is
    /// listed, and it lies before the next life and not past the head. If both sides have the
    /// record's hash, the caller must compare the hashes too.
    #[must_use]
    pub fn has(&self, position: Position, head: Lsn) -> bool {
        self.end(position.incarnation, head).is_some_and(|end| position.lsn <= end)
    }

    /// Returns whether a position can never belong to this log, however far the log grows, because
    /// it lies past the fork. A life that is not listed may still arrive.
    #[must_use]
    pub fn has_lost(&self, position: Position) -> bool {
        self.end(position.incarnation, Lsn(u64::MAX)).is_some_and(|end| position.lsn > end)
    }

    /// Returns the common record of this log, whose last record is `head`, and another; `None` if
    /// they share no life.
    #[must_use]
    pub fn common(&self, head: Lsn, other: &Lineage, other_head: Lsn) -> Option<Position> {
        let both = other.starts.iter().rev().find(|start| self.lists(start.life))?.life;
        let lsn = self.end(both, head)?.min(other.end(both, other_head)?);
        Some(Position { incarnation: both, lsn })
    }

    /// Returns whether this lineage is `before`, possibly with further lives. If not, `before` has a
    /// life that this log abandoned.
    #[must_use]
    pub fn extends(&self, before: &Lineage) -> bool {
        self.lists(before.current())
    }

    /// Returns whether this log's newest life is also in `other`, which has begun a later one.
    #[must_use]
    pub fn is_past_of(&self, other: &Lineage) -> bool {
        other.current() != self.current() && other.lists(self.current())
    }
}

/// The lineages of the regions' logs, as far as one node knows them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RegionLineages {
    /// The lineage of each region's log.
    of: BTreeMap<Region, Lineage>,
    /// The affiliation of the node's own log, or of the log that it follows.
    belongs: Option<Affiliation>,
}

impl RegionLineages {
    /// Returns the affiliation of this node's log, or of the log that it follows, as far as
    /// recorded.
    #[must_use]
    pub const fn belongs(&self) -> Option<Affiliation> {
        self.belongs
    }

    /// Sets the affiliation.
    pub fn set_belongs(&mut self, belongs: Option<Affiliation>) {
        self.belongs = belongs;
    }

    /// Returns the lineage of this region's log.
    #[must_use]
    pub fn get(&self, region: Region) -> Option<&Lineage> {
        self.of.get(&region)
    }

    /// Returns the lineage of a region's log; if there is none, creates one with this life as the
    /// first.
    pub fn entry(&mut self, region: Region, life: Incarnation) -> &mut Lineage {
        self.of.entry(region).or_insert_with(|| Lineage::of(life))
    }

    /// Sets the lineage of a region's log.
    pub fn set(&mut self, region: Region, lineage: Lineage) {
        self.of.insert(region, lineage);
    }

    /// Returns the lineage of the log that has this life.
    #[must_use]
    pub fn with_life(&self, life: Incarnation) -> Option<&Lineage> {
        self.of.values().find(|lineage| lineage.lists(life))
    }

    /// Returns whether a position can never belong to a region's log, because it lies past the
    /// fork ([`Lineage::has_lost`]).
    #[must_use]
    pub fn has_lost(&self, region: Region, position: Position) -> bool {
        self.get(region).is_some_and(|lineage| lineage.has_lost(position))
    }

    /// Returns whether `have` includes `wanted`, a position of the same region. Positions in
    /// different lives of one log are compared by its lineage.
    #[must_use]
    pub fn reaches(&self, region: Region, have: Position, wanted: Position) -> bool {
        let same = have.incarnation == wanted.incarnation || active(Mutation::EqualNumbersAreOneRecord);
        if wanted.lsn == Lsn::NONE || same {
            return have.lsn >= wanted.lsn;
        }
        self.get(region).is_some_and(|lineage| lineage.has(wanted, have.lsn) && lineage.has(have, Lsn(u64::MAX)))
    }

    /// Returns whether `have` includes `wanted`, two positions of one region's log, whichever
    /// region that is.
    #[must_use]
    pub fn includes(&self, have: Position, wanted: Position) -> bool {
        match self.with_life(have.incarnation) {
            Some(lineage) => lineage.has(wanted, have.lsn) && lineage.has(have, Lsn(u64::MAX)),
            None => have.incarnation == wanted.incarnation && have.lsn >= wanted.lsn,
        }
    }

    /// Returns whether two positions belong to one log, and neither lies in a part that the log
    /// has lost.
    #[must_use]
    pub fn is_one_log(&self, a: Position, b: Position) -> bool {
        self.includes(a, b) || self.includes(b, a)
    }

    /// Returns whether `have` includes everything that `demand` requires. A position of another
    /// log, or of a life that is unknown here, is never included.
    #[must_use]
    pub fn covers(&self, have: &Watermark, demand: &Watermark) -> bool {
        demand.iter().all(|(region, incarnation, lsn)| {
            let here = have.get(region).map(|(incarnation, lsn)| Position { incarnation, lsn });
            lsn == Lsn::NONE || here.is_some_and(|here| self.reaches(region, here, Position { incarnation, lsn }))
        })
    }

    /// Returns those positions of `all` that `have` does not cover.
    #[must_use]
    pub fn beyond(&self, all: &Watermark, have: &Watermark) -> Watermark {
        let mut beyond = Watermark::default();
        for (region, incarnation, lsn) in all.iter() {
            if !self.covers(have, &Watermark::at(region, incarnation, lsn)) {
                beyond.set(region, incarnation, lsn);
            }
        }
        beyond
    }

    /// Sets a region's position in `watermark`, unless it is already further in the same log.
    pub fn raise(&self, watermark: &mut Watermark, region: Region, position: Position) {
        let here = watermark.get(region).map(|(incarnation, lsn)| Position { incarnation, lsn });
        let further = here.is_some_and(|here| here != Position::default() && self.reaches(region, here, position));
        if !further {
            watermark.set(region, position.incarnation, position.lsn);
        }
    }

    /// Iterates over the regions and their lineages.
    pub fn iter(&self) -> impl Iterator<Item = (Region, &Lineage)> {
        self.of.iter().map(|(region, lineage)| (*region, lineage))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start((after, life): (u64, u64), first: u64) -> Start {
        Start { life: Incarnation(life), first: Lsn(first), after: Incarnation(after), shared: Lsn(first - 1) }
    }

    fn lineage(starts: &[(u64, u64)]) -> Lineage {
        let mut lineage = Lineage::of(Incarnation(1));
        for (life, first) in starts {
            let after = lineage.current().0;
            lineage.begin(start((after, *life), *first));
        }
        lineage
    }

    fn at(life: u64, lsn: u64) -> Position {
        Position { incarnation: Incarnation(life), lsn: Lsn(lsn) }
    }

    #[test]
    fn a_position_belongs_to_its_life_until_the_next_one_begins() {
        let log = lineage(&[(2, 5), (3, 9)]);
        let head = Lsn(12);
        for (position, belongs, lost) in [
            (at(1, 0), true, false),
            (at(1, 4), true, false),
            (at(1, 5), false, true),
            (at(2, 8), true, false),
            (at(2, 9), false, true),
            (at(3, 12), true, false),
            (at(3, 13), false, false),
            (at(9, 2), false, false),
        ] {
            assert_eq!((log.has(position, head), log.has_lost(position)), (belongs, lost), "{position}");
        }
        assert_eq!((log.at(Lsn(4)).0, log.at(Lsn(5)).0, log.at(Lsn(99)).0), (1, 2, 3));
        assert_eq!((log.log().0, log.current().0), (1, 3));
    }

    #[test]
    fn copies_share_records_up_to_the_earlier_end_of_their_last_common_life() {
        let common = |a: &Lineage, a_head, b: &Lineage, b_head| {
            let one = a.common(Lsn(a_head), b, Lsn(b_head));
            assert_eq!(one, b.common(Lsn(b_head), a, Lsn(a_head)));
            one
        };
        let (original, copy) = (lineage(&[(2, 5)]), lineage(&[(3, 4)]));
        assert_eq!(common(&original, 9, &copy, 6), Some(at(1, 3)), "rolled back before the last life began");
        let copy = lineage(&[(2, 5), (3, 8)]);
        assert_eq!(common(&original, 9, &copy, 12), Some(at(2, 7)), "rolled back within it");
        let again = lineage(&[(2, 5), (4, 8)]);
        assert_eq!(common(&copy, 12, &again, 9), Some(at(2, 7)), "rolled back twice to one copy");
        assert_eq!(common(&original, 9, &lineage(&[]), 30), Some(at(1, 4)));
        assert_eq!(original.common(Lsn(9), &Lineage::of(Incarnation(77)), Lsn(9)), None, "another log");
        assert!(original.is_past_of(&copy) && !copy.is_past_of(&original) && !copy.is_past_of(&again));
        assert!(copy.extends(&original) && copy.extends(&copy));
        assert!(!original.extends(&copy) && !again.extends(&copy), "life 3 was abandoned");
    }

    #[test]
    fn only_the_first_record_of_a_life_rolled_back_while_running_is_certain() {
        let mut log = lineage(&[(2, 5)]);
        log.begin(Start { shared: Lsn(5), ..start((2, 3), 9) });
        assert!(log.has(at(2, 5), Lsn(20)) && log.has_lost(at(2, 6)) && log.has(at(3, 9), Lsn(20)));
        assert!(log.has(at(1, 4), Lsn(20)), "earlier lives are whole");
        for lsn in 1..20 {
            assert!(
                log.has(log.position(Lsn(lsn)), Lsn(20)),
                "every record of the log has a position that belongs to it"
            );
        }
        let mut log = lineage(&[]);
        log.begin(Start { shared: Lsn::NONE, ..start((1, 3), 9) });
        assert!(log.has_lost(at(1, 1)) && log.has(at(1, 0), Lsn(20)));
    }

    #[test]
    fn a_lineage_is_bounded_and_a_copy_drops_abandoned_lives() {
        let mut log = lineage(&[]);
        for life in 0..2 * LIVES_MAX as u64 {
            log.begin(start((log.current().0, life + 10), life + 1));
        }
        assert_eq!((log.starts().len(), log.log()), (LIVES_MAX, Incarnation(1)));
        assert!(!log.lists(Incarnation(10)) && !log.has_lost(at(10, 1)));
        let mut log = lineage(&[(2, 5), (3, 9)]);
        log.begin(start((3, 2), 20));
        assert_eq!(log, lineage(&[(2, 5), (3, 9)]), "it is already known");
        let mut log = lineage(&[(2, 5), (3, 9)]);
        log.begin(start((2, 4), 20));
        assert_eq!(log, lineage(&[(2, 5), (4, 20)]), "a copy continues from the previous life");
    }

    #[test]
    fn tokens_of_earlier_lives_are_covered_and_those_past_a_fork_are_not() {
        let region: Region = "a".parse().unwrap();
        let mut known = RegionLineages::default();
        known.set(region, lineage(&[(2, 5)]));
        let mark = |life, lsn| Watermark::at(region, Incarnation(life), Lsn(lsn));
        let have = mark(2, 8);
        assert!(known.covers(&have, &mark(1, 4)) && known.covers(&have, &mark(2, 8)));
        assert!(
            !known.covers(&have, &mark(1, 5)) && !known.covers(&have, &mark(2, 9)) && !known.covers(&have, &mark(3, 1))
        );
        assert!(!known.covers(&mark(1, 3), &mark(1, 4)) && !known.covers(&mark(1, 3), &mark(2, 6)));
        assert_eq!(known.beyond(&mark(1, 5), &have), mark(1, 5));
        assert!(known.is_one_log(at(1, 3), at(2, 8)) && known.is_one_log(at(2, 8), at(1, 3)));
        assert!(!known.is_one_log(at(1, 3), at(1, 6)), "the log has lost one of them");
        assert!(known.is_one_log(at(9, 3), at(9, 6)), "the life is unknown");
        let mut raised = mark(1, 4);
        known.raise(&mut raised, region, Position { incarnation: Incarnation(2), lsn: Lsn(6) });
        assert_eq!(raised, mark(2, 6));
        known.raise(&mut raised, region, Position { incarnation: Incarnation(1), lsn: Lsn(3) });
        assert_eq!(raised, mark(2, 6));
    }
}
