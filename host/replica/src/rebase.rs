//! A table that comes to count by another log: the replica goes on with the same rows in another region's log.
//!
//! Rows and stripes carry numbers of the log that they came by, and those of two logs cannot be compared. So all of them get one
//! number of the new log, before which nothing is missing; and whoever has asked something by the old numbers comes too late.

use crate::table::Table;
use littoral_model::{position::Lsn, row::Row};
use littoral_protocol::fill::Stripe;
use std::sync::atomic::{
    AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
};

/// By which log a table counts. Two are equal only when they are of one table and nothing has changed in between; of two in
/// one process the greater began later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Numbering(u64);

impl Numbering {
    /// One that no table had before.
    pub(crate) fn begin() -> Self {
        static LAST: AtomicU64 = AtomicU64::new(0);
        Self(LAST.fetch_add(1, Relaxed) + 1)
    }

    /// It as a number.
    #[must_use]
    pub fn number(self) -> u64 {
        self.0
    }
}

impl Table {
    /// By which log the table counts now.
    #[must_use]
    pub fn numbering(&self) -> Numbering {
        Numbering(self.numbering.load(Acquire))
    }

    /// Counts by another log from now on: everything up to its record `floor` is in the rows. Not beside applying.
    pub fn rebase(&self, floor: Lsn) -> Numbering {
        // First this: a fill that is let in after it was decided by the old numbers would never be corrected.
        let numbering = Numbering::begin();
        self.numbering.store(numbering.number(), Release);
        for shard in &self.core.shards {
            let mut state = shard.0.write();
            state.stripe = Stripe::default();
            state.stripe.publish(floor);
            state.collected_to = floor;
            for row in state.rows.iter_mut() {
                *row = Row::at(row, floor);
            }
        }
        numbering
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::{Config, Filled, Mode};
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
    fn rows_stay_and_what_was_asked_by_the_old_log_comes_too_late() {
        // One shard, as what passes by is published in its key's alone, and the hash puts keys elsewhere in each process.
        let table = Table::new(Config { shards: 1, resident_bytes: Some(1 << 20), ..Config::default() });
        table.set_residency(VIEW, Residency::Resident);
        let merge = MergePolicy::LatestEvent;
        let before = table.numbering();
        assert_eq!(table.fill_by(before, VIEW, b"a", Some(row(b"a", 1, 900)), Lsn(900)), Filled::Taken);
        table.apply(row(b"b", 1, 1_000), merge, Mode::UpdateHeld);
        let after = table.rebase(Lsn(40));
        assert_eq!(table.held(VIEW, b"a").map(|row| row.header().lsn), Some(Lsn(40)));
        // The other log's record 41 has passed by without its key being held.
        table.apply(row(b"b", 2, 41), merge, Mode::UpdateHeld);
        let stale = row(b"b", 1, 1_000);
        assert_eq!(table.fill_by(before, VIEW, b"b", Some(stale), Lsn(1_001)), Filled::NotKept);
        assert!(table.held(VIEW, b"b").is_none());
        assert_eq!(table.fill_by(after, VIEW, b"b", Some(row(b"b", 2, 41)), Lsn(41)), Filled::Taken);
        assert_eq!(table.fill_by(after, VIEW, b"c", None, Lsn(39)), Filled::Overtaken { needs: Lsn(41) });
    }
}
