//! A memory budget that the outboxes of many streams share.
//!
//! Each outbox has a small guaranteed share and uses a common part beyond that. So streams that are not read can
//! exhaust the common part, but never what another stream needs to continue.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

/// The bounds and the current use. Clones share both.
#[derive(Clone, Debug)]
pub(crate) struct Budget(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    guaranteed: usize,
    common_max: usize,
    held: AtomicUsize,
}

impl Budget {
    /// Creates a budget of about `bytes_max`, half of which is guaranteed to `streams_max` streams in equal shares. The
    /// use stays below it, except for one frame of each stream.
    pub(crate) fn new(bytes_max: usize, streams_max: usize) -> Self {
        let common_max = bytes_max / 2;
        // With a guarantee of zero a stream could never begin.
        let guaranteed = (common_max / streams_max.max(1)).max(1);
        Self(Arc::new(Inner { guaranteed, common_max, held: AtomicUsize::new(0) }))
    }

    /// Creates a budget without bounds.
    pub(crate) fn unbounded() -> Self {
        Self(Arc::new(Inner { guaranteed: usize::MAX, common_max: usize::MAX, held: AtomicUsize::new(0) }))
    }

    /// Returns whether an outbox that holds `own` bytes may use more.
    pub(crate) fn has_room(&self, own: usize) -> bool {
        own < self.0.guaranteed || self.held() < self.0.common_max
    }

    /// Returns how many bytes all outboxes hold together.
    pub(crate) fn held(&self) -> usize {
        self.0.held.load(Relaxed)
    }

    pub(crate) fn take(&self, bytes: usize) {
        self.0.held.fetch_add(bytes, Relaxed);
    }

    pub(crate) fn release(&self, bytes: usize) {
        self.0.held.fetch_sub(bytes, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guaranteed_share_is_available_when_the_common_part_is_used_up() {
        let budget = Budget::new(1_000, 5);
        budget.take(499);
        assert!(budget.has_room(499), "a byte of the common part is free");
        budget.take(1);
        assert!(!budget.has_room(100) && budget.has_room(99), "a fifth of the other half is guaranteed to each");
        budget.release(500);
        assert!(budget.has_room(100) && budget.held() == 0);
    }
}
