//! Rebase: a replica keeps its rows and continues in another region's log.
//!
//! Rows and stripes contain LSNs of the log from which they arrived, and LSNs of two logs cannot
//! be compared. So all of them get one LSN of the new log, up to which nothing is missing. A fill
//! or repair that was requested under the old LSNs is discarded.

use crate::table::Table;
use littoral_model::{position::Lsn, row::Row};
use littoral_protocol::fill::Stripe;
use std::sync::atomic::{
    AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
};

/// Identifies the log to which a table's LSNs belong. Two values are equal only if they belong to one table and no
/// rebase happened in between. Within one process, the greater one began later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Generation(u64);

impl Generation {
    /// Creates one that no table had before.
    #[must_use]
    pub fn begin() -> Self {
        static LAST: AtomicU64 = AtomicU64::new(0);
        Self(LAST.fetch_add(1, Relaxed) + 1)
    }

    /// Returns the number.
    #[must_use]
    pub fn number(self) -> u64 {
        self.0
    }
}

impl Table {
    /// Returns the current generation.
    #[must_use]
    pub fn generation(&self) -> Generation {
        Generation(self.generation.load(Acquire))
    }

    /// Switches to the LSNs of another log: the rows include everything up to its record `floor`.
    /// Must not run concurrently with applying.
    pub fn rebase(&self, floor: Lsn) -> Generation {
        // Change this first: a fill that is admitted by the old LSNs would never be corrected.
        let generation = Generation::begin();
        self.generation.store(generation.number(), Release);
        for shard in &self.core.shards {
            let mut state = shard.0.write();
            state.stripe = Stripe::default();
            state.stripe.publish(floor);
            state.collected_to = floor;
            for row in state.rows.iter_mut() {
                *row = Row::at(row, floor);
            }
        }
        generation
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::{Config, FillOutcome, Mode};
    use crate::view::Residency;
    use littoral_model::{
        event_time::EventTime, hlc::Hlc, merge::MergePolicy, row::RowMeta, version::Version, view::ViewId,
    };

    const VIEW: ViewId = ViewId(1);

    fn row(key: &[u8], hlc: u64, lsn: u64) -> Row {
        let version = Version { hlc: Hlc(hlc), region: "a".parse().unwrap() };
        Row::new(RowMeta { view: VIEW, event_time: EventTime(0), version, lsn: Lsn(lsn) }, key, Some(b"body"))
    }

    #[test]
    fn a_rebase_keeps_rows_and_discards_fills_requested_before_it() {
        // One shard, because a record is published only in its key's stripe, and keys hash to
        // different shards in each process.
        let table = Table::new(Config { shards: 1, resident_bytes: Some(1 << 20), ..Config::default() });
        table.set_residency(VIEW, Residency::Resident);
        let merge = MergePolicy::LatestEvent;
        let before = table.generation();
        assert_eq!(table.fill_in(before, VIEW, b"a", Some(row(b"a", 1, 900)), Lsn(900)), FillOutcome::Inserted);
        table.apply(row(b"b", 1, 1_000), merge, Mode::UpdateHeld);
        let after = table.rebase(Lsn(40));
        assert_eq!(table.held(VIEW, b"a").map(|row| row.header().lsn), Some(Lsn(40)));
        // Record 41 of the other log passes while its key is not held.
        table.apply(row(b"b", 2, 41), merge, Mode::UpdateHeld);
        let stale = row(b"b", 1, 1_000);
        assert_eq!(table.fill_in(before, VIEW, b"b", Some(stale), Lsn(1_001)), FillOutcome::NotKept);
        assert!(table.held(VIEW, b"b").is_none());
        assert_eq!(table.fill_in(after, VIEW, b"b", Some(row(b"b", 2, 41)), Lsn(41)), FillOutcome::Inserted);
        assert_eq!(table.fill_in(after, VIEW, b"c", None, Lsn(39)), FillOutcome::Overtaken { needs: Lsn(41) });
    }
}
