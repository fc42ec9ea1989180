//! `moka::sync`: a cache that evicts at random, which allows every choice that moka's policy might make.
//!
//! As in moka, each insertion or read does the pending work unless another thread does. The listener is called after
//! the key is removed, under the lock of the worker: a listener that waits for a thread that waits for the cache would
//! deadlock.

use crate::notification::RemovalCause;
use littoral_concurrency_locks::Mutex;
use shuttle::rand::{Rng as _, thread_rng};
use std::{fmt, marker::PhantomData, sync::Arc};

type Weigher<K, V> = Box<dyn Fn(&K, &V) -> u32 + Send + Sync>;
type Listener<K, V> = Box<dyn Fn(Arc<K>, V, RemovalCause) + Send + Sync>;

/// `moka::sync::Cache`.
pub struct Cache<K, V, S> {
    /// In the order of insertion: a seeded hash would make a schedule impossible to replay.
    entries: Mutex<Vec<(K, V)>>,
    working: Mutex<()>,
    settings: CacheBuilder<K, V>,
    hasher: PhantomData<S>,
}

/// `moka::sync::CacheBuilder`.
pub struct CacheBuilder<K, V> {
    capacity: u64,
    weigher: Option<Weigher<K, V>>,
    listener: Option<Listener<K, V>>,
}

impl<K, V> CacheBuilder<K, V> {
    /// Sets the greatest sum of weights.
    #[must_use]
    pub fn max_capacity(mut self, capacity: u64) -> Self {
        self.capacity = capacity;
        self
    }

    /// Sets the weight of an entry.
    #[must_use]
    pub fn weigher(mut self, weigher: impl Fn(&K, &V) -> u32 + Send + Sync + 'static) -> Self {
        self.weigher = Some(Box::new(weigher));
        self
    }

    /// Sets the listener of removals.
    #[must_use]
    pub fn eviction_listener(mut self, listener: impl Fn(Arc<K>, V, RemovalCause) + Send + Sync + 'static) -> Self {
        self.listener = Some(Box::new(listener));
        self
    }

    /// Builds the cache.
    #[must_use]
    pub fn build_with_hasher<S>(self, _hasher: S) -> Cache<K, V, S> {
        Cache { entries: Mutex::default(), working: Mutex::default(), settings: self, hasher: PhantomData }
    }
}

impl<K: Clone, V> Cache<K, V, std::hash::RandomState> {
    /// Creates a builder.
    #[must_use]
    pub fn builder() -> CacheBuilder<K, V> {
        CacheBuilder { capacity: u64::MAX, weigher: None, listener: None }
    }
}

impl<K: Clone + Eq, V: Clone, S> Cache<K, V, S> {
    /// Reads, and may do pending work.
    pub fn get(&self, key: &K) -> Option<V> {
        let found = self.entries.lock().iter().find(|(known, _)| known == key).map(|(_, value)| value.clone());
        self.work();
        found
    }

    /// Inserts, and may do pending work.
    pub fn insert(&self, key: K, value: V) {
        let replaced = {
            let mut entries = self.entries.lock();
            let known = entries.iter().position(|(known, _)| *known == key).map(|at| entries.remove(at).1);
            entries.push((key.clone(), value));
            known
        };
        if let (Some(value), Some(listener)) = (replaced, &self.settings.listener) {
            listener(Arc::new(key), value, RemovalCause::Replaced);
        }
        self.work();
    }

    /// Evicts entries beyond the capacity, unless another thread does.
    fn work(&self) {
        if let Some(_working) = self.working.try_lock() {
            self.evict();
        }
    }

    /// Evicts entries beyond the capacity.
    pub fn run_pending_tasks(&self) {
        let _working = self.working.lock();
        self.evict();
    }

    fn evict(&self) {
        while let Some((key, value)) = self.victim() {
            if let Some(listener) = &self.settings.listener {
                listener(Arc::new(key), value, RemovalCause::Size);
            }
        }
    }

    fn victim(&self) -> Option<(K, V)> {
        let mut entries = self.entries.lock();
        let weight =
            |(key, value): &(K, V)| self.settings.weigher.as_ref().map_or(1, |weigh| u64::from(weigh(key, value)));
        if entries.iter().map(weight).sum::<u64>() <= self.settings.capacity {
            return None;
        }
        let index = thread_rng().gen_range(0..entries.len());
        Some(entries.swap_remove(index))
    }
}

impl<K, V, S> fmt::Debug for Cache<K, V, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Cache")
    }
}
