//! How long a guest may compute: processor time, which a busy host does not shorten.

use crate::ticker::TICK;
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

/// What is left to a guest of its call. In between two looks it computes on one thread.
#[derive(Debug, Default)]
pub(crate) struct Deadline {
    left: Duration,
    slice: Slice,
    /// When it was looked at last.
    looked: Option<Instant>,
}

/// How long a guest's thread had computed when it let the guest go on.
#[derive(Clone, Debug, Default)]
pub(crate) struct Slice(Arc<AtomicU64>);

impl Deadline {
    /// So much from now on, for a guest that begins on a thread that has computed for so long.
    pub(crate) fn start(&mut self, limit: Duration, thread: Duration) {
        (self.left, self.looked) = (limit, Some(Instant::now()));
        self.slice.begin(thread);
    }

    /// Whether a tick has passed since it was looked at last. Quick.
    pub(crate) fn is_due(&self) -> bool {
        self.looked.is_none_or(|looked| looked.elapsed() >= TICK)
    }

    /// A look, on a thread that has computed for so long: at a tick of the epoch, between steps of the host, or before the guest
    /// waits for others. Gives the slice to begin when it goes on, perhaps on another thread, if it may go on.
    pub(crate) fn look(&mut self, thread: Duration) -> Option<Slice> {
        self.looked = Some(Instant::now());
        self.left = self.left.checked_sub(thread.saturating_sub(self.slice.begun()))?;
        self.slice.begin(thread);
        Some(self.slice.clone())
    }
}

impl Slice {
    /// The guest goes on, on a thread that has computed for so long.
    pub(crate) fn begin(&self, thread: Duration) {
        self.0.store(u64::try_from(thread.as_nanos()).unwrap_or(u64::MAX), Relaxed);
    }

    fn begun(&self) -> Duration {
        Duration::from_nanos(self.0.load(Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn deadline(limit: Duration, thread: Duration) -> Deadline {
        let mut deadline = Deadline::default();
        deadline.start(limit, thread);
        deadline
    }

    #[test]
    fn what_counts_is_what_was_computed_and_not_how_often_it_was_looked_at() {
        let mut deadline = deadline(3 * MS, 70 * MS);
        let mut slice = deadline.look(71 * MS).unwrap();
        // A thread that is given little of a busy host: many looks, little done.
        let mut thread = 500 * MS;
        for _ in 0..19 {
            slice.begin(thread);
            thread += MS / 10;
            slice = deadline.look(thread).unwrap();
        }
        slice.begin(thread);
        assert!(deadline.look(thread + MS).is_none(), "all in all more than its 3 ms");
        deadline.start(MS, thread);
        assert!(deadline.look(thread + MS).is_some(), "another call begins anew");
        deadline.start(MS, thread);
        assert!(deadline.look(thread + 9 * MS).is_none(), "also what comes before the first look counts");
    }

    #[test]
    fn waiting_is_not_computing_and_computing_beside_it_is() {
        let mut deadline = deadline(2 * MS, 100 * MS);
        let mut thread = 100 * MS;
        for _ in 0..9 {
            thread += MS / 10;
            // It waits; meanwhile the thread does other things, or the guest comes to another one.
            let slice = deadline.look(thread).unwrap();
            thread += 5 * MS;
            slice.begin(thread);
        }
        assert_eq!(deadline.left, 2 * MS - 9 * MS / 10);
        assert!(deadline.look(thread + 2 * MS).is_none());
    }
}
