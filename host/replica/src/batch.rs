//! Reads of many keys at once.

use crate::{policy::PolicyKey, shard::is, table::Table, view::Residency};
use littoral_model::{entity_key::KeyBatch, row::Row, view::ViewId};

/// The number of keys looked up together: enough for their memory accesses to overlap, few enough
/// for the first-level cache.
pub(crate) const GROUP: usize = 16;

impl Table {
    /// Reads every key of a batch. Appends one entry per key to `rows`: the row, or `None` if
    /// there is no row or nothing is held. The indexes of keys for which nothing is held are
    /// appended to `unknown`.
    ///
    /// Rows are scattered in memory, so a read spends most of its time on cache misses. Each group
    /// of keys is therefore visited twice: first to prefetch the rows, then to read them.
    pub fn read(&self, view: ViewId, keys: &KeyBatch, rows: &mut Vec<Option<Row>>, unknown: &mut Vec<u32>) {
        let noted = self.policy.as_ref().filter(|_| self.residency(view) == Some(Residency::Resident));
        rows.reserve(keys.len());
        let mut hashes = [0_u64; GROUP];
        let mut start = 0;
        while start < keys.len() {
            let group = GROUP.min(keys.len() - start);
            for (offset, hash) in hashes[..group].iter_mut().enumerate() {
                *hash = self.core.hash(view, keys.get(start + offset));
                if group > 1 {
                    self.core.prefetch(*hash);
                }
            }
            for (offset, hash) in hashes[..group].iter().enumerate() {
                let index = start + offset;
                let key = keys.get(index);
                let found = {
                    let state = self.core.shard(*hash).0.read();
                    state.rows.find(*hash, |row| is(row, view, key)).cloned()
                };
                match &found {
                    None => unknown.push(index as u32),
                    Some(_) => {
                        if let Some(policy) = noted {
                            policy.read(PolicyKey { view, hash: *hash });
                        }
                    }
                }
                rows.push(found.filter(|row| !row.is_tombstone()));
            }
            start += group;
        }
    }
}
