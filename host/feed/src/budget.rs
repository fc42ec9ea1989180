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
    guaranteed: AtomicUsize,
    common_max: AtomicUsize,
    held: AtomicUsize,
}

impl Budget {
    /// Creates a budget of about `bytes_max`, half of which is guaranteed to `streams_max` streams in equal shares. The
    /// use stays below it, except for one frame of each stream.
    pub(crate) fn new(bytes_max: usize, streams_max: usize) -> Self {
        let (guaranteed, common_max) = parts(bytes_max, streams_max);
        Self::of(guaranteed, common_max)
    }

    /// Changes the bounds. What is held remains.
    pub(crate) fn resize(&self, bytes_max: usize, streams_max: usize) {
        let (guaranteed, common_max) = parts(bytes_max, streams_max);
        self.0.guaranteed.store(guaranteed, Relaxed);
        self.0.common_max.store(common_max, Relaxed);
    }

    /// Creates a budget without bounds.
    pub(crate) fn unbounded() -> Self {
        Self::of(usize::MAX, usize::MAX)
    }

    fn of(guaranteed: usize, common_max: usize) -> Self {
        let (guaranteed, common_max) = (AtomicUsize::new(guaranteed), AtomicUsize::new(common_max));
        Self(Arc::new(Inner { guaranteed, common_max, held: AtomicUsize::new(0) }))
    }

    /// Returns whether an outbox that holds `own` bytes may use more.
    pub(crate) fn has_room(&self, own: usize) -> bool {
        own < self.0.guaranteed.load(Relaxed) || self.held() < self.0.common_max.load(Relaxed)
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

/// Returns the share that is guaranteed to each stream, and the common part.
fn parts(bytes_max: usize, streams_max: usize) -> (usize, usize) {
    let common_max = bytes_max / 2;
    // With a guarantee of zero a stream could never begin.
    ((common_max / streams_max.max(1)).max(1), common_max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_change_while_bytes_are_held() {
        let budget = Budget::new(1_000, 5);
        budget.take(500);
        assert!(!budget.has_room(100));
        budget.resize(2_000, 5);
        assert!(budget.has_room(100) && budget.has_room(999), "500 bytes of the common part are free");
        budget.resize(200, 5);
        assert!(!budget.has_room(20) && budget.has_room(19));
    }

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
