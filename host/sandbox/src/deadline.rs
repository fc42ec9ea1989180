//! How long a guest may compute: processor time, which a busy host does not shorten.

use crate::ticker::TICK;
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

/// What is left to a guest of its call. Looked at once a tick; in between it computes on one thread.
#[derive(Debug, Default)]
pub(crate) struct Deadline {
    left: Duration,
    /// It waited for others since it was looked at last.
    waited: bool,
    slice: Slice,
}

/// How long a guest's thread had computed when it let the guest go on.
#[derive(Clone, Debug, Default)]
pub(crate) struct Slice(Arc<AtomicU64>);

impl Deadline {
    /// So much from now on.
    pub(crate) fn start(&mut self, limit: Duration) {
        (self.left, self.waited) = (limit, false);
        self.slice.take();
    }

    /// The guest goes on after it has waited for so long for others; it may be on another thread.
    pub(crate) fn waited(&mut self, long: Duration) {
        self.slice.take();
        // A shorter wait is not forgiven: a guest could compute for a tick after each of many.
        self.waited |= long >= TICK;
    }

    /// A tick of the epoch, on a thread that has computed for so long. Gives the slice that the guest goes on with, if it
    /// may go on.
    pub(crate) fn tick(&mut self, thread: Duration) -> Option<Slice> {
        let computed = match (std::mem::take(&mut self.waited), self.slice.take()) {
            (true, _) => Duration::ZERO,
            (false, Some(begun)) => thread.saturating_sub(begun),
            // No more than a tick, or it would have been looked at before.
            (false, None) => TICK,
        };
        self.left = self.left.checked_sub(computed)?;
        Some(self.slice.clone())
    }
}

impl Slice {
    /// The guest goes on, on a thread that has computed for so long.
    pub(crate) fn begin(&self, thread: Duration) {
        self.0.store(u64::try_from(thread.as_nanos()).unwrap_or(u64::MAX), Relaxed);
    }

    fn take(&self) -> Option<Duration> {
        Some(self.0.swap(0, Relaxed)).filter(|nanos| *nanos > 0).map(Duration::from_nanos)
    }
}

/// How long this thread has computed.
pub(crate) fn thread_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::try_from(time).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn deadline(limit: Duration) -> Deadline {
        let mut deadline = Deadline::default();
        deadline.start(limit);
        deadline
    }

    #[test]
    fn what_counts_is_what_was_computed_and_not_how_often_it_was_looked_at() {
        let mut deadline = deadline(3 * MS);
        // The first slice is no longer than a tick, whatever else its thread has done.
        let mut slice = deadline.tick(70 * MS).unwrap();
        // A thread that is given little of a busy host: many ticks, little done.
        let mut thread = 500 * MS;
        for _ in 0..19 {
            slice.begin(thread);
            thread += MS / 10;
            slice = deadline.tick(thread).unwrap();
        }
        slice.begin(thread);
        assert!(deadline.tick(thread + MS).is_none(), "all in all more than its 3 ms");
        deadline.start(MS);
        assert!(deadline.tick(thread + 9 * MS).is_some(), "another call begins anew");
    }

    #[test]
    fn waiting_is_not_computing() {
        let mut deadline = deadline(2 * MS);
        for _ in 0..9 {
            deadline.waited(5 * MS);
            deadline.tick(100 * MS).unwrap().begin(100 * MS);
        }
        deadline.waited(MS / 2);
        deadline.tick(900 * MS).unwrap();
        assert_eq!(deadline.left, MS, "a tick: the time of another thread is not compared");
    }
}
