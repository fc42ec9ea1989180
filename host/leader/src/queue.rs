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
pub(crate) enum Came {
    /// Items were taken, of this many bytes in all.
    Items(usize),
    /// [`Queue::nudge`] was called.
    Nudge,
    /// The queue is closed and empty.
    End,
}

#[derive(Debug)]
struct State<T> {
    waiting: VecDeque<(T, usize)>,
    bytes: usize,
    closed: bool,
    nudged: bool,
}

#[derive(Debug)]
pub(crate) struct Queue<T> {
    state: Mutex<State<T>>,
    came: Condvar,
    items_max: usize,
    bytes_max: usize,
}

impl<T> Queue<T> {
    pub(crate) fn new(items_max: usize, bytes_max: usize) -> Self {
        let state = State { waiting: VecDeque::new(), bytes: 0, closed: false, nudged: false };
        Self { state: Mutex::new(state), came: Condvar::new(), items_max, bytes_max }
    }

    /// Adds `item` of `bytes` bytes. An item that is larger than the whole bound is accepted when no other waits.
    pub(crate) fn push(&self, item: T, bytes: usize) -> Result<(), PushError> {
        let mut state = self.state.lock();
        if state.closed {
            return Err(PushError::Closed);
        }
        let full = state.waiting.len() >= self.items_max || state.bytes.saturating_add(bytes) > self.bytes_max;
        if full && !state.waiting.is_empty() {
            return Err(PushError::Full);
        }
        state.bytes += bytes;
        state.waiting.push_back((item, bytes));
        let first = state.waiting.len() == 1;
        drop(state);
        if first {
            self.came.notify_one();
        }
        Ok(())
    }

    /// Waits for items and moves them to `into`: at least one, then as many as make about `bytes_max` bytes. A nudge is returned
    /// before items are; when `bytes_max` is zero, only a nudge ends the wait.
    pub(crate) fn next(&self, into: &mut Vec<T>, bytes_max: usize) -> Came {
        let mut state = self.state.lock();
        loop {
            if std::mem::take(&mut state.nudged) {
                return Came::Nudge;
            }
            if bytes_max > 0 && !state.waiting.is_empty() {
                break;
            }
            if bytes_max > 0 && state.closed {
                return Came::End;
            }
            self.came.wait(&mut state);
        }
        let mut taken = 0;
        while taken < bytes_max
            && let Some((item, bytes)) = state.waiting.pop_front()
        {
            state.bytes -= bytes;
            taken += bytes;
            into.push(item);
        }
        Came::Items(taken)
    }

    /// Ends the current wait, or the next one.
    pub(crate) fn nudge(&self) {
        self.state.lock().nudged = true;
        self.came.notify_one();
    }

    /// Rejects further items. Items that wait are still taken.
    pub(crate) fn close(&self) {
        self.state.lock().closed = true;
        self.came.notify_all();
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
    fn both_bounds_hold_and_one_large_item_passes_alone() {
        let queue = Queue::new(2, 10);
        queue.push(1, 100).unwrap();
        assert_eq!(queue.push(2, 1), Err(PushError::Full));
        let mut taken = Vec::new();
        assert_eq!(queue.next(&mut taken, 5), Came::Items(100));
        queue.push(2, 4).unwrap();
        queue.push(3, 4).unwrap();
        assert_eq!(queue.push(4, 1), Err(PushError::Full));
        assert_eq!(queue.next(&mut taken, 4), Came::Items(4));
        assert_eq!(taken, [1, 2]);
        queue.close();
        assert_eq!(queue.push(5, 1), Err(PushError::Closed));
        assert_eq!(queue.next(&mut taken, 4), Came::Items(4));
        assert_eq!(queue.next(&mut taken, 4), Came::End);
        assert_eq!(taken, [1, 2, 3]);
    }

    #[test]
    fn a_nudge_is_returned_before_items_and_is_not_lost() {
        let queue = Queue::new(2, 10);
        queue.push(1, 1).unwrap();
        queue.nudge();
        let mut taken = Vec::new();
        assert_eq!(queue.next(&mut taken, 5), Came::Nudge);
        assert_eq!(queue.next(&mut taken, 5), Came::Items(1));
        queue.close();
        queue.nudge();
        assert_eq!(queue.next(&mut taken, 0), Came::Nudge);
        assert_eq!(queue.next(&mut taken, 5), Came::End);
    }
}
