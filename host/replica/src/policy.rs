//! Which keys of resident views stay: moka decides, the table answers.
//!
//! moka holds no rows, only a key's hash and weight. It hears of every insert and of every 16th read, which is enough for
//! its estimate of frequencies and keeps its bookkeeping off the read path.

use crate::shard::Core;
use foldhash::fast::RandomState;
use littoral_model::view::ViewId;
use moka::{notification::RemovalCause, sync::Cache};
use std::{
    cell::Cell,
    sync::{Arc, Weak},
};

/// One read in this many is told to the policy.
const READS_PER_NOTICE: u32 = 16;

/// Memory that moka takes for one key, in bytes; counted into its weight.
const NOTE_LEN: u64 = 160;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct PolicyKey {
    pub(crate) view: ViewId,
    pub(crate) hash: u64,
}

#[derive(Debug)]
pub(crate) struct Policy {
    cache: Cache<PolicyKey, u32, RandomState>,
}

thread_local! {
    static READS: Cell<u32> = const { Cell::new(0) };
}

impl Policy {
    pub(crate) fn new(bytes_max: u64, core: &Arc<Core>) -> Self {
        let core: Weak<Core> = Arc::downgrade(core);
        let cache = Cache::builder()
            .max_capacity(bytes_max)
            .weigher(|_, weight: &u32| *weight)
            .eviction_listener(move |key: Arc<PolicyKey>, _, cause| {
                // The table is only ever called without moka's being called back from within a shard's lock. Should the
                // key have been filled again meanwhile, the new row goes too, and the next read fills it once more.
                if cause != RemovalCause::Replaced
                    && let Some(core) = core.upgrade()
                {
                    core.evict(key.view, key.hash);
                }
            })
            .build_with_hasher(RandomState::default());
        Self { cache }
    }

    /// A row was read. The caller holds no lock of the table.
    #[inline]
    pub(crate) fn read(&self, key: PolicyKey) {
        let due = READS.with(|reads| {
            let next = reads.get().wrapping_add(1);
            reads.set(next);
            next.is_multiple_of(READS_PER_NOTICE)
        });
        if due {
            self.cache.get(&key);
        }
    }

    /// A row was inserted or has another weight. The caller holds no lock of the table.
    pub(crate) fn wrote(&self, key: PolicyKey, weight: u64) {
        self.cache.insert(key, u32::try_from(weight + NOTE_LEN).unwrap_or(u32::MAX));
    }

    pub(crate) fn settle(&self) {
        self.cache.run_pending_tasks();
    }
}
