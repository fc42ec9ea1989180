//! Memory that the outboxes of many streams share.
//!
//! An outbox is guaranteed a little for itself and draws on what is common beyond that. So streams that are not read can take
//! what is common, and never what another stream needs to go on.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

/// The bounds, and what is held. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Budget(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    guaranteed: usize,
    common_max: usize,
    held: AtomicUsize,
}

impl Budget {
    /// A budget of about `bytes_max`, of which half is guaranteed to `streams_max` streams in equal parts. What is held stays
    /// below that, but for one frame of each stream.
    pub(crate) fn new(bytes_max: usize, streams_max: usize) -> Self {
        let common_max = bytes_max / 2;
        // With nothing at all a stream would never begin.
        let guaranteed = (common_max / streams_max.max(1)).max(1);
        Self(Arc::new(Inner { guaranteed, common_max, held: AtomicUsize::new(0) }))
    }

    /// No bound.
    pub(crate) fn unbounded() -> Self {
        Self(Arc::new(Inner { guaranteed: usize::MAX, common_max: usize::MAX, held: AtomicUsize::new(0) }))
    }

    /// Whether an outbox that holds `own` bytes may take more.
    pub(crate) fn has_room(&self, own: usize) -> bool {
        own < self.0.guaranteed || self.held() < self.0.common_max
    }

    /// Bytes that all outboxes hold together.
    pub(crate) fn held(&self) -> usize {
        self.0.held.load(Relaxed)
    }

    pub(crate) fn take(&self, bytes: usize) {
        self.0.held.fetch_add(bytes, Relaxed);
    }

    pub(crate) fn give_back(&self, bytes: usize) {
        self.0.held.fetch_sub(bytes, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_holds_little_has_room_when_others_have_taken_what_is_common() {
        let budget = Budget::new(1_000, 5);
        budget.take(499);
        assert!(budget.has_room(499), "there is a byte of what is common");
        budget.take(1);
        assert!(!budget.has_room(100) && budget.has_room(99), "a fifth of the other half is guaranteed");
        budget.give_back(500);
        assert!(budget.has_room(100) && budget.held() == 0);
    }
}
