//! Remembers which of the newest rows were outranked when they were applied, for the receipts of their writes.
//!
//! The same records have the same result wherever they are applied, so a retry receives the same answer from another
//! member or after a restart. A snapshot's receipts include it. One exception: a row that a snapshot holds in a later
//! state than its receipts is not compared again, and counts as not outranked.

use littoral_model::{outranked::Outranked, position::Lsn, region::Region, view::ViewId};
use littoral_replica::Applied;
use std::{collections::VecDeque, ops::Range};

/// How many runs of LSNs are remembered; the oldest are forgotten. One write has far fewer.
const RUNS_MAX: usize = 1 << 20;

/// The results of the newest rows of the log.
#[derive(Clone, Debug, Default)]
pub struct OutrankedRows {
    outranked: Runs,
    /// Records that belong to the same row of their write as the record before: a deletion ends the parts of several
    /// regions.
    continued: Runs,
    deletion: Option<Deletion>,
}

/// The deletion of a row with parts to which the newest record belongs.
#[derive(Clone, Debug)]
struct Deletion {
    view: ViewId,
    entity_key: Vec<u8>,
    /// The regions whose parts it has deleted so far.
    regions: Vec<Region>,
    at: Lsn,
}

impl OutrankedRows {
    /// Notes the result of applying a record's row.
    pub fn add(&mut self, row: &RowRecord<'_>, became: Applied) {
        if self.continues(row) {
            self.continued.push(row.lsn);
        }
        if became == Applied::Outranked {
            self.outranked.push(row.lsn);
        }
    }

    /// Returns whether a record continues the deletion of the record before. A deletion names each region once, so a
    /// repeated region belongs to another deletion of the same row.
    fn continues(&mut self, row: &RowRecord<'_>) -> bool {
        let Some((entity_key, region)) = row.part.filter(|_| row.is_deletion) else {
            self.deletion = None;
            return false;
        };
        if let Some(deletion) = &mut self.deletion
            && deletion.view == row.view
            && deletion.at.next() == row.lsn
            && deletion.entity_key == entity_key
            && !deletion.regions.contains(&region)
        {
            deletion.regions.push(region);
            deletion.at = row.lsn;
            return true;
        }
        let (entity_key, regions) = (entity_key.to_vec(), vec![region]);
        self.deletion = Some(Deletion { view: row.view, entity_key, regions, at: row.lsn });
        false
    }

    /// Returns the outranked rows of the write with these records.
    #[must_use]
    pub fn of(&self, first: Lsn, last: Lsn) -> Outranked {
        let mut outranked = Outranked::default();
        let mut continued = self.continued.within(first, last).flatten().peekable();
        let mut before = 0;
        for lsn in self.outranked.within(first, last).flatten() {
            while continued.next_if(|further| *further <= lsn).is_some() {
                before += 1;
            }
            outranked.add(u32::try_from(lsn - first.0 - before).unwrap_or(u32::MAX));
        }
        outranked
    }
}

/// What must be known about a record's row.
#[derive(Clone, Copy, Debug)]
pub struct RowRecord<'a> {
    /// The record's LSN.
    pub lsn: Lsn,
    /// Its view.
    pub view: ViewId,
    /// Whether it is a deletion.
    pub is_deletion: bool,
    /// The entity key and region, if the view's rows have parts.
    pub part: Option<(&'a [u8], Region)>,
}

impl<'a> RowRecord<'a> {
    /// Describes a row with this key; `combines` states whether the view's rows have parts.
    #[must_use]
    pub fn of((lsn, view): (Lsn, ViewId), key: &'a [u8], is_deletion: bool, combines: bool) -> Self {
        let part = if combines { littoral_model::parts::split(key) } else { None };
        Self { lsn, view, is_deletion, part }
    }
}

/// Ascending LSNs, as runs.
#[derive(Clone, Debug, Default)]
struct Runs(VecDeque<Range<u64>>);

impl Runs {
    fn push(&mut self, lsn: Lsn) {
        match self.0.back_mut() {
            Some(run) if run.end == lsn.0 => run.end += 1,
            // A record that is applied again is already noted.
            Some(run) if run.end > lsn.0 => {}
            _ => self.0.push_back(lsn.0..lsn.0 + 1),
        }
        if self.0.len() > RUNS_MAX {
            self.0.pop_front();
        }
    }

    fn within(&self, first: Lsn, last: Lsn) -> impl Iterator<Item = Range<u64>> + '_ {
        let from = self.0.partition_point(|run| run.end <= first.0);
        let runs = self.0.range(from..).take_while(move |run| run.start <= last.0);
        runs.map(move |run| run.start.max(first.0)..run.end.min(last.0 + 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(lsn: u64, is_deletion: bool, part: Option<(&'static [u8], &str)>) -> RowRecord<'static> {
        let part = part.map(|(key, region)| (key, region.parse().unwrap()));
        RowRecord { lsn: Lsn(lsn), view: ViewId(1), is_deletion, part }
    }

    #[test]
    fn outranked_rows_are_named_by_their_index_in_the_write() {
        let mut outranked_rows = OutrankedRows::default();
        for lsn in 1..=1_000 {
            let became = if lsn % 3 == 0 || lsn > 500 { Applied::Outranked } else { Applied::Replaced };
            outranked_rows.add(&row(lsn, false, None), became);
        }
        assert_eq!(outranked_rows.of(Lsn(10), Lsn(15)), Outranked { count: 2, rows: vec![2, 5] });
        assert_eq!(outranked_rows.of(Lsn(10), Lsn(11)), Outranked::default());
        assert_eq!(outranked_rows.of(Lsn(499), Lsn(503)), Outranked { count: 3, rows: vec![2, 3, 4] });
        let many = outranked_rows.of(Lsn(501), Lsn(1_000));
        assert_eq!((many.count, many.rows), (500, (0..100).collect()));
        outranked_rows.add(&row(7, false, None), Applied::Outranked);
        assert_eq!(
            outranked_rows.of(Lsn(7), Lsn(7)),
            Outranked::default(),
            "a record that is applied again changes nothing"
        );
    }

    #[test]
    fn a_deletion_of_several_parts_is_one_row() {
        let mut outranked_rows = OutrankedRows::default();
        let records = [
            (row(1, true, Some((b"a", "eu"))), Applied::Replaced),
            (row(2, true, Some((b"a", "us"))), Applied::Outranked),
            // The same write deletes the same row again.
            (row(3, true, Some((b"a", "eu"))), Applied::Outranked),
            (row(4, true, Some((b"a", "us"))), Applied::Outranked),
            (row(5, false, Some((b"a", "eu"))), Applied::Replaced),
            (row(6, true, Some((b"b", "eu"))), Applied::Outranked),
        ];
        records.iter().for_each(|(record, became)| outranked_rows.add(record, *became));
        assert_eq!(outranked_rows.of(Lsn(1), Lsn(6)), Outranked { count: 3, rows: vec![0, 1, 3] });
    }
}
