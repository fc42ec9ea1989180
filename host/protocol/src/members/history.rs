//! Which epoch begins at which record of one member's log.
//!
//! Within an epoch one leader appends, densely and in order. So two logs that both have an epoch agree on its records as far
//! as both go, and where they part is found from their histories alone.

use littoral_model::position::{Epoch, Lsn};
use serde::{Deserialize, Serialize};

/// A log's epochs, oldest first, and its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    /// Each epoch with the first record that is known to be of it. Both ascend. The first entry is the *base*: the record
    /// before all that the log holds, trimmed or given by a snapshot; record 0 of epoch 0 for a log that is whole.
    starts: Vec<(Epoch, Lsn)>,
    tail: Lsn,
}

/// One record, by its number and the epoch of the leader that appended it: no other record has both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// Its epoch; zero when that is not known.
    pub epoch: Epoch,
    /// Its number; [`Lsn::NONE`] for none.
    pub lsn: Lsn,
}

/// A record that cannot follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// Not the next one.
    #[error("record {got} came where {expected} was expected")]
    Gap {
        /// What came.
        got: Lsn,
        /// What had to come.
        expected: Lsn,
    },
    /// Of an older epoch than the one before.
    #[error("record {at} of epoch {got} came after one of epoch {last}")]
    Epoch {
        /// The record.
        at: Lsn,
        /// Its epoch.
        got: Epoch,
        /// That of the record before.
        last: Epoch,
    },
}

impl Default for History {
    fn default() -> Self {
        Self::after(Epoch(0), Lsn::NONE)
    }
}

impl History {
    /// A log that begins after the record `base`, which is of `epoch`: the end of a snapshot.
    #[must_use]
    pub fn after(epoch: Epoch, base: Lsn) -> Self {
        Self { starts: vec![(epoch, base)], tail: base }
    }

    /// The last record.
    #[must_use]
    pub const fn tail(&self) -> Lsn {
        self.tail
    }

    /// The record before the oldest that the log holds.
    #[must_use]
    pub fn base(&self) -> Lsn {
        self.starts.first().map_or(Lsn::NONE, |(_, base)| *base)
    }

    /// How advanced the log is: of two, the greater one has everything that may have been committed in the lesser.
    #[must_use]
    pub fn advance(&self) -> (Epoch, Lsn) {
        (self.starts.last().map_or(Epoch(0), |(epoch, _)| *epoch), self.tail)
    }

    /// Appends a record.
    ///
    /// # Errors
    /// [`Unfit`]; nothing has changed.
    pub fn push(&mut self, epoch: Epoch, lsn: Lsn) -> Result<(), Unfit> {
        self.extend(epoch, lsn, lsn)
    }

    /// Appends the records from `first` to `last`, all of one epoch. Takes the same time for any number of them.
    ///
    /// # Errors
    /// [`Unfit`]; nothing has changed.
    pub fn extend(&mut self, epoch: Epoch, first: Lsn, last: Lsn) -> Result<(), Unfit> {
        let (newest, _) = self.advance();
        if first != self.tail.next() || last < first {
            return Err(Unfit::Gap { got: first, expected: self.tail.next() });
        }
        if epoch < newest || epoch == Epoch(0) {
            return Err(Unfit::Epoch { at: first, got: epoch, last: newest });
        }
        if epoch > newest {
            self.starts.push((epoch, first));
        }
        self.tail = last;
        Ok(())
    }

    /// The epoch of a record; `None` before the base and past the end.
    #[must_use]
    pub fn epoch_at(&self, lsn: Lsn) -> Option<Epoch> {
        if lsn > self.tail {
            return None;
        }
        self.starts.iter().rev().find(|(_, first)| *first <= lsn).map(|(epoch, _)| *epoch)
    }

    /// Whether the log has this record, or had it before it was trimmed.
    #[must_use]
    pub fn has(&self, mark: Mark) -> bool {
        let same = |epoch: Epoch| epoch == mark.epoch || mark.epoch == Epoch(0);
        // What was trimmed was committed, as the mark's record is.
        mark.lsn <= self.tail && self.epoch_at(mark.lsn).is_none_or(same)
    }

    /// The last record of an epoch; `None` when the log has none of it.
    fn last_of(&self, epoch: Epoch) -> Option<Lsn> {
        let at = self.starts.binary_search_by_key(&epoch, |(have, _)| *have).ok()?;
        Some(self.starts.get(at + 1).map_or(self.tail, |(_, next)| Lsn(next.0.saturating_sub(1))))
    }

    /// The last record that both logs have alike. `None` when one of them does not hold what follows it, so that only a
    /// snapshot helps.
    #[must_use]
    pub fn common(&self, other: &Self) -> Option<Lsn> {
        let both = |(epoch, _): &(Epoch, Lsn)| Some(self.last_of(*epoch)?.min(other.last_of(*epoch)?));
        let common = self.starts.iter().rev().find_map(both)?;
        (common >= self.base() && common >= other.base()).then_some(common)
    }

    /// Gives up all records after `last`.
    pub fn cut(&mut self, last: Lsn) {
        self.tail = self.tail.min(last.max(self.base()));
        let tail = self.tail;
        self.starts.retain(|(_, first)| *first <= tail);
    }

    /// The records up to `base` are let go of.
    pub fn trim(&mut self, base: Lsn) {
        let base = base.min(self.tail);
        if let Some(epoch) = self.epoch_at(base) {
            self.starts.retain(|(_, first)| *first > base);
            self.starts.insert(0, (epoch, base));
        }
    }

    /// Whether a peer's history can be one: epochs and records ascend, within the log.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        let ascends = self.starts.is_sorted_by(|a, b| a.0 < b.0 && a.1 < b.1);
        let based = self.starts.first().is_some_and(|(epoch, base)| (epoch.0 == 0) == (*base == Lsn::NONE));
        ascends && based && self.starts.last().is_some_and(|(_, first)| *first <= self.tail)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A log with these epochs, record by record.
    fn log(epochs: &[u64]) -> History {
        let mut history = History::default();
        for (epoch, lsn) in epochs.iter().zip(1..) {
            history.push(Epoch(*epoch), Lsn(lsn)).unwrap();
        }
        assert!(history.is_sound());
        history
    }

    #[test]
    fn logs_part_where_their_last_common_epoch_ends_in_one_of_them() {
        for (a, b, common) in [
            (&[][..], &[][..], 0),
            (&[1, 1, 1], &[1, 1], 2),
            (&[1, 1, 2, 2], &[1, 1, 2], 3),
            (&[1, 1, 2, 2], &[1, 1, 1, 3], 2),
            (&[1, 2, 2], &[1, 1, 1, 1], 1),
            (&[1, 1, 2], &[1, 1, 3], 2),
            (&[2, 2], &[1, 3], 0),
            (&[1, 2, 4], &[1, 2, 2, 3], 2),
        ] {
            let (a, b) = (log(a), log(b));
            assert_eq!((a.common(&b), b.common(&a)), (Some(Lsn(common)), Some(Lsn(common))), "{a:?} {b:?}");
        }
    }

    #[test]
    fn where_logs_part_agrees_with_comparing_them_record_by_record() {
        // Every pair of logs that could come about: each epoch has one leader, so one continuation of one prefix.
        let prefix = [1, 1, 2, 2, 4];
        for len in 0..=prefix.len() {
            for ends in 0..=prefix.len() {
                let (mut a, mut b) = (prefix[..len].to_vec(), prefix[..ends].to_vec());
                a.extend([5, 5]);
                b.extend([6, 6, 7]);
                let same = a.iter().zip(&b).take_while(|(x, y)| x == y).count();
                assert_eq!(log(&a).common(&log(&b)), Some(Lsn(same as u64)), "{a:?} {b:?}");
            }
        }
    }

    #[test]
    fn what_does_not_follow_is_refused() {
        let mut history = log(&[1, 3]);
        assert_eq!(history.push(Epoch(3), Lsn(4)), Err(Unfit::Gap { got: Lsn(4), expected: Lsn(3) }));
        let older = Unfit::Epoch { at: Lsn(3), got: Epoch(2), last: Epoch(3) };
        assert_eq!(history.push(Epoch(2), Lsn(3)), Err(older));
        assert_eq!(history, log(&[1, 3]));
    }

    #[test]
    fn cutting_and_appending_again_makes_the_log_of_what_is_left() {
        let mut history = log(&[1, 1, 2, 2, 3]);
        history.cut(Lsn(3));
        assert_eq!(history, log(&[1, 1, 2]));
        history.cut(Lsn(2));
        assert_eq!((history.clone(), history.epoch_at(Lsn(3))), (log(&[1, 1]), None));
        history.push(Epoch(7), Lsn(3)).unwrap();
        assert_eq!(history, log(&[1, 1, 7]));
        history.cut(Lsn::NONE);
        assert_eq!(history, log(&[]));
    }

    #[test]
    fn trimmed_logs_still_find_where_they_part_or_say_that_they_cannot() {
        let (mut long, short) = (log(&[1, 1, 2, 2, 2]), log(&[1, 1, 2]));
        long.trim(Lsn(2));
        assert!(long.is_sound());
        assert_eq!((long.common(&short), short.common(&long)), (Some(Lsn(3)), Some(Lsn(3))));
        assert_eq!((long.epoch_at(Lsn(2)), long.epoch_at(Lsn(3))), (Some(Epoch(1)), Some(Epoch(2))));
        assert_eq!(long.epoch_at(Lsn(1)), None);
        let mut newer = log(&[1, 1, 2, 2, 3, 3]);
        newer.trim(Lsn(5));
        assert_eq!((newer.common(&short), newer.advance()), (None, (Epoch(3), Lsn(6))));
        newer.trim(Lsn(100));
        assert_eq!((newer.is_sound(), newer.base(), newer.advance()), (true, Lsn(6), (Epoch(3), Lsn(6))));
        newer.push(Epoch(3), Lsn(7)).unwrap();
        // The newer log's leader has let go of records of an epoch that both have.
        let mut same = log(&[1, 1, 2, 2, 2, 2]);
        same.trim(Lsn(5));
        assert_eq!((same.common(&short), short.common(&same)), (None, None));
        let snapshot = History::after(Epoch(2), Lsn(5));
        assert_eq!((snapshot.common(&same), snapshot.common(&short)), (Some(Lsn(5)), None));
    }

    #[test]
    fn a_batch_leads_to_the_history_that_its_records_lead_to_one_by_one() {
        let mut history = log(&[1, 1]);
        history.extend(Epoch(1), Lsn(3), Lsn(4)).unwrap();
        history.extend(Epoch(3), Lsn(5), Lsn(7)).unwrap();
        assert_eq!(history, log(&[1, 1, 1, 1, 3, 3, 3]));
        let before = history.clone();
        let gap = |got| Err(Unfit::Gap { got: Lsn(got), expected: Lsn(8) });
        assert_eq!(history.extend(Epoch(3), Lsn(9), Lsn(10)), gap(9));
        assert_eq!(history.extend(Epoch(3), Lsn(8), Lsn(7)), gap(8));
        let older = Err(Unfit::Epoch { at: Lsn(8), got: Epoch(2), last: Epoch(3) });
        assert_eq!(history.extend(Epoch(2), Lsn(8), Lsn(9)), older);
        assert_eq!(history, before);
    }

    #[test]
    fn a_history_that_cannot_be_is_told() {
        let sound = log(&[1, 2, 2]);
        let unsound = |change: fn(&mut History)| {
            let mut history = sound.clone();
            change(&mut history);
            assert!(!history.is_sound(), "{history:?}");
        };
        unsound(|history| history.starts.reverse());
        unsound(|history| history.starts[1].0 = Epoch(0));
        unsound(|history| history.starts[0].0 = Epoch(1));
        unsound(|history| history.starts[2].1 = Lsn(1));
        unsound(|history| history.tail = Lsn(1));
        unsound(|history| history.starts.clear());
    }
}
