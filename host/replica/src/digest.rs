//! A view's digest, kept up as its rows change, and the check that finds out whether it still says what the rows are.
//!
//! A kept sum follows every change, by the hash that each row had when it was made, and so says what the rows should be. It
//! does not notice a row that changes in memory without being written. So from time to time a scrub adds up the rows
//! themselves, shard by shard, while writes go on: a write to a shard that was added up already is told to the scrub too. In
//! the end both must be equal.
//!
//! Who begins and finishes a scrub, takes digests, or mends, is whoever applies, or works while nobody applies or
//! scrubs: between two writes the sums of all shards are as of one record.

use crate::{
    pace::SLICE,
    shard::is,
    table::Table,
    view::{Residency, View},
};
use littoral_model::{
    digest::{BUCKETS, Digest, Sum, ViewDigest, bucket_of},
    mutation::{Mutation, active},
    row::Row,
    view::ViewId,
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

/// Sums that shards add to side by side.
#[derive(Debug)]
pub(crate) struct Sums(Box<[(AtomicU64, AtomicU64)]>);

impl Default for Sums {
    fn default() -> Self {
        Self((0..BUCKETS).map(|_| (AtomicU64::new(0), AtomicU64::new(0))).collect())
    }
}

impl Sums {
    #[inline]
    pub(crate) fn add(&self, bucket: u8, sum: Sum) {
        let (low, high) = &self.0[usize::from(bucket)];
        low.fetch_add(sum.low, Relaxed);
        high.fetch_add(sum.high, Relaxed);
    }

    fn load(&self, bucket: u8) -> Sum {
        let (low, high) = &self.0[usize::from(bucket)];
        Sum { low: low.load(Relaxed), high: high.load(Relaxed) }
    }

    fn store(&self, bucket: u8, sum: Sum) {
        let (low, high) = &self.0[usize::from(bucket)];
        low.store(sum.low, Relaxed);
        high.store(sum.high, Relaxed);
    }

    fn digest(&self) -> Digest {
        let mut digest = Digest::default();
        (0..=u8::MAX).for_each(|bucket| digest.set(bucket, self.load(bucket)));
        digest
    }
}

impl View {
    /// A row has taken another's place, or an empty one, or has left. Called under its shard's lock.
    #[inline]
    pub(crate) fn changed(&self, shard_is_scrubbed: bool, key: &[u8], old: Option<&Row>, new: Option<&Row>) {
        if self.residency() != Residency::Full {
            return;
        }
        let old = old.filter(|_| !active(Mutation::DigestKeepsReplaced));
        let (bucket, change) = (bucket_of(key), difference(new, old, Row::sum));
        self.kept.add(bucket, change);
        if shard_is_scrubbed {
            // What the scrub has added up is what it found, not what was written.
            self.scrubbed.add(bucket, difference(new, old, Sum::of));
        }
    }
}

fn difference(new: Option<&Row>, old: Option<&Row>, sum: impl Fn(&Row) -> Sum) -> Sum {
    let of = |row: Option<&Row>| row.map_or(Sum::default(), &sum);
    of(new).minus(of(old))
}

/// What a scrub has found: a view and the buckets whose rows are not what was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spoilt {
    /// The view.
    pub view: ViewId,
    /// Its buckets, in order.
    pub buckets: Vec<u8>,
}

/// What a scrub does with sums that do not say what the rows are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finding {
    /// The sums shall say what the rows are: for a replica, which is then compared with its leader's.
    Adopt,
    /// The sums stay what the rows should be: for a leader, whose sums vouch for its log.
    Keep,
}

/// A scrub that is under way. Dropped unfinished, it has no effect.
#[derive(Debug)]
pub struct Scrub {
    table: Arc<Table>,
    next: usize,
    /// Rows that were found to be other than they were made.
    changed: Vec<Row>,
}

impl Table {
    /// The digests of the full views, by view. Exact when nobody applies meanwhile.
    #[must_use]
    pub fn digests(&self) -> Vec<ViewDigest> {
        let views = self.core.views.all_full();
        let digest = |(view, state): (ViewId, Arc<View>)| ViewDigest {
            view,
            rows: state.counts().rows,
            digest: state.kept.digest(),
        };
        views.into_iter().map(digest).collect()
    }

    /// Begins to add up the rows; `None` while another scrub is under way. Nobody may apply meanwhile.
    #[must_use]
    pub fn begin_scrub(self: &Arc<Self>) -> Option<Scrub> {
        if self.scrubbing.swap(true, Relaxed) {
            return None;
        }
        for shard in &self.core.shards {
            shard.0.read().scrubbed.store(false, Relaxed);
        }
        for (_, view) in self.core.views.all_full() {
            (0..=u8::MAX).for_each(|bucket| view.scrubbed.store(bucket, Sum::default()));
        }
        Some(Scrub { table: self.clone(), next: 0, changed: Vec::new() })
    }

    /// Has scrubs go on without rest until what is returned is dropped: somebody waits for them.
    #[must_use]
    pub fn hurry_scrubs(self: &Arc<Self>) -> Hurried {
        self.hurry.wait();
        Hurried(self.clone())
    }

    /// Has the scrub that is under way go on without rest, as something is known to be wrong.
    pub fn hurry_this_scrub(&self) {
        self.hurry.once();
    }

    /// Has a row, if it is still held, count as what it has become in memory.
    fn reseal(&self, row: &Row) {
        let (hash, header) = (self.core.hash_of(row), row.header());
        let mut state = self.core.shard(hash).0.write();
        if let Some(held) = state.rows.find_mut(hash, |held| is(held, header.view, row.key())) {
            *held = Row::resealed(held);
        }
    }
}

impl Scrub {
    /// Adds up shards for some milliseconds, or one that takes longer. Returns for how long to rest before the next slice, so
    /// that scrubs take no more than their share of a core; `None` when no shard is left.
    pub fn slice(&mut self) -> Option<Duration> {
        let begun = Instant::now();
        while self.advance() {
            let now = Instant::now();
            let took = now - begun;
            if took >= SLICE {
                let rest = self.table.pace.lock().rest_after(took, now);
                return Some(if self.is_hurried() { Duration::ZERO } else { rest });
            }
        }
        // What is left of it counts for the next scrub.
        let _rest = self.table.pace.lock().rest_after(begun.elapsed(), Instant::now());
        None
    }

    /// Whether somebody waits for it: it need not rest.
    #[must_use]
    pub fn is_hurried(&self) -> bool {
        self.table.hurry.is_on()
    }

    /// Adds up the next shard, while reads and writes go on elsewhere; false when there is none left.
    pub fn advance(&mut self) -> bool {
        let Some(shard) = self.table.core.shards.get(self.next) else { return false };
        self.next += 1;
        // Readers of this shard go on beside us; whoever writes to it waits, and then sees the mark.
        let state = shard.0.read();
        state.scrubbed.store(true, Relaxed);
        for row in state.rows.iter() {
            self.table.core.views.with(row.header().view, |view| {
                if view.residency() == Residency::Full {
                    let sum = Sum::of(row);
                    view.scrubbed.add(bucket_of(row.key()), sum);
                    if sum != row.sum() {
                        self.changed.push(row.clone());
                    }
                }
            });
        }
        true
    }

    /// Compares, when every shard was added up. Nobody may apply meanwhile.
    #[must_use]
    pub fn finish(self, finding: Finding) -> Vec<Spoilt> {
        let mut spoilt = Vec::new();
        if self.next < self.table.core.shards.len() {
            return spoilt;
        }
        for (id, view) in self.table.core.views.all_full() {
            let buckets: Vec<u8> =
                (0..=u8::MAX).filter(|bucket| view.kept.load(*bucket) != view.scrubbed.load(*bucket)).collect();
            if finding == Finding::Adopt {
                buckets.iter().for_each(|bucket| view.kept.store(*bucket, view.scrubbed.load(*bucket)));
            }
            if !buckets.is_empty() {
                spoilt.push(Spoilt { view: id, buckets });
            }
        }
        if finding == Finding::Adopt {
            // So that they leave the sums as they are in them now.
            self.changed.iter().for_each(|row| self.table.reseal(row));
        }
        spoilt
    }
}

impl Drop for Scrub {
    fn drop(&mut self) {
        self.table.hurry.scrub_ended();
        self.table.scrubbing.store(false, Relaxed);
    }
}

/// Scrubs of a table do not rest while this is held.
#[derive(Debug)]
pub struct Hurried(Arc<Table>);

impl Drop for Hurried {
    fn drop(&mut self) {
        self.0.hurry.waited();
    }
}

/// Whether a scrub is under way.
pub(crate) type Scrubbing = AtomicBool;
