//! The eviction policy for keys of resident views: moka decides, and the table evicts.
//!
//! moka holds no rows, only each key's hash and weight. It is notified of every insert and of
//! every 16th read. That suffices for its estimate of frequencies, and keeps its bookkeeping off
//! the read path.

use crate::shard::Core;
use foldhash::fast::RandomState;
use littoral_model::view::ViewId;
use moka::{notification::RemovalCause, sync::Cache};
use std::{
    cell::Cell,
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

/// One in this many reads notifies the policy.
const READS_PER_NOTICE: u32 = 16;

/// The memory that moka uses for one key, in bytes; part of the key's weight.
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

/// The evictions of all tables of the process.
static EVICTIONS: AtomicU64 = AtomicU64::new(0);

/// Returns how many rows the tables of this process have evicted because their budgets were used up.
#[must_use]
pub fn evictions() -> u64 {
    EVICTIONS.load(Relaxed)
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
                // The table calls moka only without holding a shard's lock, so this callback can
                // lock a shard. If the key was filled again in between, the new row is evicted
                // too, and the next read fills it again.
                if cause != RemovalCause::Replaced
                    && let Some(core) = core.upgrade()
                {
                    core.evict(key.view, key.hash);
                    if cause == RemovalCause::Size {
                        EVICTIONS.fetch_add(1, Relaxed);
                    }
                }
            })
            .build_with_hasher(RandomState::default());
        Self { cache }
    }

    /// Notes that a row was read. The caller holds no lock of the table.
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

    /// Notes that a row was inserted or changed its weight. The caller holds no lock of the table.
    pub(crate) fn wrote(&self, key: PolicyKey, weight: u64) {
        self.cache.insert(key, u32::try_from(weight + NOTE_LEN).unwrap_or(u32::MAX));
    }

    pub(crate) fn settle(&self) {
        self.cache.run_pending_tasks();
    }
}
