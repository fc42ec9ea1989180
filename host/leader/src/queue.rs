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
        let state = State { waiting: VecDeque::new(), bytes: 0, closed: false };
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

    /// Waits for items and moves them to `into`: at least one, then as many as make about `bytes_max` bytes. Returns
    /// their size in bytes, or `None` if the queue is closed and empty.
    pub(crate) fn next(&self, into: &mut Vec<T>, bytes_max: usize) -> Option<usize> {
        let mut state = self.state.lock();
        while state.waiting.is_empty() {
            if state.closed {
                return None;
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
        Some(total)
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
        assert_eq!(queue.next(&mut taken, 5), Some(100));
        queue.push(2, 4).unwrap();
        queue.push(3, 4).unwrap();
        assert_eq!(queue.push(4, 1), Err(PushError::Full));
        assert_eq!(queue.next(&mut taken, 4), Some(4));
        assert_eq!(taken, [1, 2]);
        queue.close();
        assert_eq!(queue.push(5, 1), Err(PushError::Closed));
        assert_eq!(queue.next(&mut taken, 4), Some(4));
        assert_eq!(queue.next(&mut taken, 4), None);
        assert_eq!(taken, [1, 2, 3]);
    }
}
