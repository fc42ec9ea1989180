//! The conflict ledger: every write that lost against another region's, with both versions, up to a bound.

use littoral_model::{conflict::Conflict, version::Version};
use std::collections::{HashSet, VecDeque};

/// Conflicts, oldest first. The oldest are dropped when there are too many or they use too much memory.
#[derive(Clone, Debug)]
pub struct Ledger {
    conflicts: VecDeque<Conflict>,
    known: HashSet<(Version, Version)>,
    count_max: usize,
    bytes_max: usize,
    bytes: usize,
    dropped: u64,
}

impl Ledger {
    /// Creates an empty ledger for at most `count_max` conflicts and `bytes_max` bytes of rows.
    #[must_use]
    pub fn new(count_max: usize, bytes_max: usize) -> Self {
        let (conflicts, known) = (VecDeque::new(), HashSet::new());
        Self { conflicts, known, count_max, bytes_max, bytes: 0, dropped: 0 }
    }

    /// Adds a conflict. Returns false if it is already in the ledger, for example after a restart.
    pub fn add(&mut self, conflict: Conflict) -> bool {
        if !self.known.insert(conflict.writes()) {
            return false;
        }
        self.bytes += size(&conflict);
        self.conflicts.push_back(conflict);
        while (self.conflicts.len() > self.count_max || self.bytes > self.bytes_max)
            && let Some(oldest) = self.conflicts.pop_front()
        {
            self.bytes -= size(&oldest);
            self.known.remove(&oldest.writes());
            self.dropped += 1;
        }
        true
    }

    /// Returns all conflicts, oldest first.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Conflict> {
        self.conflicts.iter()
    }

    /// Returns how many conflicts were dropped since the start because there were too many.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped
    }
}

fn size(conflict: &Conflict) -> usize {
    let body = |body: &Option<bytes::Bytes>| body.as_ref().map_or(0, bytes::Bytes::len);
    size_of::<Conflict>() + conflict.key.len() + body(&conflict.kept.body) + body(&conflict.lost.body)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use littoral_model::{conflict::ConflictSide, event_time::EventTime, hlc::Hlc, position::Lsn, view::ViewId};

    fn conflict(number: u64, body: usize) -> Conflict {
        let side = |region: &str| ConflictSide {
            version: Version { hlc: Hlc(number), region: region.parse().unwrap() },
            event_time: EventTime(0),
            body: Some(Bytes::from(vec![0; body])),
        };
        let (kept, lost) = (side("b"), side("a"));
        Conflict { view: ViewId(1), key: Bytes::from_static(b"key"), kept, lost, lsn: Lsn(number) }
    }

    #[test]
    fn a_conflict_is_recorded_once_and_the_oldest_are_dropped_first() {
        let mut ledger = Ledger::new(3, 1 << 20);
        for number in [1, 2, 2, 3, 4] {
            ledger.add(conflict(number, 10));
        }
        let numbers = |ledger: &Ledger| ledger.iter().map(|conflict| conflict.lsn.0).collect::<Vec<_>>();
        assert_eq!((numbers(&ledger), ledger.dropped()), (vec![2, 3, 4], 1));
        assert!(!ledger.add(conflict(3, 10)));
        let mut narrow = Ledger::new(100, 4_000);
        for number in 1..=5 {
            narrow.add(conflict(number, 700));
        }
        assert_eq!((numbers(&narrow), narrow.dropped()), (vec![4, 5], 3));
    }
}
