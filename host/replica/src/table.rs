//! The table of rows.

use crate::{
    batch::GROUP,
    digest::Scrubbing,
    pace::{Hurry, Pace},
    policy::{Policy, PolicyKey},
    rebase::Generation,
    scan::Graves,
    shard::{Core, State, is},
    view::{Residency, View, ViewCounts, footprint},
};
use hashbrown::hash_table::Entry;
use littoral_model::{
    event_time::EventTime,
    hlc::Hlc,
    merge::MergePolicy,
    mutation::{Mutation, active},
    position::Lsn,
    region::Region,
    row::{Row, RowMeta},
    version::Version,
    view::ViewId,
};
use parking_lot::Mutex;
use std::{
    sync::{Arc, Weak, atomic::AtomicU64},
    time::Instant,
};

/// The configuration of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// The number of shards, each with its own lock. Rounded up to a power of two, at most 65,536.
    pub shards: usize,
    /// The memory budget for rows of resident views, in bytes; `None` if there are none and
    /// nothing is evicted.
    pub resident_bytes: Option<u64>,
    /// Once a view has this many tombstones and misses, further misses are not remembered.
    pub misses_max: u64,
    /// The record of the snapshot with which the table is filled first. Fills as of an older record are rejected.
    pub floor: Lsn,
    /// A seed that determines where rows are placed, for simulations that replay exactly. `None`
    /// draws a seed per table. Tables with keys from clients need `None`, so that clients cannot
    /// choose keys that collide.
    pub hash_seed: Option<u64>,
}

impl Default for Config {
    fn default() -> Self {
        Self { shards: 1_024, resident_bytes: None, misses_max: 100_000, floor: Lsn::NONE, hash_seed: None }
    }
}

/// What a table holds for a key.
#[derive(Clone, Debug)]
pub enum Held {
    /// The row.
    Row(Row),
    /// A tombstone or a remembered miss: there is no row.
    Absent,
    /// Nothing. In a full view and at a leader, there is no row. In a resident view, the leader
    /// must be queried.
    Unknown,
}

/// What to do with a row that is not held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Insert it: in full views, and in a leader's state.
    InsertAll,
    /// Skip it: in resident views, which hold only rows that were read.
    UpdateHeld,
}

/// The result of applying a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applied {
    /// The key was not held and now is.
    Inserted,
    /// The row outranked the held one and replaced it.
    Replaced,
    /// The held row outranks it.
    Outranked,
    /// The held row is of the same record or a later one, and so already takes this record into
    /// account.
    Passed,
    /// The key is not held, and the mode does not insert.
    NotHeld,
}

/// The result of a fill.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FillOutcome {
    /// The table holds the leader's row, or a newer one.
    Inserted,
    /// The feed has overtaken the reply in this stripe; the caller must request the key again.
    Overtaken {
        /// The minimum record as of which the row must be read.
        needs: Lsn,
    },
    /// The view is no longer resident, or the limit of misses is reached. Nothing was changed.
    NotKept,
}

/// Rows by view and key.
///
/// A read holds a shard's lock in shared mode for one lookup. [`Table::apply`] and [`Table::fill`]
/// hold it exclusively. The LSN that they publish in the stripe decides between a fill and the
/// feed.
#[derive(Debug)]
pub struct Table {
    pub(crate) core: Arc<Core>,
    pub(crate) policy: Option<Policy>,
    misses_max: u64,
    pub(crate) scrubbing: Scrubbing,
    pub(crate) pace: Mutex<Pace>,
    pub(crate) hurry: Hurry,
    pub(crate) generation: AtomicU64,
    /// Snapshots being read, which must not miss tombstones that are collected in the meantime.
    pub(crate) snapshots: Mutex<Vec<Weak<Graves>>>,
}

impl Table {
    /// Creates an empty table.
    #[must_use]
    pub fn new(config: Config) -> Self {
        let core = Arc::new(Core::new(config.shards, config.hash_seed));
        if config.floor > Lsn::NONE && !active(Mutation::ForgetSnapshotFloor) {
            core.shards.iter().for_each(|shard| shard.0.write().stripe.publish(config.floor));
        }
        let policy = config.resident_bytes.map(|bytes| Policy::new(bytes, &core));
        let misses_max = config.misses_max;
        let (scrubbing, snapshots, generation) =
            (Scrubbing::default(), Mutex::default(), AtomicU64::new(Generation::begin().number()));
        let (pace, hurry) = (Mutex::new(Pace::new(Instant::now())), Hurry::default());
        Self { core, policy, misses_max, scrubbing, pace, hurry, generation, snapshots }
    }

    /// Returns what is held for a key.
    #[must_use]
    pub fn get(&self, view: ViewId, key: &[u8]) -> Held {
        let hash = self.core.hash(view, key);
        let found = self.core.find(hash, view, key);
        if found.is_some()
            && let Some(policy) = &self.policy
            && self.residency(view) == Some(Residency::Resident)
        {
            policy.read(PolicyKey { view, hash });
        }
        match found {
            Some(row) if row.is_tombstone() => Held::Absent,
            Some(row) => Held::Row(row),
            None => Held::Unknown,
        }
    }

    /// Returns the row or tombstone held for a key.
    #[must_use]
    pub fn held(&self, view: ViewId, key: &[u8]) -> Option<Row> {
        self.core.find(self.core.hash(view, key), view, key)
    }

    /// Applies a row or tombstone of the log: publishes its LSN in its stripe and merges the row,
    /// under one lock. Records must be applied in order. Applying a record again, or one older
    /// than the held row, changes nothing.
    pub fn apply(&self, row: Row, merge: MergePolicy, mode: Mode) -> Applied {
        let hash = self.core.hash_of(&row);
        self.core.views.with_or_make(row.header().view, |counts| self.apply_to(counts, hash, row, merge, mode))
    }

    /// Applies rows and tombstones of one view, each as [`Table::apply`] does, and reports the
    /// results in order. Prefetches the rows that they replace, a group at a time, like
    /// [`Table::read`] (`host/decisions/0009`).
    pub fn apply_all(
        &self,
        view: ViewId,
        mut rows: impl Iterator<Item = Row>,
        merge: MergePolicy,
        mode: Mode,
        mut became: impl FnMut(Applied),
    ) {
        self.core.views.with_or_make(view, |counts| {
            let mut group: Vec<(u64, Row)> = Vec::with_capacity(GROUP);
            loop {
                for row in rows.by_ref().take(GROUP) {
                    debug_assert_eq!(row.header().view, view, "rows of one view are applied together");
                    let hash = self.core.hash_of(&row);
                    self.core.prefetch(hash);
                    group.push((hash, row));
                }
                if group.is_empty() {
                    return;
                }
                for (hash, row) in group.drain(..) {
                    became(self.apply_to(counts, hash, row, merge, mode));
                }
            }
        });
    }

    fn apply_to(&self, counts: &View, hash: u64, row: Row, merge: MergePolicy, mode: Mode) -> Applied {
        if row.is_tombstone() && active(Mutation::DropTombstone) {
            return Applied::Outranked;
        }
        let view = row.header().view;
        let weight = footprint(&row);
        let mut state = self.core.shard(hash).0.write();
        state.stripe.publish(row.header().lsn);
        let resident = counts.residency() == Residency::Resident;
        let State { rows, scrubbed, .. } = &mut *state;
        let (applied, reweigh) =
            match rows.entry(hash, |held| is(held, view, row.key()), |held| self.core.hash_of(held)) {
                // The held row may be newer than the records being applied: it came from a
                // snapshot or a fill. It already takes this record into account. Comparing again
                // would be wrong, because a deletion that outranked this record may have been
                // collected.
                Entry::Occupied(held)
                    if row.header().lsn <= held.get().header().lsn && !active(Mutation::ApplyBehindRow) =>
                {
                    (Applied::Passed, false)
                }
                Entry::Occupied(held)
                    if mode == Mode::UpdateHeld && is_miss(held.get()) && !active(Mutation::MissSurvivesWrite) =>
                {
                    // The leader answers the same for a deleted key, whose deletion may outrank
                    // this write. Only the leader knows, so the next read queries it.
                    let (miss, _) = held.remove();
                    counts.removed(&miss);
                    (Applied::NotHeld, false)
                }
                Entry::Occupied(mut held) => {
                    let replaces = merge.replaces(row.rank(), held.get().rank()) || active(Mutation::ApplyWithoutRank);
                    if !replaces || (active(Mutation::MissSurvivesWrite) && is_miss(held.get())) {
                        (Applied::Outranked, false)
                    } else {
                        counts.replaced(held.get(), &row);
                        counts.changed(*scrubbed.get_mut(), row.key(), Some(held.get()), Some(&row));
                        let old = std::mem::replace(held.get_mut(), row);
                        (Applied::Replaced, footprint(&old) != weight)
                    }
                }
                Entry::Vacant(_) if mode == Mode::UpdateHeld || active(Mutation::DropInsert) => {
                    (Applied::NotHeld, false)
                }
                Entry::Vacant(slot) => {
                    counts.added(&row);
                    counts.changed(*scrubbed.get_mut(), row.key(), None, Some(&row));
                    slot.insert(row);
                    (Applied::Inserted, true)
                }
            };
        drop(state);
        // Only after the lock is released: the policy may evict, and its listener locks a shard.
        if resident
            && reweigh
            && let Some(policy) = &self.policy
        {
            policy.wrote(PolicyKey { view, hash }, weight);
        }
        applied
    }

    /// Inserts what the leader read for a key, as of its record `as_of`: a row, a tombstone, or
    /// nothing, which is remembered as a miss. Only for resident views.
    pub fn fill(&self, view: ViewId, key: &[u8], row: Option<Row>, as_of: Lsn) -> FillOutcome {
        self.fill_in(self.generation(), view, key, row, as_of)
    }

    /// Like [`Self::fill`], but keeps nothing if the table's generation is no longer `generation`.
    pub fn fill_in(
        &self,
        generation: Generation,
        view: ViewId,
        key: &[u8],
        row: Option<Row>,
        as_of: Lsn,
    ) -> FillOutcome {
        let hash = self.core.hash(view, key);
        let row = row.filter(|_| !active(Mutation::FillLosesRow));
        let miss = row.is_none();
        let row = row.unwrap_or_else(|| remembered_miss(view, key, as_of));
        let weight = footprint(&row);
        let mut state = self.core.shard(hash).0.write();
        if generation != self.generation() {
            return FillOutcome::NotKept;
        }
        if let Err(needs) = state.stripe.admit(as_of) {
            return FillOutcome::Overtaken { needs };
        }
        // Within the lock, because dropping a view removes the view first and then sweeps the
        // shards.
        let Some(filled) = self.core.views.with(view, |counts| {
            if counts.residency() == Residency::Full || (miss && counts.counts().absent >= self.misses_max) {
                return FillOutcome::NotKept;
            }
            let State { rows, .. } = &mut *state;
            match rows.entry(hash, |held| is(held, view, key), |held| self.core.hash_of(held)) {
                Entry::Occupied(mut held) => {
                    // Both are of one log, in which later records take earlier ones into account.
                    if row.header().lsn > held.get().header().lsn {
                        counts.added(&row);
                        counts.removed(&std::mem::replace(held.get_mut(), row));
                    }
                }
                Entry::Vacant(slot) => {
                    counts.added(&row);
                    slot.insert(row);
                }
            }
            FillOutcome::Inserted
        }) else {
            return FillOutcome::NotKept;
        };
        drop(state);
        if filled == FillOutcome::Inserted
            && let Some(policy) = &self.policy
        {
            policy.wrote(PolicyKey { view, hash }, weight);
        }
        filled
    }

    /// Returns how a view is held; `None` for an unknown view.
    #[must_use]
    pub fn residency(&self, view: ViewId) -> Option<Residency> {
        self.core.views.with(view, |view| view.residency())
    }

    /// Sets how a view is held; new views are full. A full view that becomes resident keeps its
    /// rows until the policy has been notified of all and evicts those beyond the budget. A table
    /// without a policy cannot have resident views.
    pub fn set_residency(&self, view: ViewId, residency: Residency) {
        let before = self.residency(view);
        self.core.views.set_residency(view, residency);
        if residency == Residency::Resident
            && before == Some(Residency::Full)
            && let Some(policy) = &self.policy
        {
            for shard in &self.core.shards {
                let rows: Vec<(u64, u64)> = (shard.0.read().rows.iter())
                    .filter(|row| row.header().view == view)
                    .map(|row| (self.core.hash_of(row), footprint(row)))
                    .collect();
                for (hash, weight) in rows {
                    policy.wrote(PolicyKey { view, hash }, weight);
                }
            }
            policy.settle();
        }
    }

    /// Removes a view and all its rows. Holds one shard's lock at a time.
    pub fn drop_view(&self, view: ViewId) {
        self.core.views.remove(view);
        for shard in &self.core.shards {
            shard.0.write().rows.retain(|row| row.header().view != view);
        }
    }

    /// Returns the counts of a view.
    #[must_use]
    pub fn counts(&self, view: ViewId) -> ViewCounts {
        self.core.views.with(view, |view| view.counts()).unwrap_or_default()
    }

    /// Returns the memory of all rows and tombstones, in bytes, including the table's overhead.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.core.views.bytes()
    }

    /// Returns every view of the table.
    #[must_use]
    pub fn views(&self) -> Vec<(ViewId, Residency, ViewCounts)> {
        self.core.views.all()
    }

    /// Reserves memory for this number of rows, for a snapshot.
    pub fn reserve(&self, rows: usize) {
        let each = rows / self.core.shards.len();
        // A sixteenth more, because hashing is never perfectly even.
        let each = each + each / 16;
        for shard in &self.core.shards {
            shard.0.write().rows.reserve(each, |row| self.core.hash_of(row));
        }
    }

    /// Removes tombstones whose write is older than `before`, as a record of the log requires. Snapshots being read
    /// still return them. Returns their number.
    pub fn collect_tombstones(&self, before: Hlc) -> usize {
        let before = if active(Mutation::CollectTooMuch) { Hlc(u64::MAX) } else { before };
        let mut collected = 0;
        let snapshots: Vec<Arc<Graves>> = {
            let mut snapshots = self.snapshots.lock();
            snapshots.retain(|snapshot| snapshot.strong_count() > 0);
            snapshots.iter().filter_map(Weak::upgrade).collect()
        };
        for shard in &self.core.shards {
            let mut state = shard.0.write();
            let State { rows, scrubbed, collected_before, collected_to, .. } = &mut *state;
            *collected_before = before.max(*collected_before);
            rows.retain(|row| {
                let keep = !row.is_tombstone() || is_miss(row) || row.header().version.hlc >= before;
                if !keep {
                    self.core.views.with(row.header().view, |view| {
                        view.changed(*scrubbed.get_mut(), row.key(), Some(row), None);
                        view.removed(row);
                    });
                    snapshots.iter().for_each(|snapshot| snapshot.lock().push(row.clone()));
                    *collected_to = row.header().lsn.max(*collected_to);
                    collected += 1;
                }
                keep
            });
        }
        collected
    }

    /// Returns the number of tombstones whose write is older than `before`.
    #[must_use]
    pub fn tombstones_before(&self, before: Hlc) -> usize {
        let is_old = |row: &&Row| row.is_tombstone() && !is_miss(row) && row.header().version.hlc < before;
        self.core.shards.iter().map(|shard| shard.0.read().rows.iter().filter(is_old).count()).sum()
    }

    /// Makes the eviction policy do its pending work now, for tests and status.
    pub fn settle(&self) {
        if let Some(policy) = &self.policy {
            policy.settle();
        }
    }
}

/// Creates the entry of a remembered miss: a tombstone that every write outranks.
fn remembered_miss(view: ViewId, key: &[u8], as_of: Lsn) -> Row {
    let version = Version { hlc: Hlc(0), region: Region::NONE };
    Row::new(RowMeta { view, event_time: EventTime(i64::MIN), version, lsn: as_of }, key, None)
}

/// Returns whether a tombstone is only a remembered miss, which is in no log.
pub(crate) fn is_miss(row: &Row) -> bool {
    row.is_tombstone() && row.header().version.hlc == Hlc(0)
}
