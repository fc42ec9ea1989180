//! Limits the processor time of a guest, so that a busy host does not shorten it.

use crate::ticker::TICK;
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

/// The remaining processor time of a call. Between two checks, the guest computes on one thread.
#[derive(Debug, Default)]
pub(crate) struct Deadline {
    left: Duration,
    slice: Slice,
    /// When it was checked last.
    checked: Option<Instant>,
}

/// The processor time of the guest's thread when the guest resumed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Slice(Arc<AtomicU64>);

impl Deadline {
    /// Starts the limit for a guest on a thread that has used `thread` of processor time.
    pub(crate) fn start(&mut self, limit: Duration, thread: Duration) {
        (self.left, self.checked) = (limit, Some(Instant::now()));
        self.slice.begin(thread);
    }

    /// Returns quickly whether a tick has passed since the last check.
    pub(crate) fn is_due(&self) -> bool {
        self.checked.is_none_or(|checked| checked.elapsed() >= TICK)
    }

    /// Checks the deadline, on a thread that has used `thread` of processor time: at a tick of the epoch, between steps
    /// of the host, or before the guest waits. If the guest may continue, returns the slice to begin when it resumes,
    /// possibly on another thread.
    pub(crate) fn check(&mut self, thread: Duration) -> Option<Slice> {
        self.checked = Some(Instant::now());
        self.left = self.left.checked_sub(thread.saturating_sub(self.slice.begun()))?;
        self.slice.begin(thread);
        Some(self.slice.clone())
    }
}

impl Slice {
    /// Starts the slice, on a thread that has used `thread` of processor time.
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
    fn processor_time_counts_and_not_the_number_of_checks() {
        let mut deadline = deadline(3 * MS, 70 * MS);
        let mut slice = deadline.check(71 * MS).unwrap();
        // A thread that gets little time on a busy host: many checks, little progress.
        let mut thread = 500 * MS;
        for _ in 0..19 {
            slice.begin(thread);
            thread += MS / 10;
            slice = deadline.check(thread).unwrap();
        }
        slice.begin(thread);
        assert!(deadline.check(thread + MS).is_none(), "in total more than its 3 ms");
        deadline.start(MS, thread);
        assert!(deadline.check(thread + MS).is_some(), "another call starts from zero");
        deadline.start(MS, thread);
        assert!(deadline.check(thread + 9 * MS).is_none(), "time before the first check counts too");
    }

    #[test]
    fn waiting_does_not_count_and_computing_between_waits_does() {
        let mut deadline = deadline(2 * MS, 100 * MS);
        let mut thread = 100 * MS;
        for _ in 0..9 {
            thread += MS / 10;
            // While it waits, the thread does other work, or the guest resumes on another thread.
            let slice = deadline.check(thread).unwrap();
            thread += 5 * MS;
            slice.begin(thread);
        }
        assert_eq!(deadline.left, 2 * MS - 9 * MS / 10);
        assert!(deadline.check(thread + 2 * MS).is_none());
    }
}
