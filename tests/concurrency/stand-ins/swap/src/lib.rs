//! What modelled sources take for `arc_swap`: a reference that is read and replaced whole.

use littoral_concurrency_locks::RwLock;
use std::{fmt, ops::Deref, sync::Arc};

/// `arc_swap::ArcSwap`.
#[derive(Default)]
pub struct ArcSwap<T>(RwLock<Arc<T>>);

/// What was there when it was read.
#[derive(Debug)]
pub struct Guard<T>(Arc<T>);

impl<T> ArcSwap<T> {
    /// What is there now. It stays readable after it is replaced.
    pub fn load(&self) -> Guard<T> {
        Guard(self.0.read().clone())
    }

    /// Replaces what is there.
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
