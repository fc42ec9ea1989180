//! Epoch histories: which epoch begins at which record of one member's log.
//!
//! Within an epoch one leader appends records densely and in order. So two logs that both contain
//! an epoch agree on its records as far as both extend, and their histories alone determine where
//! they fork.

use littoral_model::position::{Epoch, Lsn};
use serde::{Deserialize, Serialize};

/// A log's epochs, oldest first, and its last record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EpochHistory {
    /// Each epoch with its first record, as far as known. Both ascend. The first entry is the
    /// *base*: the record before the oldest one in the log, which was trimmed or covered by a
    /// snapshot. For a complete log it is record 0 of epoch 0.
    starts: Vec<(Epoch, Lsn)>,
    tail: Lsn,
}

/// Identifies a record by its LSN and the epoch of the leader that appended it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordId {
    /// Its epoch; zero if unknown.
    pub epoch: Epoch,
    /// Its LSN; [`Lsn::NONE`] for none.
    pub lsn: Lsn,
}

/// The error for a record that cannot follow the log's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OutOfOrder {
    /// The record is not the next one.
    #[error("record {got} arrived where {expected} was expected")]
    Gap {
        /// The record received.
        got: Lsn,
        /// The record expected.
        expected: Lsn,
    },
    /// The record's epoch is older than that of the record before it.
    #[error("record {at} of epoch {got} arrived after one of epoch {last}")]
    Epoch {
        /// The record.
        at: Lsn,
        /// Its epoch.
        got: Epoch,
        /// The epoch of the record before it.
        last: Epoch,
    },
}

impl Default for EpochHistory {
    fn default() -> Self {
        Self::after(Epoch(0), Lsn::NONE)
    }
}

impl EpochHistory {
    /// Creates the history of a log that begins after the record `base` of `epoch`, the last
    /// record of a snapshot.
    #[must_use]
    pub fn after(epoch: Epoch, base: Lsn) -> Self {
        Self { starts: vec![(epoch, base)], tail: base }
    }

    /// Returns the last record.
    #[must_use]
    pub const fn tail(&self) -> Lsn {
        self.tail
    }

    /// Returns the record before the oldest one in the log.
    #[must_use]
    pub fn base(&self) -> Lsn {
        self.starts.first().map_or(Lsn::NONE, |(_, base)| *base)
    }

    /// Returns how advanced the log is. The greater of two logs contains everything that may have
    /// been committed in the lesser.
    #[must_use]
    pub fn advance(&self) -> (Epoch, Lsn) {
        (self.starts.last().map_or(Epoch(0), |(epoch, _)| *epoch), self.tail)
    }

    /// Appends a record.
    ///
    /// # Errors
    /// [`OutOfOrder`]; nothing has changed.
    pub fn push(&mut self, epoch: Epoch, lsn: Lsn) -> Result<(), OutOfOrder> {
        self.extend(epoch, lsn, lsn)
    }

    /// Appends the records from `first` to `last`, all of one epoch, in constant time.
    ///
    /// # Errors
    /// [`OutOfOrder`]; nothing has changed.
    pub fn extend(&mut self, epoch: Epoch, first: Lsn, last: Lsn) -> Result<(), OutOfOrder> {
        let (newest, _) = self.advance();
        if first != self.tail.next() || last < first {
            return Err(OutOfOrder::Gap { got: first, expected: self.tail.next() });
        }
        if epoch < newest || epoch == Epoch(0) {
            return Err(OutOfOrder::Epoch { at: first, got: epoch, last: newest });
        }
        if epoch > newest {
            self.starts.push((epoch, first));
        }
        self.tail = last;
        Ok(())
    }

    /// Returns the epoch of a record; `None` before the base and past the end.
    #[must_use]
    pub fn epoch_at(&self, lsn: Lsn) -> Option<Epoch> {
        if lsn > self.tail {
            return None;
        }
        self.starts.iter().rev().find(|(_, first)| *first <= lsn).map(|(epoch, _)| *epoch)
    }

    /// Returns whether the log contains this record, or contained it before trimming.
    #[must_use]
    pub fn has(&self, mark: RecordId) -> bool {
        let same = |epoch: Epoch| epoch == mark.epoch || mark.epoch == Epoch(0);
        // Trimmed records were committed, and so is the given record.
        mark.lsn <= self.tail && self.epoch_at(mark.lsn).is_none_or(same)
    }

    /// Returns the last record of an epoch; `None` if the log has none of it.
    fn last_of(&self, epoch: Epoch) -> Option<Lsn> {
        let at = self.starts.binary_search_by_key(&epoch, |(have, _)| *have).ok()?;
        Some(self.starts.get(at + 1).map_or(self.tail, |(_, next)| Lsn(next.0.saturating_sub(1))))
    }

    /// Returns the common record of two logs. Returns `None` if one of them no longer contains
    /// what follows it, so only a snapshot helps.
    #[must_use]
    pub fn common(&self, other: &Self) -> Option<Lsn> {
        let both = |(epoch, _): &(Epoch, Lsn)| Some(self.last_of(*epoch)?.min(other.last_of(*epoch)?));
        let common = self.starts.iter().rev().find_map(both)?;
        (common >= self.base() && common >= other.base()).then_some(common)
    }

    /// Removes all records after `last`.
    pub fn cut(&mut self, last: Lsn) {
        self.tail = self.tail.min(last.max(self.base()));
        let tail = self.tail;
        self.starts.retain(|(_, first)| *first <= tail);
    }

    /// Trims the records up to `base`.
    pub fn trim(&mut self, base: Lsn) {
        let base = base.min(self.tail);
        if let Some(epoch) = self.epoch_at(base) {
            self.starts.retain(|(_, first)| *first > base);
            self.starts.insert(0, (epoch, base));
        }
    }

    /// Returns whether a peer's history is valid: epochs and records ascend, within the log.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        let ascends = self.starts.is_sorted_by(|a, b| a.0 < b.0 && a.1 < b.1);
        let based = self.starts.first().is_some_and(|(epoch, base)| (epoch.0 == 0) == (*base == Lsn::NONE));
        ascends && based && self.starts.last().is_some_and(|(_, first)| *first <= self.tail)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Creates a log with these epochs, one per record.
    fn log(epochs: &[u64]) -> EpochHistory {
        let mut history = EpochHistory::default();
        for (epoch, lsn) in epochs.iter().zip(1..) {
            history.push(Epoch(*epoch), Lsn(lsn)).unwrap();
        }
        assert!(history.is_valid());
        history
    }

    #[test]
    fn logs_fork_at_the_earlier_end_of_their_last_common_epoch() {
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
    fn the_common_record_agrees_with_a_comparison_record_by_record() {
        // Every pair of logs that can occur: each epoch has one leader, so one continuation of one
        // prefix.
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
    fn a_record_that_does_not_follow_is_rejected() {
        let mut history = log(&[1, 3]);
        assert_eq!(history.push(Epoch(3), Lsn(4)), Err(OutOfOrder::Gap { got: Lsn(4), expected: Lsn(3) }));
        let older = OutOfOrder::Epoch { at: Lsn(3), got: Epoch(2), last: Epoch(3) };
        assert_eq!(history.push(Epoch(2), Lsn(3)), Err(older));
        assert_eq!(history, log(&[1, 3]));
    }

    #[test]
    fn cutting_and_appending_gives_the_log_of_the_remaining_records() {
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
    fn trimmed_logs_find_their_common_record_or_report_that_they_cannot() {
        let (mut long, short) = (log(&[1, 1, 2, 2, 2]), log(&[1, 1, 2]));
        long.trim(Lsn(2));
        assert!(long.is_valid());
        assert_eq!((long.common(&short), short.common(&long)), (Some(Lsn(3)), Some(Lsn(3))));
        assert_eq!((long.epoch_at(Lsn(2)), long.epoch_at(Lsn(3))), (Some(Epoch(1)), Some(Epoch(2))));
        assert_eq!(long.epoch_at(Lsn(1)), None);
        let mut newer = log(&[1, 1, 2, 2, 3, 3]);
        newer.trim(Lsn(5));
        assert_eq!((newer.common(&short), newer.advance()), (None, (Epoch(3), Lsn(6))));
        newer.trim(Lsn(100));
        assert_eq!((newer.is_valid(), newer.base(), newer.advance()), (true, Lsn(6), (Epoch(3), Lsn(6))));
        newer.push(Epoch(3), Lsn(7)).unwrap();
        // The newer log's leader has trimmed records of an epoch that both have.
        let mut same = log(&[1, 1, 2, 2, 2, 2]);
        same.trim(Lsn(5));
        assert_eq!((same.common(&short), short.common(&same)), (None, None));
        let snapshot = EpochHistory::after(Epoch(2), Lsn(5));
        assert_eq!((snapshot.common(&same), snapshot.common(&short)), (Some(Lsn(5)), None));
    }

    #[test]
    fn a_batch_extends_the_history_like_its_records_one_by_one() {
        let mut history = log(&[1, 1]);
        history.extend(Epoch(1), Lsn(3), Lsn(4)).unwrap();
        history.extend(Epoch(3), Lsn(5), Lsn(7)).unwrap();
        assert_eq!(history, log(&[1, 1, 1, 1, 3, 3, 3]));
        let before = history.clone();
        let gap = |got| Err(OutOfOrder::Gap { got: Lsn(got), expected: Lsn(8) });
        assert_eq!(history.extend(Epoch(3), Lsn(9), Lsn(10)), gap(9));
        assert_eq!(history.extend(Epoch(3), Lsn(8), Lsn(7)), gap(8));
        let older = Err(OutOfOrder::Epoch { at: Lsn(8), got: Epoch(2), last: Epoch(3) });
        assert_eq!(history.extend(Epoch(2), Lsn(8), Lsn(9)), older);
        assert_eq!(history, before);
    }

    #[test]
    fn an_impossible_history_is_detected() {
        let sound = log(&[1, 2, 2]);
        let unsound = |change: fn(&mut EpochHistory)| {
            let mut history = sound.clone();
            change(&mut history);
            assert!(!history.is_valid(), "{history:?}");
        };
        unsound(|history| history.starts.reverse());
        unsound(|history| history.starts[1].0 = Epoch(0));
        unsound(|history| history.starts[0].0 = Epoch(1));
        unsound(|history| history.starts[2].1 = Lsn(1));
        unsound(|history| history.tail = Lsn(1));
        unsound(|history| history.starts.clear());
    }
}
