//! Writes that wait for a group commit: bounded in number and bytes.

use parking_lot::{Condvar, Mutex};
use std::collections::VecDeque;

/// Why something cannot wait here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// Too much waits already.
    Full,
    /// The leader is stopping.
    Closed,
}

#[derive(Debug)]
struct State<T> {
    waiting: VecDeque<(T, usize)>,
    bytes: usize,
    closed: bool,
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
        let state = State { waiting: VecDeque::new(), bytes: 0, closed: false };
        Self { state: Mutex::new(state), came: Condvar::new(), items_max, bytes_max }
    }

    /// Takes in `item` of `bytes` bytes. One that is larger than the whole bound is taken when nothing waits.
    pub(crate) fn push(&self, item: T, bytes: usize) -> Result<(), Refused> {
        let mut state = self.state.lock();
        if state.closed {
            return Err(Refused::Closed);
        }
        let full = state.waiting.len() >= self.items_max || state.bytes.saturating_add(bytes) > self.bytes_max;
        if full && !state.waiting.is_empty() {
            return Err(Refused::Full);
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

    /// Waits for something and moves it to `into`: at least one, then what brings it to about `bytes_max` bytes. Returns
    /// how many bytes that is; `None` when the queue is closed and empty.
    pub(crate) fn take(&self, into: &mut Vec<T>, bytes_max: usize) -> Option<usize> {
        let mut state = self.state.lock();
        while state.waiting.is_empty() {
            if state.closed {
                return None;
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
        Some(taken)
    }

    /// Lets nothing more in. What waits is still taken.
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
        assert_eq!(queue.push(2, 1), Err(Refused::Full));
        let mut taken = Vec::new();
        assert_eq!(queue.take(&mut taken, 5), Some(100));
        queue.push(2, 4).unwrap();
        queue.push(3, 4).unwrap();
        assert_eq!(queue.push(4, 1), Err(Refused::Full));
        assert_eq!(queue.take(&mut taken, 4), Some(4));
        assert_eq!(taken, [1, 2]);
        queue.close();
        assert_eq!(queue.push(5, 1), Err(Refused::Closed));
        assert_eq!(queue.take(&mut taken, 4), Some(4));
        assert_eq!(queue.take(&mut taken, 4), None);
        assert_eq!(taken, [1, 2, 3]);
    }
}
