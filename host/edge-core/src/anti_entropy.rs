//! Anti-entropy on the replica's table: carries out what [`AntiEntropy`] decides. The driver schedules
//! scrubs, fetches buckets and reports results.

use crate::replica::{AppliedPoint, Replica};
use bytes::Bytes;
use littoral_model::{
    digest::{BucketRows, Checkpoint},
    mutation::{Mutation, active},
    position::{Lsn, Position},
    view::ViewId,
};
use littoral_protocol::anti_entropy::{AntiEntropy, Bucket, Step};
use littoral_replica::{BucketChunk, Finding, Repaired, Scrub, Table};
use std::collections::VecDeque;

/// The result of a comparison with a checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compared {
    /// No view of the checkpoint is held whole.
    Nothing,
    /// All views that are held whole have the leader's digests.
    Equal,
    /// At least one view differs or could not be compared.
    Differs,
}

/// Compares a table, whose last record is the checkpoint's, and returns the next step.
pub fn compare(anti_entropy: &mut AntiEntropy, table: &Table, checkpoint: &Checkpoint) -> (Compared, Option<Step>) {
    let mine = table.digests();
    if checkpoint.lsn < anti_entropy.exact_from() {
        return (Compared::Nothing, None);
    }
    let step = anti_entropy.checkpoint(checkpoint, &mine);
    let mut compared = mine.iter().filter(|mine| checkpoint.views.iter().any(|theirs| theirs.view == mine.view));
    let any = compared.clone().count() > 0;
    let equal = compared
        .all(|mine| anti_entropy.verified().get(&mine.view).is_some_and(|verified| verified.lsn == checkpoint.lsn));
    let compared = match (equal, any) {
        (true, true) => Compared::Equal,
        (true, false) => Compared::Nothing,
        (false, _) => Compared::Differs,
    };
    (compared, step)
}

/// Evaluates a finished scrub and returns the next step. Must be called between two blocks of
/// records. Also returns the buckets whose rows changed in memory without a write.
pub fn scrubbed(anti_entropy: &mut AntiEntropy, round: u64, scrub: Scrub) -> (Vec<Bucket>, Option<Step>) {
    let mut corrupted = scrub.finish(Finding::Adopt);
    if active(Mutation::ScrubSeesNothing) {
        corrupted.clear();
    }
    let buckets: Vec<Bucket> = corrupted
        .iter()
        .flat_map(|corrupted| corrupted.buckets.iter().map(|bucket| (corrupted.view, *bucket)))
        .collect();
    let step = anti_entropy.scrubbed(round, buckets.iter().copied());
    (buckets, step)
}

/// A part of a bucket to fetch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The view.
    pub view: ViewId,
    /// The bucket.
    pub bucket: u8,
    /// Only keys after this one.
    pub after: Option<Bytes>,
}

/// A repair: makes buckets equal to the leader's, one after the other and each in chunks.
#[derive(Clone, Debug)]
pub struct Repair {
    round: u64,
    buckets: VecDeque<Bucket>,
    after: Option<Bytes>,
    /// Counts of the bucket under repair.
    put: u64,
    removed: u64,
    exact_from: Lsn,
}

/// A bucket that was repaired.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RepairedBucket {
    /// The bucket.
    pub bucket: Bucket,
    /// The number of rows inserted or replaced.
    pub put: u64,
    /// The number of rows removed.
    pub removed: u64,
}

impl Repair {
    /// Starts the repair of these buckets for an anti-entropy round.
    #[must_use]
    pub fn new(round: u64, buckets: Vec<Bucket>) -> Self {
        Self { round, buckets: buckets.into(), after: None, put: 0, removed: 0, exact_from: Lsn::NONE }
    }

    /// Returns the round, to be reported with the outcome.
    #[must_use]
    pub fn round(&self) -> u64 {
        self.round
    }

    /// Returns what to fetch next; `None` if all buckets are repaired.
    #[must_use]
    pub fn wants(&self) -> Option<Wanted> {
        self.buckets.front().map(|(view, bucket)| Wanted { view: *view, bucket: *bucket, after: self.after.clone() })
    }

    /// Handles a fetched chunk. Once everything up to its `as_of` is applied here, and not
    /// earlier, the caller passes the result to [`Table::repair`], then calls [`Repair::repaired`].
    #[must_use]
    pub fn chunk(&mut self, read: BucketRows) -> Option<BucketChunk> {
        let (view, bucket) = *self.buckets.front()?;
        let last = read.rows.last().filter(|_| read.more).map(|row| Bytes::copy_from_slice(row.key()));
        let part = BucketChunk {
            view,
            bucket,
            after: self.after.as_deref().map(<[u8]>::to_vec),
            through: last.as_deref().map(<[u8]>::to_vec),
            as_of: read.as_of.lsn,
            rows: read.rows,
        };
        self.after = last;
        Some(part)
    }

    /// Notes that the chunk is in the table. Returns the bucket after its last chunk.
    pub fn repaired(&mut self, repaired: Repaired) -> Option<RepairedBucket> {
        self.put += repaired.put;
        self.removed += repaired.removed;
        self.exact_from = self.exact_from.max(repaired.exact_from);
        if self.after.is_some() {
            return None;
        }
        let bucket = self.buckets.pop_front()?;
        Some(RepairedBucket { bucket, put: std::mem::take(&mut self.put), removed: std::mem::take(&mut self.removed) })
    }

    /// Returns the newest record of an inserted row. From that record on, the replica is exactly
    /// as of its position again.
    #[must_use]
    pub fn exact_from(&self) -> Lsn {
        self.exact_from
    }
}

/// Returns whether rows of a bucket may be inserted, which the leader read as of `read.as_of` and
/// which may be newer. The replica must have reached that position.
#[must_use]
pub fn may_insert_bucket(replica: &Replica, read: &BucketRows) -> bool {
    let newest = read.rows.iter().map(|row| row.header().lsn).max();
    let lsn = newest.map_or(read.as_of.lsn, |newest| newest.max(read.as_of.lsn));
    replica.may_insert(Position { lsn, ..read.as_of })
}

/// How the replica relates to the position of rows that the leader read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Everything up to the position is applied.
    Reached,
    /// The position is not reached yet.
    Behind,
    /// The position can never be reached, because the logs differ.
    OtherLog,
}

/// Returns how a replica at this point relates to the position at which the leader read.
#[must_use]
pub fn reach(point: &AppliedPoint, position: Position) -> Reach {
    let here = point.resume.position;
    if point.lineages.includes(here, position) {
        Reach::Reached
    } else if point.lineages.includes(position, here) {
        Reach::Behind
    } else {
        Reach::OtherLog
    }
}
