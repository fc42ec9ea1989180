//! A leader and an edge's replica in small: what the models of the table are told with.

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

/// What the leader has committed, and how far the edge has applied it.
#[derive(Debug)]
pub struct Region {
    log: Vec<Write>,
    committed: Mutex<usize>,
    applied: Mutex<usize>,
    /// The edge's replica.
    pub table: Table,
}

impl Region {
    /// A leader that will commit `log`, and a replica with one stripe that holds the view as `residency`.
    #[must_use]
    pub fn new(log: &[Write], residency: Residency, resident_bytes: Option<u64>) -> Arc<Self> {
        let table = Table::new(Config { shards: 1, resident_bytes, ..Config::default() });
        table.set_residency(VIEW, residency);
        Arc::new(Self { log: log.to_vec(), committed: Mutex::new(0), applied: Mutex::new(0), table })
    }

    /// The leader commits all of its log, record by record.
    pub fn commit_all(&self) {
        for _ in 0..self.log.len() {
            *self.committed.lock() += 1;
            shuttle::thread::yield_now();
        }
    }

    /// The edge applies what is committed, in order, until nothing is left.
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

    /// Asks the leader for a key until its answer is taken, as an edge does. Returns how often it asked.
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
                    assert!(needs > as_of, "an answer as of {as_of:?} was as new as {needs:?}")
                }
            }
        }
        unreachable!("the loop has no end of its own")
    }

    /// Reads a key; what is held must be at least as new as what had been applied before.
    pub fn read(&self, key: u8) {
        let applied = *self.applied.lock();
        let at_least = self.last_write(applied, key);
        let held = match self.table.get(VIEW, &[key]) {
            Held::Row(row) => Some(row.header().lsn),
            Held::Absent | Held::Unknown => None,
        };
        if let (Some(held), Some(at_least)) = (held, at_least) {
            assert!(held >= lsn(at_least), "key {key} read as of {held:?} after {:?} was applied", lsn(at_least));
        }
    }

    /// What must hold when every thread has ended: no key that is held differs from the leader's.
    pub fn equals_the_leader(&self) {
        for key in 0..4 {
            let last = self.last_write(self.log.len(), key);
            let wanted = last.filter(|index| self.log[*index].1).map(lsn);
            match self.table.get(VIEW, &[key]) {
                Held::Row(row) => assert_eq!(Some(row.header().lsn), wanted, "key {key} is not the leader's"),
                Held::Absent => assert_eq!(wanted, None, "key {key} is taken for absent"),
                Held::Unknown => {}
            }
        }
    }

    /// What the table says that it holds is what it holds.
    pub fn counts_are_exact(&self) {
        let counts = self.table.counts(VIEW);
        let rows = self.table.page(VIEW, None, usize::MAX).rows.len() as u64;
        assert_eq!(counts.rows, rows, "rows that are counted and rows that are there");
        assert_eq!(counts.rows + counts.absent, self.table.len() as u64, "with tombstones and misses");
        assert_eq!(counts.bytes == 0, self.table.is_empty(), "bytes are counted for what is there: {counts:?}");
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
        // Longer from write to write, so that bytes that are counted wrongly do not cancel out.
        let body = vec![key; 8 + 40 * index];
        Row::new(meta, &[key], present.then_some(&body[..]))
    }
}

fn lsn(index: usize) -> Lsn {
    Lsn(index as u64 + 1)
}
