//! Records: the entries of the log and of the feed.

use crate::{
    catalogue::CatalogueChange,
    cluster::Affiliation,
    event_time::EventTime,
    format::ProtocolVersion,
    hlc::Hlc,
    lineage::Start,
    origin::Seen,
    position::{Epoch, Incarnation, Lsn},
    region::Region,
    version::Version,
    view::ViewId,
};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::{Xxh3, xxh3_128};

/// The hash of a record and, through `previous`, of every record before it. XXH3-128 detects
/// damage and divergence; it is no defence against an adversary.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ChainHash(pub u128);

impl ChainHash {
    /// The hash before the first record.
    pub const GENESIS: ChainHash = ChainHash(0);
}

/// The content of a record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Payload<'a> {
    /// A row's values ([`crate::row_body`]).
    Row {
        /// The view.
        view: ViewId,
        /// When the event happened.
        event_time: EventTime,
        /// The entity key ([`crate::entity_key`]). Encoded as bytes, because a sequence would be
        /// encoded element by element.
        #[serde(borrow, with = "serde_bytes")]
        key: &'a [u8],
        /// The packed values.
        #[serde(borrow, with = "serde_bytes")]
        body: &'a [u8],
    },
    /// The deletion of a row.
    Tombstone {
        /// The view.
        view: ViewId,
        /// The event time of the deletion.
        event_time: EventTime,
        /// The entity key.
        #[serde(borrow, with = "serde_bytes")]
        key: &'a [u8],
    },
    /// A change to the catalogue.
    Catalogue(Box<CatalogueChange>),
    /// The records `first..=last` are those of the write with this idempotency key. A retry
    /// receives the same receipt.
    Receipt {
        /// The writer's key.
        idempotency_key: &'a str,
        /// The hash of the write's content. The same key with different content is rejected.
        content: u64,
        /// The write's first record.
        first: Lsn,
        /// The write's last record.
        last: Lsn,
    },
    /// Every node removes, at this record, the tombstones whose write is older than `before`.
    /// Never newer than the record's own clock reading, so later tombstones are not affected.
    Collect {
        /// The oldest reading that is kept.
        before: Hlc,
    },
    /// A leadership began here; it continues the previous life. Written by programs that did not
    /// identify lives.
    BeginUnnamed,
    /// This log now includes everything that the record's origin accepted up to `origin_lsn` of
    /// its own log. The record follows the replicated records in the same batch, and advances the
    /// origin's position in the watermark.
    Through {
        /// The life of the origin's log.
        incarnation: Incarnation,
        /// The hash of the origin's record `origin_lsn`, after which reading continues there.
        chain: ChainHash,
        /// What the origin had seen of other regions at that record.
        seen: Vec<Seen>,
    },
    /// The origin's log begins another life at its record `origin_lsn`: it was opened, or a member
    /// began to lead it. Changes no row. Earlier records count as committed only together with
    /// this one. See [`crate::lineage`].
    Begin {
        /// The life.
        life: Incarnation,
        /// See [`crate::lineage::Start::after`].
        after: Incarnation,
        /// See [`crate::lineage::Start::shared`].
        shared: Lsn,
    },
    /// The affiliation of the log, from here on. Changes no row, and concerns only this log.
    Belongs(Affiliation),
    /// A row or deletion that the receiver of the feed may not receive
    /// ([`crate::catalogue::Catalogue::withheld_from`]). The publisher sends it in place of the record, with
    /// the record's numbers and hash, so that the stream stays dense. No log contains it.
    Withheld,
}

impl Payload<'_> {
    /// Returns the first protocol version whose nodes can read such a record. A leader that is held at an older version
    /// does not log it, and a publisher does not send it to a subscriber that speaks an older version.
    #[must_use]
    pub const fn since(&self) -> ProtocolVersion {
        match self {
            Self::Row { .. }
            | Self::Tombstone { .. }
            | Self::Catalogue(_)
            | Self::Receipt { .. }
            | Self::Collect { .. }
            | Self::BeginUnnamed
            | Self::Through { .. }
            | Self::Begin { .. }
            | Self::Belongs(_)
            | Self::Withheld => ProtocolVersion::PREVIOUS,
        }
    }
}

/// One record of a region's log. Its postcard bytes are stored on disk and sent over the wire.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record<'a> {
    /// The record's LSN.
    pub lsn: Lsn,
    /// The epoch of the leader that appended it.
    pub epoch: Epoch,
    /// The region that accepted the write.
    pub origin: Region,
    /// The record's LSN in the origin's log; equal to `lsn` if the origin is this region.
    pub origin_lsn: Lsn,
    /// The origin's clock reading.
    pub hlc: Hlc,
    /// The hash of this record and, through it, of all earlier ones.
    pub chain: ChainHash,
    /// The record's content.
    #[serde(borrow)]
    pub payload: Payload<'a>,
}

impl Record<'_> {
    /// Returns whether other regions replicate the record: rows, deletions and catalogue changes.
    /// Other records concern one log only.
    #[must_use]
    pub fn is_content(&self) -> bool {
        matches!(self.payload, Payload::Row { .. } | Payload::Tombstone { .. } | Payload::Catalogue(_))
    }

    /// Returns the stub that replaces this record in the stream to a receiver that may not receive it.
    #[must_use]
    pub fn withheld(&self) -> Record<'static> {
        let Self { lsn, epoch, origin, origin_lsn, hlc, chain, .. } = *self;
        Record { lsn, epoch, origin, origin_lsn, hlc, chain, payload: Payload::Withheld }
    }

    /// Returns the life of the origin's log that begins with this record, if any.
    #[must_use]
    pub fn begins(&self) -> Option<Start> {
        let Payload::Begin { life, after, shared } = self.payload else { return None };
        Some(Start { life, first: self.origin_lsn, after, shared })
    }

    /// Returns the version that the record gives its row.
    #[must_use]
    pub fn version(&self) -> Version {
        Version { hlc: self.hlc, region: self.origin }
    }

    /// Computes the hash that this record must carry if `previous` is the hash of the record
    /// before it. A stub carries the hash of the record that it replaces, which cannot be verified.
    #[must_use]
    pub fn chain_after(&self, previous: ChainHash) -> ChainHash {
        if matches!(self.payload, Payload::Withheld) {
            return self.chain;
        }
        let mut hash = Hasher::new();
        hash.update(&previous.0.to_le_bytes());
        hash.update(&self.lsn.0.to_le_bytes());
        hash.update(&self.epoch.0.to_le_bytes());
        hash.update(self.origin.name_bytes());
        hash.update(&self.origin_lsn.0.to_le_bytes());
        hash.update(&self.hlc.0.to_le_bytes());
        match &self.payload {
            Payload::Row { view, event_time, key, body } => {
                hash.update(&[1]);
                hash.update(&view.0.to_le_bytes());
                hash.update(&event_time.0.to_le_bytes());
                hash.update(&(key.len() as u32).to_le_bytes());
                hash.update(key);
                hash.update(body);
            }
            Payload::Tombstone { view, event_time, key } => {
                hash.update(&[2]);
                hash.update(&view.0.to_le_bytes());
                hash.update(&event_time.0.to_le_bytes());
                hash.update(key);
            }
            Payload::Catalogue(change) => {
                hash.update(&[3]);
                // Encoding a change cannot fail: it contains only text, numbers and lists.
                hash.update(&postcard::to_allocvec(change).unwrap_or_default());
            }
            Payload::Receipt { idempotency_key, content, first, last } => {
                hash.update(&[4]);
                hash.update(&content.to_le_bytes());
                hash.update(&first.0.to_le_bytes());
                hash.update(&last.0.to_le_bytes());
                hash.update(idempotency_key.as_bytes());
            }
            Payload::Collect { before } => {
                hash.update(&[5]);
                hash.update(&before.0.to_le_bytes());
            }
            Payload::BeginUnnamed => hash.update(&[6]),
            Payload::Through { incarnation, chain, seen } => {
                hash.update(&[7]);
                hash.update(&incarnation.0.to_le_bytes());
                hash.update(&chain.0.to_le_bytes());
                for Seen { region, lsn, hlc } in seen {
                    hash.update(region.as_bytes());
                    hash.update(&lsn.0.to_le_bytes());
                    hash.update(&hlc.0.to_le_bytes());
                }
            }
            Payload::Begin { life, after, shared } => {
                hash.update(&[8]);
                hash.update(&life.0.to_le_bytes());
                hash.update(&after.0.to_le_bytes());
                hash.update(&shared.0.to_le_bytes());
            }
            Payload::Belongs(Affiliation { cluster, succeeds, healed }) => {
                hash.update(&[9]);
                hash.update(&cluster.0.to_le_bytes());
                hash.update(&[u8::from(succeeds.is_some()), u8::from(*healed)]);
                hash.update(&succeeds.map_or(0, |log| log.0).to_le_bytes());
            }
            Payload::Withheld => {}
        }
        ChainHash(hash.digest())
    }
}

/// XXH3-128 of bytes that arrive in pieces. Most records fit into the buffer and are hashed in one
/// call, because setting up the streaming form takes longer than hashing a row.
struct Hasher {
    buffer: [u8; 512],
    len: usize,
    longer: Option<Box<Xxh3>>,
}

impl Hasher {
    #[inline]
    fn new() -> Self {
        Self { buffer: [0; 512], len: 0, longer: None }
    }

    #[inline]
    fn update(&mut self, bytes: &[u8]) {
        match self.buffer.get_mut(self.len..self.len + bytes.len()) {
            Some(room) if self.longer.is_none() => {
                room.copy_from_slice(bytes);
                self.len += bytes.len();
            }
            _ => self.update_longer(bytes),
        }
    }

    #[cold]
    fn update_longer(&mut self, bytes: &[u8]) {
        let (buffer, len) = (&self.buffer, self.len);
        let begun = || {
            let mut hash = Box::new(Xxh3::new());
            hash.update(&buffer[..len]);
            hash
        };
        self.longer.get_or_insert_with(begun).update(bytes);
    }

    #[inline]
    fn digest(self) -> u128 {
        match self.longer {
            None => xxh3_128(&self.buffer[..self.len]),
            Some(hash) => hash.digest128(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_hash_like_the_whole_for_all_lengths() {
        let bytes: Vec<u8> = (0..2_000_u32).map(|at| (at * 7) as u8).collect();
        for len in [0, 1, 16, 129, 240, 241, 256, 511, 512, 513, 1_025, 2_000] {
            for piece in [1, 8, 100, 511, 512, 513, 2_000] {
                let mut hash = Hasher::new();
                bytes[..len].chunks(piece).for_each(|part| hash.update(part));
                assert_eq!(hash.digest(), xxh3_128(&bytes[..len]), "{len} bytes in pieces of {piece}");
            }
        }
    }
}
