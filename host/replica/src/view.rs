//! What a table records about each view: how it is held, and how much of it.

use crate::digest::Sums;
use arc_swap::ArcSwap;
use hashbrown::HashMap;
use littoral_model::{row::Row, view::ViewId};
use parking_lot::Mutex;
use std::sync::{
    Arc,
    atomic::{AtomicU8, AtomicU64, Ordering::Relaxed},
};

/// How much of a view a table holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Residency {
    /// Every row. A key that is not held has no row.
    #[default]
    Full,
    /// Rows that were read, within the memory budget. Nothing is known about a key that is not
    /// held.
    Resident,
}

/// The amount of a view that is held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ViewCounts {
    /// The number of rows, without tombstones.
    pub rows: u64,
    /// The number of tombstones and remembered misses.
    pub absent: u64,
    /// The memory of both, in bytes, including the table's overhead.
    pub bytes: u64,
}

/// The table's memory per entry, without the row: its slot, and its share of the free slots.
const SLOT_LEN: u64 = 16;

/// Returns the memory of a row and its slot, in bytes, rounded like allocators do.
pub(crate) fn footprint(row: &Row) -> u64 {
    footprint_of(row.payload_len())
}

/// Returns the memory of a row with `payload_len` bytes of key and values, in bytes, as [`ViewCounts::bytes`] counts
/// it.
#[must_use]
pub fn footprint_of(payload_len: usize) -> u64 {
    (Row::allocation_len_of(payload_len) as u64).next_multiple_of(16) + SLOT_LEN
}

#[derive(Debug, Default)]
pub(crate) struct View {
    /// The sums of what was written; meaningless once the view is resident.
    pub(crate) kept: Sums,
    /// The sums of what is in memory, as far as the scrub has advanced.
    pub(crate) scrubbed: Sums,
    residency: AtomicU8,
    rows: AtomicU64,
    absent: AtomicU64,
    bytes: AtomicU64,
}

impl View {
    pub(crate) fn residency(&self) -> Residency {
        if self.residency.load(Relaxed) == Residency::Full as u8 { Residency::Full } else { Residency::Resident }
    }

    pub(crate) fn counts(&self) -> ViewCounts {
        ViewCounts { rows: self.rows.load(Relaxed), absent: self.absent.load(Relaxed), bytes: self.bytes.load(Relaxed) }
    }

    pub(crate) fn added(&self, row: &Row) {
        let count = if row.is_tombstone() { &self.absent } else { &self.rows };
        count.fetch_add(1, Relaxed);
        self.bytes.fetch_add(footprint(row), Relaxed);
    }

    /// Updates the counts for a replaced row.
    #[inline]
    pub(crate) fn replaced(&self, old: &Row, new: &Row) {
        // Nearly always nothing changes, and each counter update costs all cores.
        if old.is_tombstone() != new.is_tombstone() || footprint(old) != footprint(new) {
            self.added(new);
            self.removed(old);
        }
    }

    pub(crate) fn removed(&self, row: &Row) {
        let count = if row.is_tombstone() { &self.absent } else { &self.rows };
        count.fetch_sub(1, Relaxed);
        self.bytes.fetch_sub(footprint(row), Relaxed);
    }
}

type ById = HashMap<ViewId, Arc<View>, foldhash::fast::FixedState>;

/// The views of a table. Read on every access, changed only by catalogue changes.
#[derive(Debug, Default)]
pub(crate) struct Views {
    by_id: ArcSwap<ById>,
    changing: Mutex<()>,
}

impl Views {
    /// Calls `f` with the view, which is created as full if it does not exist.
    pub(crate) fn with_or_make<R>(&self, id: ViewId, f: impl FnOnce(&View) -> R) -> R {
        match self.by_id.load().get(&id) {
            Some(view) => f(view),
            None => f(&self.make(id)),
        }
    }

    /// Calls `f` with the view, if it exists.
    pub(crate) fn with<R>(&self, id: ViewId, f: impl FnOnce(&View) -> R) -> Option<R> {
        self.by_id.load().get(&id).map(|view| f(view))
    }

    pub(crate) fn set_residency(&self, id: ViewId, residency: Residency) {
        self.make(id).residency.store(residency as u8, Relaxed);
    }

    pub(crate) fn remove(&self, id: ViewId) {
        self.change(|views| drop(views.remove(&id)));
    }

    pub(crate) fn all(&self) -> Vec<(ViewId, Residency, ViewCounts)> {
        self.by_id.load().iter().map(|(id, view)| (*id, view.residency(), view.counts())).collect()
    }

    /// Returns the memory of all views, in bytes.
    pub(crate) fn bytes(&self) -> u64 {
        self.by_id.load().values().map(|view| view.bytes.load(Relaxed)).sum()
    }

    /// Returns the full views, sorted by ID.
    pub(crate) fn all_full(&self) -> Vec<(ViewId, Arc<View>)> {
        let views = self.by_id.load();
        let mut full: Vec<_> = (views.iter())
            .filter(|(_, view)| view.residency() == Residency::Full)
            .map(|(id, view)| (*id, view.clone()))
            .collect();
        full.sort_unstable_by_key(|(id, _)| *id);
        full
    }

    fn make(&self, id: ViewId) -> Arc<View> {
        let mut made = None;
        self.change(|views| made = Some(views.entry(id).or_default().clone()));
        made.unwrap_or_default()
    }

    fn change(&self, change: impl FnOnce(&mut ById)) {
        let _one_at_a_time = self.changing.lock();
        let mut views = ById::clone(&self.by_id.load());
        change(&mut views);
        self.by_id.store(Arc::new(views));
    }
}
