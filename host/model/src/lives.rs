//! The lives of a log: where each began, and whether a position belongs to the log.
//!
//! A log lives anew whenever it is opened or a member begins to lead it: the first record then is a `Begin`
//! ([`crate::record::Payload::Begin`]), which draws a random number that names the life. A [`Position`] names the life and the LSN, so two
//! copies of one log that went on apart can be told from each other, although both count on from the same record.
//! `host/decisions/0013-lives-of-a-log.md` says why.

use crate::{
    cluster::Belonging,
    mutation::{Mutation, active},
    position::{Incarnation, Lsn, Position},
    region::Region,
    token::Watermark,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Lives that a history lists. Older ones are dropped, and with them the tokens that name them.
pub const LIVES_MAX: usize = 1_024;

/// Where one life of a log began.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Start {
    /// The life.
    pub life: Incarnation,
    /// Its first record, the `Begin` that names it; [`Lsn::NONE`] of a log's first life.
    pub first: Lsn,
    /// The life before; itself, for a log's first life.
    pub after: Incarnation,
    /// Up to here the log is what everybody holds who knows the life before. The record before `first`, unless the log had been
    /// put back while it ran: then two records may bear one number of the life before, and only its first is certain.
    pub shared: Lsn,
}

impl Start {
    /// Of a log's first life.
    const fn of(log: Incarnation) -> Self {
        Self { life: log, first: Lsn::NONE, after: log, shared: Lsn::NONE }
    }
}

/// The history of one log: its lives, oldest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lives {
    log: Incarnation,
    starts: Vec<Start>,
}

impl Lives {
    /// A log with its first life alone. That is also what stands for the log of a program that knew no lives.
    #[must_use]
    pub fn of(log: Incarnation) -> Self {
        Self { log, starts: vec![Start::of(log)] }
    }

    /// The name of the log: its first life's. It stays the same as long as there is the log.
    #[must_use]
    pub const fn log(&self) -> Incarnation {
        self.log
    }

    /// The newest life.
    #[must_use]
    pub fn current(&self) -> Incarnation {
        self.newest().life
    }

    fn newest(&self) -> Start {
        self.starts.last().copied().unwrap_or(Start::of(self.log))
    }

    /// The lives, oldest first.
    #[must_use]
    pub fn starts(&self) -> &[Start] {
        &self.starts
    }

    /// Another life begins; those that had begun since the one before it are of a copy that is given up. Nothing changes when it is known.
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

    /// Whether it is one of this log's lives.
    #[must_use]
    pub fn lists(&self, life: Incarnation) -> bool {
        self.newest().life == life || self.starts.iter().any(|start| start.life == life)
    }

    /// The life that a position names with this record: the one in which it was written, or, where the number was given twice in
    /// that, the one that followed.
    #[must_use]
    pub fn at(&self, lsn: Lsn) -> Incarnation {
        let newest = self.newest();
        if newest.shared < lsn {
            return newest.life;
        }
        let after = self.starts.partition_point(|start| start.shared < lsn);
        after.checked_sub(1).and_then(|at| self.starts.get(at)).map_or(self.log, |start| start.life)
    }

    /// The position of a record of this log.
    #[must_use]
    pub fn position(&self, lsn: Lsn) -> Position {
        Position { incarnation: self.at(lsn), lsn }
    }

    /// The last record of a life that is certain to be in this log, which ends with `head`; `None` when the log has no such life.
    #[must_use]
    pub fn end(&self, life: Incarnation, head: Lsn) -> Option<Lsn> {
        let at = self.starts.iter().rposition(|start| start.life == life)?;
        Some(self.starts.get(at + 1).map_or(head, |next| next.shared.min(head)))
    }

    /// Whether a position belongs to this log, which ends with `head`: its life is listed, and it is before the life that follows
    /// and not past the head. Where both hold the record's hash, the hashes must agree too.
    #[must_use]
    pub fn has(&self, position: Position, head: Lsn) -> bool {
        self.end(position.incarnation, head).is_some_and(|end| position.lsn <= end)
    }

    /// Whether a position will never belong to this log, however far it goes on: it is past where the log forked from what the
    /// position is of. A life that is not listed may still come.
    #[must_use]
    pub fn has_lost(&self, position: Position) -> bool {
        self.end(position.incarnation, Lsn(u64::MAX)).is_some_and(|end| position.lsn > end)
    }

    /// The last record that this log, which ends with `head`, has in common with another; `None` when they have no life in
    /// common.
    #[must_use]
    pub fn common(&self, head: Lsn, other: &Lives, other_head: Lsn) -> Option<Position> {
        let both = other.starts.iter().rev().find(|start| self.lists(start.life))?.life;
        let lsn = self.end(both, head)?.min(other.end(both, other_head)?);
        Some(Position { incarnation: both, lsn })
    }

    /// Whether it ends with a life that `other` has too and that went on there.
    #[must_use]
    pub fn is_past_of(&self, other: &Lives) -> bool {
        other.current() != self.current() && other.lists(self.current())
    }
}

/// The histories of the regions' logs, as far as they are known at one place.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegionLives {
    of: BTreeMap<Region, Lives>,
    belongs: Option<Belonging>,
}

impl RegionLives {
    /// Where this place's own log belongs, or the log that is followed, as far as that is written down.
    #[must_use]
    pub const fn belongs(&self) -> Option<Belonging> {
        self.belongs
    }

    /// That is where it belongs from now on.
    pub fn set_belongs(&mut self, belongs: Option<Belonging>) {
        self.belongs = belongs;
    }

    /// The history of this region's log.
    #[must_use]
    pub fn get(&self, region: Region) -> Option<&Lives> {
        self.of.get(&region)
    }

    /// The history of a region's log, which is known by this life's name if it was not known before.
    pub fn entry(&mut self, region: Region, life: Incarnation) -> &mut Lives {
        self.of.entry(region).or_insert_with(|| Lives::of(life))
    }

    /// This is the history of a region's log from now on.
    pub fn set(&mut self, region: Region, lives: Lives) {
        self.of.insert(region, lives);
    }

    /// The history of the log that has this life.
    #[must_use]
    pub fn with_life(&self, life: Incarnation) -> Option<&Lives> {
        self.of.values().find(|lives| lives.lists(life))
    }

    /// Whether a position of a region's log will never belong to it, as the log forked before ([`Lives::has_lost`]).
    #[must_use]
    pub fn has_lost(&self, region: Region, position: Position) -> bool {
        self.get(region).is_some_and(|lives| lives.has_lost(position))
    }

    /// Whether `have` includes `wanted`, a position of the same region. Other lives of one log are compared by its history.
    #[must_use]
    pub fn reaches(&self, region: Region, have: Position, wanted: Position) -> bool {
        let same = have.incarnation == wanted.incarnation || active(Mutation::EqualNumbersAreOneRecord);
        if wanted.lsn == Lsn::NONE || same {
            return have.lsn >= wanted.lsn;
        }
        self.get(region).is_some_and(|lives| lives.has(wanted, have.lsn) && lives.has(have, Lsn(u64::MAX)))
    }

    /// Whether `have` includes `wanted`, two positions of one region's log, whichever it is.
    #[must_use]
    pub fn includes(&self, have: Position, wanted: Position) -> bool {
        match self.with_life(have.incarnation) {
            Some(lives) => lives.has(wanted, have.lsn) && lives.has(have, Lsn(u64::MAX)),
            None => have.incarnation == wanted.incarnation && have.lsn >= wanted.lsn,
        }
    }

    /// Whether two positions are of one log, and neither of what it has lost.
    #[must_use]
    pub fn is_one_log(&self, a: Position, b: Position) -> bool {
        self.includes(a, b) || self.includes(b, a)
    }

    /// Whether everything that `demand` asks for is in `have`. A position of another log, or of a life that is not known here,
    /// is never reached.
    #[must_use]
    pub fn covers(&self, have: &Watermark, demand: &Watermark) -> bool {
        demand.iter().all(|(region, incarnation, lsn)| {
            let here = have.get(region).map(|(incarnation, lsn)| Position { incarnation, lsn });
            lsn == Lsn::NONE || here.is_some_and(|here| self.reaches(region, here, Position { incarnation, lsn }))
        })
    }

    /// The part of `all` that `have` does not cover.
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

    /// Sets a region's position in `watermark`, unless it is further already in the same log.
    pub fn raise(&self, watermark: &mut Watermark, region: Region, position: Position) {
        let here = watermark.get(region).map(|(incarnation, lsn)| Position { incarnation, lsn });
        let further = here.is_some_and(|here| here != Position::default() && self.reaches(region, here, position));
        if !further {
            watermark.set(region, position.incarnation, position.lsn);
        }
    }

    /// The regions and their histories.
    pub fn iter(&self) -> impl Iterator<Item = (Region, &Lives)> {
        self.of.iter().map(|(region, lives)| (*region, lives))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start((after, life): (u64, u64), first: u64) -> Start {
        Start { life: Incarnation(life), first: Lsn(first), after: Incarnation(after), shared: Lsn(first - 1) }
    }

    fn lives(starts: &[(u64, u64)]) -> Lives {
        let mut lives = Lives::of(Incarnation(1));
        for (life, first) in starts {
            let after = lives.current().0;
            lives.begin(start((after, *life), *first));
        }
        lives
    }

    fn at(life: u64, lsn: u64) -> Position {
        Position { incarnation: Incarnation(life), lsn: Lsn(lsn) }
    }

    #[test]
    fn a_position_belongs_until_the_next_life_begins() {
        let log = lives(&[(2, 5), (3, 9)]);
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
    fn copies_of_a_log_fork_where_the_older_of_their_last_common_life_ends() {
        let common = |a: &Lives, a_head, b: &Lives, b_head| {
            let one = a.common(Lsn(a_head), b, Lsn(b_head));
            assert_eq!(one, b.common(Lsn(b_head), a, Lsn(a_head)));
            one
        };
        let (original, copy) = (lives(&[(2, 5)]), lives(&[(3, 4)]));
        assert_eq!(common(&original, 9, &copy, 6), Some(at(1, 3)), "put back before the last life began");
        let copy = lives(&[(2, 5), (3, 8)]);
        assert_eq!(common(&original, 9, &copy, 12), Some(at(2, 7)), "put back within it");
        let again = lives(&[(2, 5), (4, 8)]);
        assert_eq!(common(&copy, 12, &again, 9), Some(at(2, 7)), "put back twice to one copy");
        assert_eq!(common(&original, 9, &lives(&[]), 30), Some(at(1, 4)));
        assert_eq!(original.common(Lsn(9), &Lives::of(Incarnation(77)), Lsn(9)), None, "another log");
        assert!(original.is_past_of(&copy) && !copy.is_past_of(&original) && !copy.is_past_of(&again));
    }

    #[test]
    fn of_a_life_that_was_put_back_while_it_ran_only_the_first_record_is_certain() {
        let mut log = lives(&[(2, 5)]);
        log.begin(Start { shared: Lsn(5), ..start((2, 3), 9) });
        assert!(log.has(at(2, 5), Lsn(20)) && log.has_lost(at(2, 6)) && log.has(at(3, 9), Lsn(20)));
        assert!(log.has(at(1, 4), Lsn(20)), "earlier lives are whole");
        for lsn in 1..20 {
            assert!(
                log.has(log.position(Lsn(lsn)), Lsn(20)),
                "every record of the log has a position that belongs to it"
            );
        }
        let mut log = lives(&[]);
        log.begin(Start { shared: Lsn::NONE, ..start((1, 3), 9) });
        assert!(log.has_lost(at(1, 1)) && log.has(at(1, 0), Lsn(20)));
    }

    #[test]
    fn a_history_is_bounded_and_a_copy_drops_what_came_in_between() {
        let mut log = lives(&[]);
        for life in 0..2 * LIVES_MAX as u64 {
            log.begin(start((log.current().0, life + 10), life + 1));
        }
        assert_eq!((log.starts().len(), log.log()), (LIVES_MAX, Incarnation(1)));
        assert!(!log.lists(Incarnation(10)) && !log.has_lost(at(10, 1)));
        let mut log = lives(&[(2, 5), (3, 9)]);
        log.begin(start((3, 2), 20));
        assert_eq!(log, lives(&[(2, 5), (3, 9)]), "it is known");
        let mut log = lives(&[(2, 5), (3, 9)]);
        log.begin(start((2, 4), 20));
        assert_eq!(log, lives(&[(2, 5), (4, 20)]), "a copy goes on from the life before");
    }

    #[test]
    fn tokens_of_earlier_lives_are_covered_and_those_past_a_fork_are_not() {
        let region: Region = "a".parse().unwrap();
        let mut known = RegionLives::default();
        known.set(region, lives(&[(2, 5)]));
        let mark = |life, lsn| Watermark::at(region, Incarnation(life), Lsn(lsn));
        let have = mark(2, 8);
        assert!(known.covers(&have, &mark(1, 4)) && known.covers(&have, &mark(2, 8)));
        assert!(
            !known.covers(&have, &mark(1, 5)) && !known.covers(&have, &mark(2, 9)) && !known.covers(&have, &mark(3, 1))
        );
        assert!(!known.covers(&mark(1, 3), &mark(1, 4)) && !known.covers(&mark(1, 3), &mark(2, 6)));
        assert_eq!(known.beyond(&mark(1, 5), &have), mark(1, 5));
        assert!(known.is_one_log(at(1, 3), at(2, 8)) && known.is_one_log(at(2, 8), at(1, 3)));
        assert!(!known.is_one_log(at(1, 3), at(1, 6)), "the log has lost the one");
        assert!(known.is_one_log(at(9, 3), at(9, 6)), "nothing is known of the life");
        let mut raised = mark(1, 4);
        known.raise(&mut raised, region, Position { incarnation: Incarnation(2), lsn: Lsn(6) });
        assert_eq!(raised, mark(2, 6));
        known.raise(&mut raised, region, Position { incarnation: Incarnation(1), lsn: Lsn(3) });
        assert_eq!(raised, mark(2, 6));
    }
}
