//! A view's digest, updated as its rows change, and the scrub that checks it against the rows.
//!
//! Each view keeps a sum of its rows' hashes per bucket, the *kept sums*. A change updates them with the hash that each
//! row had when it was created, so they describe what the rows should be. They do not reveal a row that changes in
//! memory without a write. So from time to time a scrub adds up the rows themselves, shard by shard, while writes
//! continue. A write to a shard that the scrub has already added up is counted in the scrub too. At the end both sums
//! must be equal.
//!
//! Beginning or finishing a scrub, taking digests and repairing must not overlap with applying or
//! with each other: between two writes, the sums of all shards are as of one record.

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

/// Sums that shards update concurrently.
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
    /// Notes that a row replaced another, was inserted, or was removed. Called under its shard's
    /// lock.
    #[inline]
    pub(crate) fn changed(&self, shard_is_scrubbed: bool, key: &[u8], old: Option<&Row>, new: Option<&Row>) {
        if self.residency() != Residency::Full {
            return;
        }
        let old = old.filter(|_| !active(Mutation::DigestKeepsReplaced));
        let (bucket, change) = (bucket_of(key), difference(new, old, Row::sum));
        self.kept.add(bucket, change);
        if shard_is_scrubbed {
            // The scrub has added up what it found in memory, not what was written.
            self.scrubbed.add(bucket, difference(new, old, Sum::of));
        }
    }
}

fn difference(new: Option<&Row>, old: Option<&Row>, sum: impl Fn(&Row) -> Sum) -> Sum {
    let of = |row: Option<&Row>| row.map_or(Sum::default(), &sum);
    of(new).minus(of(old))
}

/// A result of a scrub: a view, and its buckets whose rows changed in memory without a write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Corrupted {
    /// The view.
    pub view: ViewId,
    /// Its buckets, in ascending order.
    pub buckets: Vec<u8>,
}

/// How a scrub corrects kept sums that do not match the rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finding {
    /// Set the sums to those of the rows: for a replica, which is then compared with its leader.
    Adopt,
    /// Keep the sums that the rows should have: for a leader, whose sums represent its log.
    Keep,
}

/// A scrub in progress. Dropping it unfinished has no effect.
#[derive(Debug)]
pub struct Scrub {
    table: Arc<Table>,
    next: usize,
    /// Rows whose hash differs from the one at their creation.
    changed: Vec<Row>,
}

impl Table {
    /// Returns the digests of the full views, sorted by ID. Exact only if nothing is applied
    /// concurrently.
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

    /// Begins a scrub; returns `None` while another one is in progress. Nothing may be applied
    /// concurrently.
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

    /// Makes scrubs run without pauses until the returned guard is dropped, because a caller waits
    /// for them.
    #[must_use]
    pub fn hurry_scrubs(self: &Arc<Self>) -> Hurried {
        self.hurry.wait();
        Hurried(self.clone())
    }

    /// Makes the current scrub run without pauses, because something is known to be wrong.
    pub fn hurry_this_scrub(&self) {
        self.hurry.once();
    }

    /// Updates the hash of a row, if it is still held, to that of its current bytes.
    fn reseal(&self, row: &Row) {
        let (hash, header) = (self.core.hash_of(row), row.header());
        let mut state = self.core.shard(hash).0.write();
        if let Some(held) = state.rows.find_mut(hash, |held| is(held, header.view, row.key())) {
            *held = Row::resealed(held);
        }
    }
}

impl Scrub {
    /// Adds up shards for a few milliseconds, or one shard that takes longer. Returns how long to
    /// pause before the next slice, so that scrubs use no more than their share of a core; `None`
    /// when no shard remains.
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
        // The time of the last slice counts for the next scrub.
        let _rest = self.table.pace.lock().rest_after(begun.elapsed(), Instant::now());
        None
    }

    /// Returns whether a caller waits for the scrub, so that it need not pause.
    #[must_use]
    pub fn is_hurried(&self) -> bool {
        self.table.hurry.is_on()
    }

    /// Adds up the next shard while reads and writes continue elsewhere; returns false if none
    /// remains.
    pub fn advance(&mut self) -> bool {
        let Some(shard) = self.table.core.shards.get(self.next) else { return false };
        self.next += 1;
        // Readers of this shard continue concurrently. A writer waits for the lock, and then sees
        // the mark.
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

    /// Compares the sums after all shards were added up. Nothing may be applied concurrently.
    #[must_use]
    pub fn finish(self, finding: Finding) -> Vec<Corrupted> {
        let mut corrupted = Vec::new();
        if self.next < self.table.core.shards.len() {
            return corrupted;
        }
        for (id, view) in self.table.core.views.all_full() {
            let buckets: Vec<u8> =
                (0..=u8::MAX).filter(|bucket| view.kept.load(*bucket) != view.scrubbed.load(*bucket)).collect();
            if finding == Finding::Adopt {
                buckets.iter().for_each(|bucket| view.kept.store(*bucket, view.scrubbed.load(*bucket)));
            }
            if !buckets.is_empty() {
                corrupted.push(Corrupted { view: id, buckets });
            }
        }
        if finding == Finding::Adopt {
            // Their removal must subtract from the sums what was added.
            self.changed.iter().for_each(|row| self.table.reseal(row));
        }
        corrupted
    }
}

impl Drop for Scrub {
    fn drop(&mut self) {
        self.table.hurry.scrub_ended();
        self.table.scrubbing.store(false, Relaxed);
    }
}

/// A guard: the table's scrubs do not pause while it is held.
#[derive(Debug)]
pub struct Hurried(Arc<Table>);

impl Drop for Hurried {
    fn drop(&mut self) {
        self.0.hurry.waited();
    }
}

/// Whether a scrub is in progress.
pub(crate) type Scrubbing = AtomicBool;
