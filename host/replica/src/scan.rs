//! Scans of the table: for snapshots, and page by page for comparison and browsing.

use crate::table::{Table, is_miss};
use littoral_model::{
    mutation::{Mutation, active},
    read::RowPage,
    row::Row,
    view::ViewId,
};
use parking_lot::Mutex;
use std::{collections::BinaryHeap, sync::Arc};

/// Tombstones collected while a snapshot is read.
pub(crate) type Graves = Mutex<Vec<Row>>;

/// Every row and tombstone, in chunks. A shard's lock is held only while the references to its
/// rows are cloned. Rows that change during the scan are returned as they are when their shard is
/// read.
#[derive(Debug)]
pub struct Chunks {
    table: Arc<Table>,
    next_shard: usize,
    waiting: Vec<Row>,
    /// Tombstones collected since the scan began. The snapshot's position is before the collecting record, and writes
    /// in between must still be compared with these tombstones.
    graves: Arc<Graves>,
    rows_max: usize,
}

impl Table {
    /// Returns every row and tombstone, in chunks of at most `rows_max`, without remembered
    /// misses. The caller reads the position before this call. If records are applied in between,
    /// rows may be newer than that position.
    #[must_use]
    pub fn chunks(self: &Arc<Self>, rows_max: usize) -> Chunks {
        let graves = Arc::new(Graves::default());
        let mut snapshots = self.snapshots.lock();
        snapshots.retain(|snapshot| snapshot.strong_count() > 0);
        snapshots.push(Arc::downgrade(&graves));
        drop(snapshots);
        Chunks { table: self.clone(), next_shard: 0, waiting: Vec::new(), graves, rows_max: rows_max.max(1) }
    }

    /// Returns the number of entries, including tombstones and misses.
    #[must_use]
    pub fn len(&self) -> usize {
        self.core.shards.iter().map(|shard| shard.0.read().rows.len()).sum()
    }

    /// Returns whether the table is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the next rows of a view, sorted by key, after the key `after`. Scans the whole
    /// table and keeps the `limit` smallest keys, so it is for comparison and browsing, not for
    /// serving.
    #[must_use]
    pub fn page(&self, view: ViewId, after: Option<&[u8]>, limit: usize) -> RowPage {
        let limit = limit.max(1);
        let mut smallest: BinaryHeap<ByKey> = BinaryHeap::new();
        let mut more = false;
        for shard in &self.core.shards {
            let state = shard.0.read();
            let wanted = (state.rows.iter())
                .filter(|row| row.header().view == view && !row.is_tombstone())
                .filter(|row| after.is_none_or(|after| row.key() > after));
            for row in wanted {
                if smallest.len() < limit {
                    smallest.push(ByKey(row.clone()));
                } else {
                    more = true;
                    if let Some(mut largest) = smallest.peek_mut()
                        && row.key() < largest.0.key()
                    {
                        *largest = ByKey(row.clone());
                    }
                }
            }
        }
        let rows: Vec<Row> = smallest.into_sorted_vec().into_iter().map(|by_key| by_key.0).collect();
        let cursor = rows.last().filter(|_| more).map(|row| row.key().to_vec());
        RowPage { rows, cursor }
    }
}

impl Iterator for Chunks {
    type Item = Vec<Row>;

    fn next(&mut self) -> Option<Vec<Row>> {
        while self.waiting.len() < self.rows_max && self.next_shard < self.table.core.shards.len() {
            let state = self.table.core.shards[self.next_shard].0.read();
            self.waiting.extend(state.rows.iter().filter(|row| !is_miss(row)).cloned());
            self.next_shard += 1;
        }
        if self.next_shard == self.table.core.shards.len() && self.waiting.len() < self.rows_max {
            self.waiting.append(&mut self.graves.lock());
        }
        if self.waiting.is_empty() {
            return None;
        }
        if active(Mutation::SnapshotLosesRows) {
            self.waiting.pop();
        }
        let rest = self.waiting.split_off(self.rows_max.min(self.waiting.len()));
        Some(std::mem::replace(&mut self.waiting, rest))
    }
}

struct ByKey(Row);

impl PartialEq for ByKey {
    fn eq(&self, other: &Self) -> bool {
        self.0.key() == other.0.key()
    }
}

impl Eq for ByKey {}

impl PartialOrd for ByKey {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for ByKey {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.key().cmp(other.0.key())
    }
}
