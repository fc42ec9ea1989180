//! A shard: the entries of the table under one lock, with the stripe against which their fills are checked.

use crate::{prefetch, view::Views};
use foldhash::{SharedSeed, fast::SeedableRandomState};
use hashbrown::HashTable;
use littoral_model::{hlc::Hlc, position::Lsn, row::Row, view::ViewId};
use littoral_protocol::fill::Stripe;
use parking_lot::RwLock;
use std::{
    hash::{BuildHasher as _, Hasher as _},
    sync::atomic::AtomicBool,
};

#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) rows: HashTable<Row>,
    pub(crate) stripe: Stripe,
    /// Whether the current scrub has added up this shard, so that changes must be counted in it.
    pub(crate) scrubbed: AtomicBool,
    /// The version below which tombstones were collected.
    pub(crate) collected_before: Hlc,
    /// The newest record of a collected tombstone. A key that is not held may have been deleted up
    /// to it.
    pub(crate) collected_to: Lsn,
}

/// A shard on its own cache line, so that readers of one shard do not slow down readers of
/// another.
#[derive(Debug, Default)]
#[repr(align(64))]
pub(crate) struct Shard(pub(crate) RwLock<State>);

/// The shards, the views, and the hash that selects a row's shard. The policy's listener holds a
/// weak reference.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) shards: Box<[Shard]>,
    pub(crate) views: Views,
    pub(crate) hash: SeedableRandomState,
}

impl Core {
    pub(crate) fn new(shards: usize, hash_seed: Option<u64>) -> Self {
        let shards = (0..shards.clamp(1, 1 << 16).next_power_of_two()).map(|_| Shard::default()).collect();
        let hash = match hash_seed {
            Some(seed) => SeedableRandomState::with_seed(seed, SharedSeed::global_fixed()),
            None => SeedableRandomState::random(),
        };
        Self { shards, views: Views::default(), hash }
    }

    /// Hashes a key with the table's seed. It is random by default, so that clients cannot choose keys that collide.
    #[inline]
    pub(crate) fn hash(&self, view: ViewId, key: &[u8]) -> u64 {
        let mut hasher = self.hash.build_hasher();
        hasher.write_u32(view.0);
        hasher.write(key);
        hasher.finish()
    }

    /// Prefetches a row.
    #[inline]
    pub(crate) fn prefetch(&self, hash: u64) {
        // The first row with a matching tag, usually the right one, without reading the row.
        if let Some(row) = self.shard(hash).0.read().rows.find(hash, |_| true) {
            prefetch::row(row);
        }
    }

    pub(crate) fn hash_of(&self, row: &Row) -> u64 {
        self.hash(row.header().view, row.key())
    }

    /// Selects a shard by bits of the hash that the shard's table does not use for tags or
    /// buckets.
    #[inline]
    pub(crate) fn shard(&self, hash: u64) -> &Shard {
        &self.shards[(hash >> 32) as usize & (self.shards.len() - 1)]
    }

    #[inline]
    pub(crate) fn find(&self, hash: u64, view: ViewId, key: &[u8]) -> Option<Row> {
        self.shard(hash).0.read().rows.find(hash, |row| is(row, view, key)).cloned()
    }

    /// Removes all entries of the view with this hash, which the policy evicts. Two keys with one
    /// hash are removed together, which only costs a resident view another fill.
    pub(crate) fn evict(&self, view: ViewId, hash: u64) {
        let mut state = self.shard(hash).0.write();
        while let Ok(entry) = state.rows.find_entry(hash, |row| row.header().view == view && self.hash_of(row) == hash)
        {
            let (row, _) = entry.remove();
            self.views.with(view, |counts| counts.removed(&row));
        }
    }
}

#[inline]
pub(crate) fn is(row: &Row, view: ViewId, key: &[u8]) -> bool {
    row.header().view == view && row.key() == key
}
