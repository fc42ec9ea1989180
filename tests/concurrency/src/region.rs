//! A small leader and an edge's replica, for the models of the table.

use crate::replica::{Applied, Config, FillOutcome, Held, Mode, Residency, Table};
use littoral_model::{
    event_time::EventTime, hlc::Hlc, merge::MergePolicy, position::Lsn, row::Row, row::RowMeta, version::Version,
    view::ViewId,
};
use parking_lot::Mutex;
use std::sync::Arc;

/// The view of all rows.
pub const VIEW: ViewId = ViewId(1);

/// A record: its key, and whether it writes a row or deletes it.
pub type Write = (u8, bool);

/// The committed records, and how many of them the edge has applied.
#[derive(Debug)]
pub struct Region {
    log: Vec<Write>,
    committed: Mutex<usize>,
    applied: Mutex<usize>,
    /// The edge's replica.
    pub table: Table,
}

impl Region {
    /// Creates a leader that will commit `log`, and a replica with one stripe whose view has this residency.
    #[must_use]
    pub fn new(log: &[Write], residency: Residency, resident_bytes: Option<u64>) -> Arc<Self> {
        let table = Table::new(Config { shards: 1, resident_bytes, ..Config::default() });
        table.set_residency(VIEW, residency);
        Arc::new(Self { log: log.to_vec(), committed: Mutex::new(0), applied: Mutex::new(0), table })
    }

    /// Commits the whole log, record by record.
    pub fn commit_all(&self) {
        for _ in 0..self.log.len() {
            *self.committed.lock() += 1;
            shuttle::thread::yield_now();
        }
    }

    /// Applies committed records in order until none is left.
    pub fn follow(&self, mode: Mode) {
        let mut next = 0;
        while next < self.log.len() {
            if next == *self.committed.lock() {
                shuttle::thread::yield_now();
                continue;
            }
            let applied = self.table.apply(self.row(next), MergePolicy::default(), mode);
            assert!(mode == Mode::UpdateHeld || applied != Applied::NotHeld);
            next += 1;
            *self.applied.lock() = next;
        }
    }

    /// Requests a key from the leader until its reply is accepted, like an edge. Returns the number of requests.
    pub fn fill(&self, key: u8) -> usize {
        for asked in 1.. {
            let (as_of, row) = {
                let committed = self.committed.lock();
                let last = self.last_write(*committed, key);
                (Lsn(*committed as u64), last.map(|index| self.row(index)))
            };
            shuttle::thread::yield_now();
            match self.table.fill(VIEW, &[key], row, as_of) {
                FillOutcome::Inserted | FillOutcome::NotKept => return asked,
                FillOutcome::Overtaken { needs } => {
                    assert!(needs > as_of, "a reply as of {as_of:?} was as new as {needs:?}")
                }
            }
        }
        unreachable!("the loop ends only by returning")
    }

    /// Reads a key; a held row must be at least as new as the records that were applied before.
    pub fn read(&self, key: u8) {
        let applied = *self.applied.lock();
        let at_least = self.last_write(applied, key);
        let held = match self.table.get(VIEW, &[key]) {
            Held::Row(row) => Some(row.header().lsn),
            Held::Absent | Held::Unknown => None,
        };
        if let (Some(held), Some(at_least)) = (held, at_least) {
            assert!(held >= lsn(at_least), "key {key} was read as of {held:?} after {:?} was applied", lsn(at_least));
        }
    }

    /// Checks, after every thread has ended, that every held key equals the leader's.
    pub fn equals_the_leader(&self) {
        for key in 0..4 {
            let last = self.last_write(self.log.len(), key);
            let wanted = last.filter(|index| self.log[*index].1).map(lsn);
            match self.table.get(VIEW, &[key]) {
                Held::Row(row) => assert_eq!(Some(row.header().lsn), wanted, "key {key} is not the leader's"),
                Held::Absent => assert_eq!(wanted, None, "key {key} counts as absent"),
                Held::Unknown => {}
            }
        }
    }

    /// Checks that the table's counts are those of its content.
    pub fn counts_are_exact(&self) {
        let counts = self.table.counts(VIEW);
        let rows = self.table.page(VIEW, None, usize::MAX).rows.len() as u64;
        assert_eq!(counts.rows, rows, "counted rows and existing rows");
        assert_eq!(counts.rows + counts.absent, self.table.len() as u64, "with tombstones and misses");
        assert_eq!(counts.bytes == 0, self.table.is_empty(), "the counted bytes are those of the content: {counts:?}");
    }

    fn last_write(&self, committed: usize, key: u8) -> Option<usize> {
        self.log[..committed].iter().rposition(|(of, _)| *of == key)
    }

    fn row(&self, index: usize) -> Row {
        let (key, present) = self.log[index];
        let version = Version {
            hlc: Hlc::new(1 + index as u64, 0),
            region: "eu".parse().unwrap_or(littoral_model::region::Region::NONE),
        };
        let meta = RowMeta { view: VIEW, event_time: EventTime(7), version, lsn: lsn(index) };
        // The body grows from write to write, so that wrong counts do not cancel out.
        let body = vec![key; 8 + 40 * index];
        Row::new(meta, &[key], present.then_some(&body[..]))
    }
}

fn lsn(index: usize) -> Lsn {
    Lsn(index as u64 + 1)
}
