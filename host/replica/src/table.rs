//! The table of rows.

use crate::{
    batch::GROUP,
    digest::Scrubbing,
    pace::{Hurry, Pace},
    policy::{Policy, PolicyKey},
    rebase::Numbering,
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

/// How a table is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// Parts with a lock of their own; rounded up to a power of two, at most 65,536.
    pub shards: usize,
    /// Memory for rows of resident views, in bytes; `None` when there are no resident views and nothing is evicted.
    pub resident_bytes: Option<u64>,
    /// Remembered misses per view: beyond this many tombstones and misses, no further miss is remembered.
    pub misses_max: u64,
    /// Fills as of an older record than this are refused: what a snapshot was taken as of.
    pub floor: Lsn,
    /// Where rows lie follows from this alone: for simulations that replay exactly. `None`, and anything that hears of keys
    /// from outside: drawn per table, so that nobody can choose keys that collide.
    pub hash_seed: Option<u64>,
}

impl Default for Config {
    fn default() -> Self {
        Self { shards: 1_024, resident_bytes: None, misses_max: 100_000, floor: Lsn::NONE, hash_seed: None }
    }
}

/// What a table holds of a key.
#[derive(Clone, Debug)]
pub enum Held {
    /// The row.
    Row(Row),
    /// A tombstone or a remembered miss: there is no row.
    Absent,
    /// Nothing. In a full view, and at a leader: there is no row. In a resident view: ask the leader.
    Unknown,
}

/// What to do with a row that is not held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Insert it: full views, and a leader's state.
    InsertAll,
    /// Leave it: resident views, where only what was asked for is held.
    UpdateHeld,
}

/// What became of an applied row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applied {
    /// The key was not held and is now.
    Inserted,
    /// It outranked what was held and took its place.
    Replaced,
    /// What was held outranks it.
    Outranked,
    /// What is held is of the same record or of a later one, so that it was decided before what comes of this one.
    Passed,
    /// The key is not held and was not to be inserted.
    NotHeld,
}

/// What became of a fill.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filled {
    /// The table holds the leader's answer, or something newer.
    Taken,
    /// The feed has overtaken the answer in this stripe: ask again.
    Overtaken {
        /// The answer must be as of this record or a later one.
        needs: Lsn,
    },
    /// The view is not held as resident any more, or misses are at their bound. Nothing was changed.
    NotKept,
}

/// Rows by view and key.
///
/// Reads share a shard's lock for the time of one look-up. [`Table::apply`] and [`Table::fill`] take it alone; the LSN
/// published there is what decides between a fill and the feed.
#[derive(Debug)]
pub struct Table {
    pub(crate) core: Arc<Core>,
    pub(crate) policy: Option<Policy>,
    misses_max: u64,
    pub(crate) scrubbing: Scrubbing,
    pub(crate) pace: Mutex<Pace>,
    pub(crate) hurry: Hurry,
    pub(crate) numbering: AtomicU64,
    /// Snapshots in the making, which must not miss tombstones that are collected meanwhile.
    pub(crate) snapshots: Mutex<Vec<Weak<Graves>>>,
}

impl Table {
    /// An empty table.
    #[must_use]
    pub fn new(config: Config) -> Self {
        let core = Arc::new(Core::new(config.shards, config.hash_seed));
        if config.floor > Lsn::NONE && !active(Mutation::ForgetSnapshotFloor) {
            core.shards.iter().for_each(|shard| shard.0.write().stripe.publish(config.floor));
        }
        let policy = config.resident_bytes.map(|bytes| Policy::new(bytes, &core));
        let misses_max = config.misses_max;
        let (scrubbing, snapshots, numbering) =
            (Scrubbing::default(), Mutex::default(), AtomicU64::new(Numbering::begin().number()));
        let (pace, hurry) = (Mutex::new(Pace::new(Instant::now())), Hurry::default());
        Self { core, policy, misses_max, scrubbing, pace, hurry, numbering, snapshots }
    }

    /// What is held of a key.
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

    /// The row or tombstone that is held of a key.
    #[must_use]
    pub fn held(&self, view: ViewId, key: &[u8]) -> Option<Row> {
        self.core.find(self.core.hash(view, key), view, key)
    }

    /// Applies a row or tombstone of the log: publishes its LSN in its stripe and merges it, both under one lock. Records are
    /// applied in their order; applying one again changes nothing, and neither does one that is older than the row that is held.
    pub fn apply(&self, row: Row, merge: MergePolicy, mode: Mode) -> Applied {
        let hash = self.core.hash_of(&row);
        self.core.views.with_or_make(row.header().view, |counts| self.apply_to(counts, hash, row, merge, mode))
    }

    /// Applies rows and tombstones of one view, as [`Table::apply`] does each, and reports the outcome of each, in order. Prefetches
    /// the rows that they replace, a group at a time, as [`Table::read`] does (`host/decisions/0009`).
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
                // What is held may be newer than the records that are being applied: a snapshot's row, or a fill. It was decided
                // in knowledge of this one, which must not be looked at again: a deletion that outranked it may be collected.
                Entry::Occupied(held)
                    if row.header().lsn <= held.get().header().lsn && !active(Mutation::ApplyBehindRow) =>
                {
                    (Applied::Passed, false)
                }
                Entry::Occupied(held)
                    if mode == Mode::UpdateHeld && is_miss(held.get()) && !active(Mutation::MissSurvivesWrite) =>
                {
                    // The leader answers the same for a key that was deleted, and there a deletion may outrank this write: only
                    // the leader can tell, so the next read asks it.
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
        // Only now: the policy may evict, and its listener takes a shard's lock.
        if resident
            && reweigh
            && let Some(policy) = &self.policy
        {
            policy.wrote(PolicyKey { view, hash }, weight);
        }
        applied
    }

    /// Takes what the leader read of a key, as of its record `as_of`: a row, a tombstone, or nothing, which is
    /// remembered as a miss. Only for resident views.
    pub fn fill(&self, view: ViewId, key: &[u8], row: Option<Row>, as_of: Lsn) -> Filled {
        self.fill_by(self.numbering(), view, key, row, as_of)
    }

    /// The same, unless the table has come to count by another log since `numbering` was asked for.
    pub fn fill_by(&self, numbering: Numbering, view: ViewId, key: &[u8], row: Option<Row>, as_of: Lsn) -> Filled {
        let hash = self.core.hash(view, key);
        let row = row.filter(|_| !active(Mutation::FillLosesRow));
        let miss = row.is_none();
        let row = row.unwrap_or_else(|| remembered_miss(view, key, as_of));
        let weight = footprint(&row);
        let mut state = self.core.shard(hash).0.write();
        if numbering != self.numbering() {
            return Filled::NotKept;
        }
        if let Err(needs) = state.stripe.admit(as_of) {
            return Filled::Overtaken { needs };
        }
        // Within the lock: whoever drops the view removes it first and then sweeps the shards.
        let Some(filled) = self.core.views.with(view, |counts| {
            if counts.residency() == Residency::Full || (miss && counts.counts().absent >= self.misses_max) {
                return Filled::NotKept;
            }
            let State { rows, .. } = &mut *state;
            match rows.entry(hash, |held| is(held, view, key), |held| self.core.hash_of(held)) {
                Entry::Occupied(mut held) => {
                    // Both are of one log, where what came later was decided in knowledge of what came before.
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
            Filled::Taken
        }) else {
            return Filled::NotKept;
        };
        drop(state);
        if filled == Filled::Taken
            && let Some(policy) = &self.policy
        {
            policy.wrote(PolicyKey { view, hash }, weight);
        }
        filled
    }

    /// How a view is held; `None` for one that the table has not heard of.
    #[must_use]
    pub fn residency(&self, view: ViewId) -> Option<Residency> {
        self.core.views.with(view, |view| view.residency())
    }

    /// Says how a view is held; new ones are full. A full view that becomes resident keeps its rows until the policy
    /// has heard of them all and evicts those beyond the memory budget; one with no policy cannot become resident.
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

    /// Forgets a view and every row of it. Holds one shard's lock at a time.
    pub fn drop_view(&self, view: ViewId) {
        self.core.views.remove(view);
        for shard in &self.core.shards {
            shard.0.write().rows.retain(|row| row.header().view != view);
        }
    }

    /// How much of a view there is.
    #[must_use]
    pub fn counts(&self, view: ViewId) -> ViewCounts {
        self.core.views.with(view, |view| view.counts()).unwrap_or_default()
    }

    /// Every view that the table has heard of.
    #[must_use]
    pub fn views(&self) -> Vec<(ViewId, Residency, ViewCounts)> {
        self.core.views.all()
    }

    /// Makes room for this many rows, so that a snapshot's rows find their tables large enough.
    pub fn reserve(&self, rows: usize) {
        let each = rows / self.core.shards.len();
        // A sixteenth more, as hashing never spreads evenly.
        let each = each + each / 16;
        for shard in &self.core.shards {
            shard.0.write().rows.reserve(each, |row| self.core.hash_of(row));
        }
    }

    /// Removes tombstones whose write is older than `before`, as a record of the log says that everybody does there.
    /// Snapshots that are being read meanwhile still get them. Returns how many.
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

    /// How many tombstones there are whose write is older than `before`.
    #[must_use]
    pub fn tombstones_before(&self, before: Hlc) -> usize {
        let is_old = |row: &&Row| row.is_tombstone() && !is_miss(row) && row.header().version.hlc < before;
        self.core.shards.iter().map(|shard| shard.0.read().rows.iter().filter(is_old).count()).sum()
    }

    /// Lets the eviction policy do its pending work now: for tests and for status.
    pub fn settle(&self) {
        if let Some(policy) = &self.policy {
            policy.settle();
        }
    }
}

/// A miss is remembered as the tombstone that every write outranks.
fn remembered_miss(view: ViewId, key: &[u8], as_of: Lsn) -> Row {
    let version = Version { hlc: Hlc(0), region: Region::NONE };
    Row::new(RowMeta { view, event_time: EventTime(i64::MIN), version, lsn: as_of }, key, None)
}

/// Whether a tombstone is only a remembered miss, which no log knows of.
pub(crate) fn is_miss(row: &Row) -> bool {
    row.is_tombstone() && row.header().version.hlc == Hlc(0)
}
