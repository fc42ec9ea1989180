//! Reads of many keys at once.

use crate::{policy::PolicyKey, shard::is, table::Table, view::Residency};
use littoral_model::{entity_key::KeyBatch, row::Row, view::ViewId};

/// Keys that are looked up together: enough for their memory accesses to overlap, few enough for the first-level cache.
pub(crate) const GROUP: usize = 16;

impl Table {
    /// Reads every key of a batch. Appends one entry a key to `rows`: the row, or `None` where there is none or nothing
    /// is known; the indexes of those of which nothing is known are appended to `unknown`.
    ///
    /// Rows lie all over memory, so that most of a read's time is waiting for it. Each group of keys is therefore gone
    /// through twice: the first time only asks the processor to fetch the rows, the second time reads them.
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
