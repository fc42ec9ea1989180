//! Repair: makes a replica's bucket equal to the leader's.

use crate::{
    rebase::Generation,
    shard::{Core, State},
    table::{Table, is_miss},
    view::Residency,
};
use littoral_model::{
    digest::{Sum, bucket_of},
    mutation::{Mutation, active},
    position::Lsn,
    row::Row,
    view::ViewId,
};
use std::collections::HashMap;

/// A chunk of a bucket as the leader holds it: every row and tombstone whose key is in the range.
#[derive(Clone, Debug)]
pub struct BucketChunk {
    /// The view.
    pub view: ViewId,
    /// The bucket.
    pub bucket: u8,
    /// The range begins after this key; `None` for the start of the bucket.
    pub after: Option<Vec<u8>>,
    /// The range ends with this key; `None` for the end of the bucket.
    pub through: Option<Vec<u8>>,
    /// The rows include everything up to this record.
    pub as_of: Lsn,
    /// The rows, in any order.
    pub rows: Vec<Row>,
}

/// The result of a repair.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Repaired {
    /// The number of rows inserted or replaced.
    pub put: u64,
    /// The number of rows removed.
    pub removed: u64,
    /// The newest record of an inserted row. From that record on, the bucket is exactly as of one
    /// record again.
    pub exact_from: Lsn,
}

impl BucketChunk {
    fn covers(&self, key: &[u8]) -> bool {
        self.after.as_ref().is_none_or(|after| key > &after[..])
            && self.through.as_ref().is_none_or(|through| key <= &through[..])
            && bucket_of(key) == self.bucket
    }
}

impl Table {
    /// Returns the rows and tombstones of a bucket after the key `after`, sorted by key: all of
    /// them, or about `bytes_max` bytes. The flag states whether more follow. Scans the whole
    /// table.
    #[must_use]
    pub fn bucket(&self, view: ViewId, bucket: u8, after: Option<&[u8]>, bytes_max: usize) -> (Vec<Row>, bool) {
        let mut rows: Vec<Row> = Vec::new();
        for shard in &self.core.shards {
            let state = shard.0.read();
            let wanted = (state.rows.iter())
                .filter(|row| row.header().view == view && !is_miss(row) && bucket_of(row.key()) == bucket)
                .filter(|row| after.is_none_or(|after| row.key() > after));
            rows.extend(wanted.cloned());
        }
        rows.sort_unstable_by(|a, b| a.key().cmp(b.key()));
        let mut bytes = 0;
        let fit = rows.iter().take_while(|row| {
            let fits = bytes == 0 || bytes + row.allocation_len() <= bytes_max;
            bytes += row.allocation_len();
            fits
        });
        let count = fit.count();
        let more = count < rows.len();
        rows.truncate(count);
        (rows, more)
    }

    /// Makes a chunk of a full view's bucket equal to the leader's. Everything up to the chunk's
    /// record must be applied here. Rows that the feed has changed since are kept. May run
    /// concurrently with applying, but not with a scrub.
    pub fn repair(&self, part: &BucketChunk) -> Repaired {
        self.repair_in(self.generation(), part)
    }

    /// Like [`Self::repair`], but does nothing if the table's generation is no longer `generation`.
    pub fn repair_in(&self, generation: Generation, part: &BucketChunk) -> Repaired {
        let mut repaired = Repaired::default();
        // The feed is ahead of the leader's reply.
        let is_ahead = |held: &Row| held.header().lsn > part.as_of;
        let mut wanted: HashMap<&[u8], &Row> =
            part.rows.iter().filter(|row| part.covers(row.key())).map(|row| (row.key(), row)).collect();
        if self.residency(part.view) != Some(Residency::Full) {
            return repaired;
        }
        for shard in &self.core.shards {
            let mut state = shard.0.write();
            if generation != self.generation() {
                return repaired;
            }
            let State { rows, scrubbed, .. } = &mut *state;
            rows.retain(|held| {
                if held.header().view != part.view || !part.covers(held.key()) {
                    return true;
                }
                let theirs = wanted.remove(held.key());
                if is_ahead(held) || theirs.is_some_and(|theirs| same(held, theirs)) {
                    return true;
                }
                self.core.views.with(part.view, |view| {
                    view.changed(*scrubbed.get_mut(), held.key(), Some(held), theirs);
                    view.removed(held);
                    theirs.inspect(|theirs| view.added(theirs));
                });
                match theirs {
                    Some(theirs) => {
                        *held = theirs.clone();
                        repaired.put += 1;
                        repaired.exact_from = repaired.exact_from.max(theirs.header().lsn);
                        true
                    }
                    None => {
                        repaired.removed += 1;
                        false
                    }
                }
            });
        }
        for row in wanted.into_values() {
            if self.insert_missing(generation, row, part.as_of) {
                repaired.put += 1;
                repaired.exact_from = repaired.exact_from.max(row.header().lsn);
            }
        }
        repaired
    }

    /// Inserts a row that is not held, unless it may have been deleted since the chunk was read:
    /// the row is a tombstone that was collected, or its tombstone was collected without a trace.
    /// The next comparison then requests the bucket again.
    fn insert_missing(&self, generation: Generation, row: &Row, as_of: Lsn) -> bool {
        let hash = self.core.hash_of(row);
        let mut state = self.core.shard(hash).0.write();
        if generation != self.generation() {
            return false;
        }
        let State { rows, scrubbed, collected_before, collected_to, .. } = &mut *state;
        let is_collected = row.is_tombstone() && row.header().version.hlc < *collected_before;
        let may_be_deleted = *collected_to > as_of && !active(Mutation::RepairCollected);
        if is_collected || may_be_deleted {
            return false;
        }
        let is = |held: &Row| crate::shard::is(held, row.header().view, row.key());
        if rows.find(hash, is).is_some() {
            return false;
        }
        let known = self.core.views.with(row.header().view, |view| {
            view.changed(*scrubbed.get_mut(), row.key(), None, Some(row));
            view.added(row);
        });
        if known.is_none() {
            return false;
        }
        rows.insert_unique(hash, row.clone(), |held| Core::hash_of(&self.core, held));
        true
    }

    /// Removes a key of a resident view, so that the next read fetches it.
    pub fn forget(&self, view: ViewId, key: &[u8]) {
        if self.residency(view) == Some(Residency::Resident) {
            self.core.evict(view, self.core.hash(view, key));
        }
    }

    /// Changes a held row's values in memory unnoticed, like a flipped bit. For tests.
    ///
    /// Returns whether there was a row with values.
    #[cfg(feature = "test-hooks")]
    pub fn corrupt(&self, view: ViewId, key: &[u8]) -> bool {
        let hash = self.core.hash(view, key);
        let mut state = self.core.shard(hash).0.write();
        let Some(held) = state.rows.find_mut(hash, |row| crate::shard::is(row, view, key)) else { return false };
        if held.is_tombstone() {
            return false;
        }
        let mut payload = held.payload().to_vec();
        let Some(last) = payload.last_mut() else { return false };
        // Do not flip a bit, because a second call would undo that.
        *last = last.wrapping_add(1);
        *held = Row::corrupted(held, &payload);
        true
    }

    /// Loses a held row unnoticed. For tests.
    ///
    /// Returns whether there was one.
    #[cfg(feature = "test-hooks")]
    pub fn lose(&self, view: ViewId, key: &[u8]) -> bool {
        let hash = self.core.hash(view, key);
        let mut state = self.core.shard(hash).0.write();
        let found = state.rows.find_entry(hash, |row| crate::shard::is(row, view, key));
        found.map(|entry| drop(entry.remove())).is_ok()
    }
}

fn same(held: &Row, theirs: &Row) -> bool {
    held.header().lsn == theirs.header().lsn && Sum::of(held) == Sum::of(theirs)
}
