//! Digests of a view's rows: what lets two replicas of one log find out that they hold the same rows, and where they do
//! not, without sending the rows.
//!
//! A view's rows fall into [`BUCKETS`] buckets by a hash of their keys that is the same in every process. A bucket's sum
//! adds up the hashes of its rows, tombstones among them, so that the order of writes does not matter and one row can be
//! taken out or put in without looking at the others. XXH3 finds damage and divergence; it is no defence against an
//! adversary.

use crate::{
    hlc::Hlc,
    mutation::{Mutation, active},
    position::{Lsn, Position},
    row::{Row, RowHeader},
    view::ViewId,
};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::{collections::VecDeque, fmt, sync::Arc};
use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

/// Buckets of a view.
pub const BUCKETS: usize = 256;

/// A bucket's bytes where a digest travels.
const SUM_LEN: usize = 16;

/// The bucket of a key.
#[inline]
#[must_use]
pub fn bucket_of(key: &[u8]) -> u8 {
    (xxh3_64(key) >> 56) as u8
}

/// The hashes of any number of rows, added up: two lanes, each modulo 2^64.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Sum {
    /// The hashes' low halves.
    pub low: u64,
    /// The hashes' high halves.
    pub high: u64,
}

impl Sum {
    /// One row's hash, over all that every replica of the row must agree on: view, key, values, event time, version, and
    /// whether it is a tombstone. Not over the record's number, which another region's log counts on its own.
    ///
    /// It is computed from the row as it lies in memory; [`Row::sum`] has it from when the row was made.
    #[inline]
    #[must_use]
    pub fn of(row: &Row) -> Self {
        Self::over(row.header(), row.payload())
    }

    /// The hash of a row of this header with these bytes of key and values.
    #[inline]
    pub(crate) fn over(header: &RowHeader, payload: &[u8]) -> Self {
        let mut bytes = [0_u8; 64];
        bytes[..16].copy_from_slice(&xxh3_128(payload).to_le_bytes());
        bytes[16..20].copy_from_slice(&header.view.0.to_le_bytes());
        bytes[20..24].copy_from_slice(&header.key_len().to_le_bytes());
        bytes[24..32].copy_from_slice(&header.event_time.0.to_le_bytes());
        bytes[32..40].copy_from_slice(&header.version.hlc.0.to_le_bytes());
        bytes[40..56].copy_from_slice(header.version.region.as_bytes());
        bytes[56] = u8::from(header.tombstone);
        let hash = xxh3_128(&bytes);
        Self { low: hash as u64, high: (hash >> 64) as u64 }
    }

    /// With another's hashes.
    #[inline]
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self { low: self.low.wrapping_add(other.low), high: self.high.wrapping_add(other.high) }
    }

    /// Without another's hashes.
    #[inline]
    #[must_use]
    pub fn minus(self, other: Self) -> Self {
        Self { low: self.low.wrapping_sub(other.low), high: self.high.wrapping_sub(other.high) }
    }
}

/// The sums of a view's buckets.
#[derive(Clone, PartialEq, Eq)]
pub struct Digest(Box<[Sum; BUCKETS]>);

impl Default for Digest {
    fn default() -> Self {
        Self(Box::new([Sum::default(); BUCKETS]))
    }
}

impl Digest {
    /// A bucket's sum.
    #[must_use]
    pub fn sum(&self, bucket: u8) -> Sum {
        self.0[usize::from(bucket)]
    }

    /// Sets a bucket's sum.
    pub fn set(&mut self, bucket: u8, sum: Sum) {
        self.0[usize::from(bucket)] = sum;
    }

    /// Adds a row to its bucket.
    pub fn add(&mut self, row: &Row) {
        let sum = &mut self.0[usize::from(bucket_of(row.key()))];
        *sum = sum.plus(Sum::of(row));
    }

    /// The buckets whose sums are not the other's, in order.
    pub fn differing<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = u8> + 'a {
        (0..=u8::MAX)
            .filter(|bucket| !(active(Mutation::DigestMissesBuckets) && bucket % 2 == 1))
            .filter(|bucket| self.sum(*bucket) != other.sum(*bucket))
    }

    /// One number for all buckets, for people and logs.
    #[must_use]
    pub fn root(&self) -> u128 {
        xxh3_128(&self.to_bytes())
    }

    fn to_bytes(&self) -> Vec<u8> {
        self.0.iter().flat_map(|sum| [sum.low.to_le_bytes(), sum.high.to_le_bytes()]).flatten().collect()
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({:032x})", self.root())
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.to_bytes())
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes: &[u8] = serde_bytes::deserialize(deserializer)?;
        if bytes.len() != BUCKETS * SUM_LEN {
            return Err(de::Error::invalid_length(bytes.len(), &"the sums of 256 buckets, 16 bytes each"));
        }
        let mut digest = Self::default();
        for (sum, bytes) in digest.0.iter_mut().zip(bytes.as_chunks::<SUM_LEN>().0) {
            let both = u128::from_le_bytes(*bytes);
            *sum = Sum { low: both as u64, high: (both >> 64) as u64 };
        }
        Ok(digest)
    }
}

/// A view's digest, and how many rows it stands for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ViewDigest {
    /// The view.
    pub view: ViewId,
    /// Its rows, without tombstones.
    pub rows: u64,
    /// The sums of its buckets, tombstones among them.
    pub digest: Digest,
}

/// What a leader's full views were, exactly as of one record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// The record: everything up to it is in, nothing that follows is.
    pub lsn: Lsn,
    /// The leader's clock when the digests were taken, for people.
    pub at: Hlc,
    /// The views that the leader vouches for, by number. One that is missing proves nothing.
    pub views: Vec<ViewDigest>,
}

/// What an edge has found when it compared itself with its leader.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Verification {
    /// Whether everything that is held here was equal to the leader's rows.
    pub equal: bool,
    /// Everything up to this record was compared.
    pub lsn: Lsn,
    /// When the leader took its digests, in milliseconds since 1970 by its clock.
    pub at_ms: u64,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
    /// View by view, by name.
    pub views: Vec<ViewVerification>,
}

/// What was found of one view.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ViewVerification {
    /// The view.
    pub view: String,
    /// `full`, `resident`, or `leader` for one that is not held here.
    pub residency: String,
    /// Rows held here, without tombstones.
    pub rows: u64,
    /// Whether they are the leader's; `None` when that could not be found out.
    pub equal: Option<bool>,
    /// Buckets of a full view that differed from the leader's.
    pub buckets_differed: Vec<u8>,
    /// Buckets of a full view whose rows had changed in memory.
    pub buckets_spoilt: Vec<u8>,
    /// Rows of a resident view that differed.
    pub rows_differed: u64,
    /// Whether what differed is mended: it was compared again and is equal now.
    pub mended: bool,
}

/// Rows and tombstones of a bucket, as a leader has them.
#[derive(Clone, Debug)]
pub struct BucketRows {
    /// Everything up to here is in the rows; they may be newer, never older.
    pub as_of: Position,
    /// By key.
    pub rows: Vec<Row>,
    /// Whether further keys follow behind the last.
    pub more: bool,
}

/// The newest checkpoints of a source of the feed, oldest first, each with a number that only grows. Kept so that a
/// subscriber that follows some way behind still gets one where it stands.
#[derive(Clone, Debug, Default)]
pub struct Checkpoints {
    kept: VecDeque<(u64, Arc<Checkpoint>)>,
    taken: u64,
}

impl Checkpoints {
    /// How many are kept.
    pub const KEPT: usize = 4;

    /// Keeps another one, and forgets the oldest when there are too many.
    pub fn push(&mut self, checkpoint: Checkpoint) {
        self.taken += 1;
        self.kept.push_back((self.taken, Arc::new(checkpoint)));
        if self.kept.len() > Self::KEPT {
            self.kept.pop_front();
        }
    }

    /// Forgets all: what follows is of another log.
    pub fn clear(&mut self) {
        self.kept.clear();
    }

    /// The oldest one that is newer than number `seen` and stands at record `from` or behind it.
    #[must_use]
    pub fn due(&self, seen: u64, from: Lsn) -> Option<(u64, Arc<Checkpoint>)> {
        self.kept.iter().find(|(number, checkpoint)| *number > seen && checkpoint.lsn >= from).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{event_time::EventTime, row::RowMeta, version::Version};

    fn row(key: &[u8], body: Option<&[u8]>) -> Row {
        let version = Version { hlc: Hlc(7), region: "east".parse().expect("a region") };
        Row::new(RowMeta { view: ViewId(3), event_time: EventTime(5), version, lsn: Lsn(9) }, key, body)
    }

    #[test]
    fn whatever_replicas_must_agree_on_changes_a_rows_hash() {
        let base = row(b"key", Some(b"body"));
        let meta = |change: fn(&mut RowMeta)| {
            let header = base.header();
            let (view, event_time, version, lsn) = (header.view, header.event_time, header.version, header.lsn);
            let mut meta = RowMeta { view, event_time, version, lsn };
            change(&mut meta);
            Row::new(meta, b"key", Some(b"body"))
        };
        for (what, other) in [
            ("key", row(b"kez", Some(b"body"))),
            ("body", row(b"key", Some(b"bodz"))),
            ("where the key ends", row(b"keyb", Some(b"ody"))),
            ("tombstone", row(b"keybody", None)),
            ("empty", row(b"key", Some(b""))),
            ("view", meta(|meta| meta.view = ViewId(4))),
            ("event time", meta(|meta| meta.event_time = EventTime(6))),
            ("clock", meta(|meta| meta.version.hlc = Hlc(8))),
            ("region", meta(|meta| meta.version.region = "west".parse().expect("a region"))),
        ] {
            assert_ne!(Sum::of(&base), Sum::of(&other), "{what}");
        }
        assert_ne!(Sum::of(&row(b"key", Some(b""))), Sum::of(&row(b"key", None)), "deleted is not empty");
        assert_eq!(Sum::of(&base), Sum::of(&meta(|meta| meta.lsn = Lsn(10))), "another log's number");
    }

    #[test]
    fn a_digest_travels_whole_or_not_at_all() {
        let mut digest = Digest::default();
        digest.add(&row(b"key", Some(b"body")));
        let bytes = postcard::to_allocvec(&digest).expect("encodes");
        assert_eq!(postcard::from_bytes::<Digest>(&bytes).expect("decodes"), digest);
        let short = postcard::to_allocvec(serde_bytes::Bytes::new(&[0; 4_095])).expect("encodes");
        assert!(postcard::from_bytes::<Digest>(&short).is_err());
        assert_eq!(digest.differing(&Digest::default()).collect::<Vec<_>>(), [bucket_of(b"key")]);
    }

    #[test]
    fn buckets_are_the_same_everywhere() {
        assert_eq!(bucket_of(b"key"), (xxh3_64(b"key") >> 56) as u8);
        assert_eq!(bucket_of(b""), 0x2d);
    }
}
