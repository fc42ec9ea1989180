//! Waiting until a number is reached: an applied LSN, or the time up to which everything is
//! applied. Modelled on neon's seqwait.

use parking_lot::Mutex;
use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU64, Ordering},
};
use tokio::sync::oneshot;

/// The waiters, by the number for which they wait.
#[derive(Debug)]
pub(crate) struct Progress {
    /// The smallest number with a waiter; checked without the lock, on the applier's path.
    next: AtomicU64,
    waiting: Mutex<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    by_number: BTreeMap<(u64, u64), oneshot::Sender<()>>,
    last_id: u64,
}

/// A registered waiter, removed when dropped.
pub(crate) struct Waiter<'a> {
    progress: &'a Progress,
    slot: (u64, u64),
    reached: oneshot::Receiver<()>,
}

impl Default for Progress {
    fn default() -> Self {
        Self { next: AtomicU64::new(u64::MAX), waiting: Mutex::default() }
    }
}

impl Progress {
    /// Registers a waiter for `number`. The caller then checks again whether it has been reached,
    /// and waits if not. Returns `None` if `max` waiters exist already.
    pub(crate) fn wait_for(&self, number: u64, max: usize) -> Option<Waiter<'_>> {
        let mut waiting = self.waiting.lock();
        if waiting.by_number.len() >= max {
            return None;
        }
        waiting.last_id += 1;
        let slot = (number, waiting.last_id);
        let (sender, reached) = oneshot::channel();
        waiting.by_number.insert(slot, sender);
        self.store_next(&waiting);
        Some(Waiter { progress: self, slot, reached })
    }

    /// Notes that `number` is reached, and wakes the waiters for it and for smaller numbers.
    pub(crate) fn advance(&self, number: u64) {
        // Sequentially consistent, like the store in `wait_for`: either the waiter's second check
        // sees what was published before this call, or this load sees the waiter.
        if self.next.load(Ordering::SeqCst) > number {
            return;
        }
        let mut waiting = self.waiting.lock();
        let still = match number.checked_add(1) {
            Some(above) => waiting.by_number.split_off(&(above, 0)),
            None => BTreeMap::new(),
        };
        let reached = std::mem::replace(&mut waiting.by_number, still);
        self.store_next(&waiting);
        drop(waiting);
        for sender in reached.into_values() {
            // The waiter may have been dropped.
            let _ = sender.send(());
        }
    }

    /// Wakes all waiters to check again, because their numbers may have changed meaning.
    pub(crate) fn wake_all(&self) {
        self.advance(u64::MAX);
    }

    fn store_next(&self, waiting: &Waiting) {
        let next = waiting.by_number.first_key_value().map_or(u64::MAX, |((number, _), _)| *number);
        self.next.store(next, Ordering::SeqCst);
    }
}

impl Waiter<'_> {
    /// Waits until woken.
    pub(crate) async fn woken(&mut self) {
        // The sender is dropped only after it has sent.
        let _ = (&mut self.reached).await;
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        let mut waiting = self.progress.waiting.lock();
        if waiting.by_number.remove(&self.slot).is_some() {
            self.progress.store_next(&waiting);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_waiters_for_smaller_numbers_are_woken() {
        let progress = Progress::default();
        let mut three = progress.wait_for(3, 10).expect("room");
        let mut five = progress.wait_for(5, 10).expect("room");
        progress.advance(2);
        assert!(three.reached.try_recv().is_err());
        progress.advance(4);
        three.woken().await;
        assert!(five.reached.try_recv().is_err());
        progress.wake_all();
        five.woken().await;
    }

    #[test]
    fn waiters_are_bounded_and_removed_when_dropped() {
        let progress = Progress::default();
        let one = progress.wait_for(1, 1);
        assert!(one.is_some() && progress.wait_for(1, 1).is_none());
        drop(one);
        assert!(progress.wait_for(1, 1).is_some());
        assert_eq!(progress.next.load(Ordering::SeqCst), u64::MAX);
    }
}
