//! Values by key that exist only while they are used.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, Mutex, PoisonError, Weak},
};

/// The number of entries below which dead ones are not removed.
const KEPT: usize = 64;

/// Values by key. A value is dropped with its last user. The memory stays proportional to the number of values in use.
#[derive(Debug)]
pub struct Live<K, V>(Mutex<Entries<K, V>>);

#[derive(Debug)]
struct Entries<K, V> {
    values: HashMap<K, Weak<V>>,
    /// The number of entries at which dead ones are removed.
    prune_at: usize,
}

impl<K, V> Default for Live<K, V> {
    fn default() -> Self {
        Self(Mutex::new(Entries { values: HashMap::new(), prune_at: KEPT }))
    }
}

impl<K: Eq + Hash, V> Live<K, V> {
    /// Returns the value of a key, or creates it.
    pub fn get(&self, key: K, create: impl FnOnce() -> V) -> Arc<V> {
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(value) = entries.values.get(&key).and_then(Weak::upgrade) {
            return value;
        }
        if entries.values.len() >= entries.prune_at {
            entries.values.retain(|_, value| value.strong_count() > 0);
            entries.prune_at = (2 * entries.values.len()).max(KEPT);
        }
        let value = Arc::new(create());
        entries.values.insert(key, Arc::downgrade(&value));
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_shared_while_it_is_used_and_then_forgotten() {
        let live = Live::default();
        let kept = live.get(0, || 7);
        assert_eq!(*live.get(0, || 8), 7);
        for key in 1..100_000 {
            assert_eq!(*live.get(key, || key), key);
        }
        assert!(live.0.lock().unwrap().values.len() <= KEPT);
        assert_eq!(*live.get(0, || 8), 7);
        drop(kept);
        assert_eq!(*live.get(0, || 8), 8);
    }
}
