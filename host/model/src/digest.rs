//! Digests of a view's rows. Two replicas of one log use them to find out whether, and where,
//! their rows differ, without sending the rows.
//!
//! A hash of the key that is the same in every process assigns each row to one of [`BUCKETS`]
//! buckets. A bucket's sum adds up the hashes of its rows, including tombstones. So the order of
//! writes does not matter, and one row can be added or removed without visiting the others. XXH3
//! detects damage and divergence; it is no defence against an adversary.

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

/// The number of buckets of a view.
pub const BUCKETS: usize = 256;

/// The size of an encoded bucket sum, in bytes.
const SUM_LEN: usize = 16;

/// Returns the bucket of a key.
#[inline]
#[must_use]
pub fn bucket_of(key: &[u8]) -> u8 {
    (xxh3_64(key) >> 56) as u8
}

/// The sum of the hashes of any number of rows: two lanes, each modulo 2^64.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Sum {
    /// The sum of the hashes' low halves.
    pub low: u64,
    /// The sum of the hashes' high halves.
    pub high: u64,
}

impl Sum {
    /// Computes one row's hash, over everything that replicas of the row must agree on: view, key,
    /// values, event time, version, and whether it is a tombstone. The LSN is left out, because
    /// another region's log assigns its own.
    ///
    /// The hash is computed from the row as it is in memory now; [`Row::sum`] returns the hash
    /// from when the row was created.
    #[inline]
    #[must_use]
    pub fn of(row: &Row) -> Self {
        Self::over(row.header(), row.payload())
    }

    /// Computes the hash of a row from its header and the bytes of its key and values.
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

    /// Adds the hashes of `other`.
    #[inline]
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self { low: self.low.wrapping_add(other.low), high: self.high.wrapping_add(other.high) }
    }

    /// Subtracts the hashes of `other`.
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
    /// Returns a bucket's sum.
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

    /// Iterates over the buckets whose sums differ from those of `other`, in ascending order.
    pub fn differing<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = u8> + 'a {
        (0..=u8::MAX)
            .filter(|bucket| !(active(Mutation::DigestMissesBuckets) && bucket % 2 == 1))
            .filter(|bucket| self.sum(*bucket) != other.sum(*bucket))
    }

    /// Hashes all buckets into one number, for display and logs.
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

/// A view's digest with its row count.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ViewDigest {
    /// The view.
    pub view: ViewId,
    /// The number of rows, without tombstones.
    pub rows: u64,
    /// The sums of its buckets, including tombstones.
    pub digest: Digest,
}

/// The digests of a leader's full views, exactly as of one record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// The record. The digests cover everything up to it and nothing after it.
    pub lsn: Lsn,
    /// The leader's clock reading when the digests were taken; informational.
    pub at: Hlc,
    /// The views whose rows the leader knows to be intact, sorted by ID. A missing view proves
    /// nothing.
    pub views: Vec<ViewDigest>,
}

/// The result of an edge's comparison with its leader.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Verification {
    /// Whether everything held here equals the leader's rows.
    pub equal: bool,
    /// The record up to which everything was compared.
    pub lsn: Lsn,
    /// When the leader took its digests, in milliseconds since 1970 by its clock.
    pub at_ms: u64,
    /// How long the comparison took, in milliseconds.
    pub took_ms: u64,
    /// The result for each view, sorted by name.
    pub views: Vec<ViewVerification>,
}

/// The result of the comparison of one view.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ViewVerification {
    /// The view.
    pub view: String,
    /// `full`, `resident`, or `leader` for a view that is not held here.
    #[cfg_attr(feature = "schema", schemars(extend("enum" = ["full", "resident", "leader"])))]
    pub residency: String,
    /// The number of rows held here, without tombstones.
    pub rows: u64,
    /// Whether the rows equal the leader's; `None` when that could not be determined.
    pub equal: Option<bool>,
    /// The buckets of a full view that differed from the leader's.
    pub buckets_differed: Vec<u8>,
    /// The buckets of a full view whose rows had changed in memory.
    pub buckets_spoilt: Vec<u8>,
    /// The number of rows of a resident view that differed.
    pub rows_differed: u64,
    /// Whether the differences were repaired: the view was compared again and is now equal.
    pub mended: bool,
}

/// Rows and tombstones of one bucket, as a leader holds them.
#[derive(Clone, Debug)]
pub struct BucketRows {
    /// The rows include everything up to this position; they may be newer, never older.
    pub as_of: Position,
    /// The rows, sorted by key.
    pub rows: Vec<Row>,
    /// Whether more keys follow the last one.
    pub more: bool,
}

/// The newest checkpoints of a feed source, oldest first, each under an increasing number. Several
/// are kept so that a subscriber that lags still receives one that it has not passed.
#[derive(Clone, Debug, Default)]
pub struct Checkpoints {
    kept: VecDeque<(u64, Arc<Checkpoint>)>,
    taken: u64,
}

impl Checkpoints {
    /// The maximum number of checkpoints kept.
    pub const KEPT: usize = 4;

    /// Adds a checkpoint and evicts the oldest one if there are too many.
    pub fn push(&mut self, checkpoint: Checkpoint) {
        self.taken += 1;
        self.kept.push_back((self.taken, Arc::new(checkpoint)));
        if self.kept.len() > Self::KEPT {
            self.kept.pop_front();
        }
    }

    /// Removes all checkpoints, because another log follows.
    pub fn clear(&mut self) {
        self.kept.clear();
    }

    /// Returns the oldest checkpoint that is newer than number `seen` and covers record `from` or
    /// a later one.
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
    fn a_rows_hash_covers_all_that_replicas_must_agree_on() {
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
    fn a_digest_round_trips_and_a_truncated_one_is_rejected() {
        let mut digest = Digest::default();
        digest.add(&row(b"key", Some(b"body")));
        let bytes = postcard::to_allocvec(&digest).expect("encodes");
        assert_eq!(postcard::from_bytes::<Digest>(&bytes).expect("decodes"), digest);
        let short = postcard::to_allocvec(serde_bytes::Bytes::new(&[0; 4_095])).expect("encodes");
        assert!(postcard::from_bytes::<Digest>(&short).is_err());
        assert_eq!(digest.differing(&Digest::default()).collect::<Vec<_>>(), [bucket_of(b"key")]);
    }

    #[test]
    fn bucket_assignment_is_stable() {
        assert_eq!(bucket_of(b"key"), (xxh3_64(b"key") >> 56) as u8);
        assert_eq!(bucket_of(b""), 0x2d);
    }
}
