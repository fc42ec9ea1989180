//! Memory that requests share.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

/// What is smaller is not counted: the bound on requests bounds it too.
const COUNTED_FROM: usize = 64 << 10;

/// Room for so many bytes. Cloning shares it.
#[derive(Clone, Debug)]
pub(crate) struct Room(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    most: usize,
    taken: AtomicUsize,
}

/// A part of a room, given back when it is dropped.
#[derive(Debug, Default)]
pub(crate) struct Held(Option<(Room, usize)>);

impl Room {
    pub(crate) fn new(most: usize) -> Self {
        Self(Arc::new(Inner { most, taken: AtomicUsize::new(0) }))
    }

    /// Room for so many bytes; `None` when there is not enough left.
    pub(crate) fn take(&self, bytes: usize) -> Option<Held> {
        if bytes < COUNTED_FROM {
            return Some(Held(None));
        }
        let fits = |taken: usize| taken.checked_add(bytes).filter(|sum| *sum <= self.0.most);
        self.0.taken.fetch_update(Relaxed, Relaxed, fits).ok()?;
        Some(Held(Some((self.clone(), bytes))))
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some((room, bytes)) = &self.0 {
            room.0.taken.fetch_sub(*bytes, Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_large_shares_the_room_and_gives_it_back() {
        let room = Room::new(200 << 10);
        let first = room.take(150 << 10).unwrap();
        assert!(room.take(100 << 10).is_none());
        assert!(room.take(10 << 10).is_some(), "small ones are not counted");
        drop(first);
        assert!(room.take(200 << 10).is_some());
        assert!(room.take(usize::MAX).is_none());
    }
}
