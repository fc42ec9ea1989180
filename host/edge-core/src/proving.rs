//! A replica against its leader's digests: what [`Prover`] decides, carried out on the table. When adding up runs, how a
//! bucket travels and who is told is the driver's matter.

use crate::replica::{Point, Replica};
use bytes::Bytes;
use littoral_model::{
    digest::{BucketRows, Checkpoint},
    mutation::{Mutation, active},
    position::{Lsn, Position},
    view::ViewId,
};
use littoral_protocol::proof::{Bucket, Prover, Step};
use littoral_replica::{BucketPart, Finding, Mended, Scrub, Table};
use std::collections::VecDeque;

/// What a comparison has shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compared {
    /// No view of the checkpoint is held whole.
    Nothing,
    /// All that are have the leader's digests.
    Equal,
    /// One has not, or could not be compared.
    Differs,
}

/// Compares a table, whose last record is the checkpoint's, and says what to do next.
pub fn compare(prover: &mut Prover, table: &Table, checkpoint: &Checkpoint) -> (Compared, Option<Step>) {
    let mine = table.digests();
    if checkpoint.lsn < prover.exact_from() {
        return (Compared::Nothing, None);
    }
    let step = prover.checkpoint(checkpoint, &mine);
    let mut compared = mine.iter().filter(|mine| checkpoint.views.iter().any(|theirs| theirs.view == mine.view));
    let any = compared.clone().count() > 0;
    let equal = compared.all(|mine| prover.proven().get(&mine.view).is_some_and(|proven| proven.lsn == checkpoint.lsn));
    let compared = match (equal, any) {
        (true, true) => Compared::Equal,
        (true, false) => Compared::Nothing,
        (false, _) => Compared::Differs,
    };
    (compared, step)
}

/// Judges rows that were added up, and says what to do next. Call it between two blocks of records. Returns the buckets
/// whose rows have changed without being written.
pub fn scrubbed(prover: &mut Prover, round: u64, scrub: Scrub) -> (Vec<Bucket>, Option<Step>) {
    let mut spoilt = scrub.finish(Finding::Adopt);
    if active(Mutation::ScrubSeesNothing) {
        spoilt.clear();
    }
    let buckets: Vec<Bucket> =
        spoilt.iter().flat_map(|spoilt| spoilt.buckets.iter().map(|bucket| (spoilt.view, *bucket))).collect();
    let step = prover.scrubbed(round, buckets.iter().copied());
    (buckets, step)
}

/// What to fetch of a bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The view.
    pub view: ViewId,
    /// The bucket.
    pub bucket: u8,
    /// Only keys behind this one.
    pub after: Option<Bytes>,
}

/// Buckets that are made what the leader has, one after the other and each in parts.
#[derive(Clone, Debug)]
pub struct Mending {
    round: u64,
    buckets: VecDeque<Bucket>,
    after: Option<Bytes>,
    /// Of the bucket that is being mended.
    put: u64,
    removed: u64,
    exact_from: Lsn,
}

/// A bucket that was mended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MendedBucket {
    /// Which.
    pub bucket: Bucket,
    /// Rows that were put in or replaced.
    pub put: u64,
    /// Rows that were taken out.
    pub removed: u64,
}

impl Mending {
    /// These buckets, which this round of the proof wants mended.
    #[must_use]
    pub fn new(round: u64, buckets: Vec<Bucket>) -> Self {
        Self { round, buckets: buckets.into(), after: None, put: 0, removed: 0, exact_from: Lsn::NONE }
    }

    /// The round to report to the prover.
    #[must_use]
    pub fn round(&self) -> u64 {
        self.round
    }

    /// What to fetch next; `None` when all are mended.
    #[must_use]
    pub fn wants(&self) -> Option<Wanted> {
        self.buckets.front().map(|(view, bucket)| Wanted { view: *view, bucket: *bucket, after: self.after.clone() })
    }

    /// What was wanted has come. Once everything up to its `as_of` is applied here, and only then, give the part to
    /// [`Table::mend`], then call [`Mending::mended`].
    #[must_use]
    pub fn part(&mut self, read: BucketRows) -> Option<BucketPart> {
        let (view, bucket) = *self.buckets.front()?;
        let last = read.rows.last().filter(|_| read.more).map(|row| Bytes::copy_from_slice(row.key()));
        let part = BucketPart {
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

    /// The part is in the table. Returns the bucket when it was its last.
    pub fn mended(&mut self, mended: Mended) -> Option<MendedBucket> {
        self.put += mended.put;
        self.removed += mended.removed;
        self.exact_from = self.exact_from.max(mended.exact_from);
        if self.after.is_some() {
            return None;
        }
        let bucket = self.buckets.pop_front()?;
        Some(MendedBucket { bucket, put: std::mem::take(&mut self.put), removed: std::mem::take(&mut self.removed) })
    }

    /// The newest record that a row put in comes from: the replica is as of one record again from there on.
    #[must_use]
    pub fn exact_from(&self) -> Lsn {
        self.exact_from
    }
}

/// Whether rows of a bucket that the leader had read as of `as_of`, which is reached here, may be put in: they may be newer than that.
#[must_use]
pub fn may_put_in(replica: &Replica, read: &BucketRows) -> bool {
    let newest = read.rows.iter().map(|row| row.header().lsn).max();
    let lsn = newest.map_or(read.as_of.lsn, |newest| newest.max(read.as_of.lsn));
    replica.may_take_in(Position { lsn, ..read.as_of })
}

/// Whether what the leader had read as of `position` may be put in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Everything up to there is applied.
    Reached,
    /// Not yet.
    Behind,
    /// It never will be: the logs differ.
    OtherLog,
}

/// How far a replica at this point is from what the leader had read.
#[must_use]
pub fn reach(point: &Point, position: Position) -> Reach {
    let here = point.resume.position;
    if point.lives.includes(here, position) {
        Reach::Reached
    } else if point.lives.includes(position, here) {
        Reach::Behind
    } else {
        Reach::OtherLog
    }
}
