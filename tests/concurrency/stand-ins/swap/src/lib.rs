//! The stand-in for `arc_swap` in modelled sources: a reference that is read and replaced as a whole.

use littoral_concurrency_locks::RwLock;
use std::{fmt, ops::Deref, sync::Arc};

/// `arc_swap::ArcSwap`.
#[derive(Default)]
pub struct ArcSwap<T>(RwLock<Arc<T>>);

/// The value at the time of the read.
#[derive(Debug)]
pub struct Guard<T>(Arc<T>);

impl<T> ArcSwap<T> {
    /// Returns the current value. It stays readable after it is replaced.
    pub fn load(&self) -> Guard<T> {
        Guard(self.0.read().clone())
    }

    /// Replaces the value.
    pub fn store(&self, value: Arc<T>) {
        *self.0.write() = value;
    }
}

impl<T> fmt::Debug for ArcSwap<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ArcSwap")
    }
}

impl<T> Deref for Guard<T> {
    type Target = Arc<T>;

    fn deref(&self) -> &Arc<T> {
        &self.0
    }
}
