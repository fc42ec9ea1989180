//! Writes that wait for a group commit: bounded in number and bytes.

use parking_lot::{Condvar, Mutex};
use std::collections::VecDeque;

/// Why an item is rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PushError {
    /// Too many items or bytes wait already.
    Full,
    /// The leader is stopping.
    Closed,
}

/// Why a wait for items has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wakeup {
    /// Items were removed, of this many bytes in total.
    Items(usize),
    /// [`Queue::nudge`] was called.
    Nudge,
    /// The queue is closed and empty.
    End,
}

#[derive(Debug)]
struct Item<T> {
    content: T,
    bytes: usize,
}

#[derive(Debug)]
struct State<T> {
    waiting: VecDeque<Item<T>>,
    bytes: usize,
    closed: bool,
    nudged: bool,
}

#[derive(Debug)]
pub(crate) struct Queue<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
    items_max: usize,
    bytes_max: usize,
}

impl<T> Queue<T> {
    pub(crate) fn new(items_max: usize, bytes_max: usize) -> Self {
        let state = State { waiting: VecDeque::new(), bytes: 0, closed: false, nudged: false };
        Self { state: Mutex::new(state), changed: Condvar::new(), items_max, bytes_max }
    }

    /// Adds an item of `bytes` bytes. An item that is larger than the whole bound is accepted when no other waits.
    pub(crate) fn push(&self, content: T, bytes: usize) -> Result<(), PushError> {
        let mut state = self.state.lock();
        if state.closed {
            return Err(PushError::Closed);
        }
        let full = state.waiting.len() >= self.items_max || state.bytes.saturating_add(bytes) > self.bytes_max;
        if full && !state.waiting.is_empty() {
            return Err(PushError::Full);
        }
        state.bytes += bytes;
        state.waiting.push_back(Item { content, bytes });
        let first = state.waiting.len() == 1;
        drop(state);
        if first {
            self.changed.notify_one();
        }
        Ok(())
    }

    /// Waits for items and moves them to `into`: at least one, then as many as make about `bytes_max` bytes. A nudge is returned
    /// before items are; when `bytes_max` is zero, only a nudge ends the wait.
    pub(crate) fn next(&self, into: &mut Vec<T>, bytes_max: usize) -> Wakeup {
        let mut state = self.state.lock();
        loop {
            if std::mem::take(&mut state.nudged) {
                return Wakeup::Nudge;
            }
            if bytes_max > 0 && !state.waiting.is_empty() {
                break;
            }
            if bytes_max > 0 && state.closed {
                return Wakeup::End;
            }
            self.changed.wait(&mut state);
        }
        let mut total = 0;
        while total < bytes_max
            && let Some(Item { content, bytes }) = state.waiting.pop_front()
        {
            state.bytes -= bytes;
            total += bytes;
            into.push(content);
        }
        Wakeup::Items(total)
    }

    /// Ends the current wait, or the next one.
    pub(crate) fn nudge(&self) {
        self.state.lock().nudged = true;
        self.changed.notify_one();
    }

    /// Rejects further items. Items that wait are still returned.
    pub(crate) fn close(&self) {
        self.state.lock().closed = true;
        self.changed.notify_all();
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.state.lock().closed
    }

    pub(crate) fn len(&self) -> usize {
        self.state.lock().waiting.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_bounds_are_enforced_and_one_large_item_is_accepted_alone() {
        let queue = Queue::new(2, 10);
        queue.push(1, 100).unwrap();
        assert_eq!(queue.push(2, 1), Err(PushError::Full));
        let mut taken = Vec::new();
        assert_eq!(queue.next(&mut taken, 5), Wakeup::Items(100));
        queue.push(2, 4).unwrap();
        queue.push(3, 4).unwrap();
        assert_eq!(queue.push(4, 1), Err(PushError::Full));
        assert_eq!(queue.next(&mut taken, 4), Wakeup::Items(4));
        assert_eq!(taken, [1, 2]);
        queue.close();
        assert_eq!(queue.push(5, 1), Err(PushError::Closed));
        assert_eq!(queue.next(&mut taken, 4), Wakeup::Items(4));
        assert_eq!(queue.next(&mut taken, 4), Wakeup::End);
        assert_eq!(taken, [1, 2, 3]);
    }

    #[test]
    fn a_nudge_is_returned_before_items_and_is_not_lost() {
        let queue = Queue::new(2, 10);
        queue.push(1, 1).unwrap();
        queue.nudge();
        let mut taken = Vec::new();
        assert_eq!(queue.next(&mut taken, 5), Wakeup::Nudge);
        assert_eq!(queue.next(&mut taken, 5), Wakeup::Items(1));
        queue.close();
        queue.nudge();
        assert_eq!(queue.next(&mut taken, 0), Wakeup::Nudge);
        assert_eq!(queue.next(&mut taken, 5), Wakeup::End);
    }
}
