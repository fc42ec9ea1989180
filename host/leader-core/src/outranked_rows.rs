//! Rows that changed nothing when they were applied, as far back as a write reaches: what receipts say of them.
//!
//! The same records lead to the same losses wherever they are applied, so a retry is answered as the write was, by another
//! member or after a restart too. A snapshot's receipts carry theirs. Only a row that a snapshot holds in a later state than its
//! receipts are of is not judged again, and counts as kept.

use littoral_model::{outranked::Outranked, position::Lsn, region::Region, view::ViewId};
use littoral_replica::Applied;
use std::{collections::VecDeque, ops::Range};

/// Runs of numbers that are remembered at most; the oldest are forgotten. Far more than one write can have.
const RUNS_MAX: usize = 1 << 20;

/// What became of the newest rows of the log.
#[derive(Clone, Debug, Default)]
pub struct OutrankedRows {
    outranked: Runs,
    /// Records that belong to the same row of their write as the one before: a deletion ends the parts of several regions.
    continued: Runs,
    deletion: Option<Deletion>,
}

/// The deletion of a row of parts that the newest record is of.
#[derive(Clone, Debug)]
struct Deletion {
    view: ViewId,
    entity_key: Vec<u8>,
    /// Whose parts it has ended so far.
    regions: Vec<Region>,
    at: Lsn,
}

impl OutrankedRows {
    /// Notes what became of a record's row.
    pub fn add(&mut self, row: &RowRecord<'_>, became: Applied) {
        if self.continues(row) {
            self.continued.push(row.lsn);
        }
        if became == Applied::Outranked {
            self.outranked.push(row.lsn);
        }
    }

    /// Whether a record goes on with the deletion of the one before. A deletion names each region once, so that a region that
    /// comes again is of another deletion of the same row.
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

    /// The rows that changed nothing of a write whose records are these.
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

/// A record's row, as far as its losses hang on it.
#[derive(Clone, Copy, Debug)]
pub struct RowRecord<'a> {
    /// Its number.
    pub lsn: Lsn,
    /// Its view.
    pub view: ViewId,
    /// Whether it is a deletion.
    pub is_deletion: bool,
    /// Its entity key and region, where the view's rows have parts.
    pub part: Option<(&'a [u8], Region)>,
}

impl<'a> RowRecord<'a> {
    /// Of a row of this key; `combines` says whether the view's rows have parts.
    #[must_use]
    pub fn of((lsn, view): (Lsn, ViewId), key: &'a [u8], is_deletion: bool, combines: bool) -> Self {
        let part = if combines { littoral_model::parts::split(key) } else { None };
        Self { lsn, view, is_deletion, part }
    }
}

/// Ascending numbers, as runs.
#[derive(Clone, Debug, Default)]
struct Runs(VecDeque<Range<u64>>);

impl Runs {
    fn push(&mut self, lsn: Lsn) {
        match self.0.back_mut() {
            Some(run) if run.end == lsn.0 => run.end += 1,
            // A record that is applied again is known.
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
    fn rows_are_named_by_their_place_in_the_write() {
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
            // The same row is deleted once more in the same write.
            (row(3, true, Some((b"a", "eu"))), Applied::Outranked),
            (row(4, true, Some((b"a", "us"))), Applied::Outranked),
            (row(5, false, Some((b"a", "eu"))), Applied::Replaced),
            (row(6, true, Some((b"b", "eu"))), Applied::Outranked),
        ];
        records.iter().for_each(|(record, became)| outranked_rows.add(record, *became));
        assert_eq!(outranked_rows.of(Lsn(1), Lsn(6)), Outranked { count: 3, rows: vec![0, 1, 3] });
    }
}
