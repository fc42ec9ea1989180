//! Something for each thread.

use std::{
    array,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};

/// So many threads have one of their own; further ones share.
const PLACES: usize = 64;

static NEXT: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static MINE: usize = NEXT.fetch_add(1, Relaxed) % PLACES;
}

/// Where this thread has its own in every [`PerThread`].
#[must_use]
pub fn place() -> usize {
    MINE.with(|place| *place)
}

/// One for each thread, so that threads which each keep to theirs neither wait for nor wake one another. It may be reached from
/// any thread.
#[derive(Debug)]
pub struct PerThread<T>([T; PLACES]);

impl<T> PerThread<T> {
    /// Makes them.
    pub fn new(make: impl Fn() -> T) -> Self {
        Self(array::from_fn(|_| make()))
    }

    /// This thread's.
    #[must_use]
    pub fn here(&self) -> &T {
        self.at(place())
    }

    /// The one at a place.
    #[must_use]
    pub fn at(&self, place: usize) -> &T {
        &self.0[place % PLACES]
    }

    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = &T> {
        self.0.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{collections::HashSet, thread};

    #[test]
    fn threads_have_their_own_and_keep_it() {
        let counts = PerThread::new(|| AtomicUsize::new(0));
        let count = || {
            counts.here().fetch_add(1, Relaxed);
            counts.at(place()).fetch_add(1, Relaxed);
            place()
        };
        let places: HashSet<usize> = thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(count)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(places.len(), 8);
        assert!(places.iter().all(|place| counts.at(*place).load(Relaxed) == 2));
        assert_eq!(counts.all().map(|count| count.load(Relaxed)).sum::<usize>(), 16);
    }
}
