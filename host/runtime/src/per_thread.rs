//! One value per thread.

use std::{
    array,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};

/// The number of values. If there are more threads, some share a value.
const SLOTS: usize = 64;

static NEXT: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static MINE: usize = NEXT.fetch_add(1, Relaxed) % SLOTS;
}

/// Returns this thread's index in every [`PerThread`].
#[must_use]
pub fn slot() -> usize {
    MINE.with(|slot| *slot)
}

/// One value per thread. Threads that each use their own value neither wait for nor wake one another. Any thread can
/// reach every value.
#[derive(Debug)]
pub struct PerThread<T>([T; SLOTS]);

impl<T> PerThread<T> {
    /// Creates the values.
    pub fn new(make: impl Fn() -> T) -> Self {
        Self(array::from_fn(|_| make()))
    }

    /// Returns this thread's value.
    #[must_use]
    pub fn here(&self) -> &T {
        self.at(slot())
    }

    /// Returns the value at an index.
    #[must_use]
    pub fn at(&self, slot: usize) -> &T {
        &self.0[slot % SLOTS]
    }

    /// Iterates over all values.
    pub fn all(&self) -> impl Iterator<Item = &T> {
        self.0.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{collections::HashSet, thread};

    #[test]
    fn each_thread_keeps_its_own_value() {
        let counts = PerThread::new(|| AtomicUsize::new(0));
        let count = || {
            counts.here().fetch_add(1, Relaxed);
            counts.at(slot()).fetch_add(1, Relaxed);
            slot()
        };
        let places: HashSet<usize> = thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(count)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(places.len(), 8);
        assert!(places.iter().all(|slot| counts.at(*slot).load(Relaxed) == 2));
        assert_eq!(counts.all().map(|count| count.load(Relaxed)).sum::<usize>(), 16);
    }
}
