//! Records: what the log holds and the feed carries.

use crate::{
    catalogue::CatalogueChange,
    cluster::Belonging,
    event_time::EventTime,
    hlc::Hlc,
    lives::Start,
    origin::Seen,
    position::{Epoch, Incarnation, Lsn},
    region::Region,
    version::Version,
    view::ViewId,
};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::{Xxh3, xxh3_128};

/// Hash of a record and, through `previous`, of every record before it. XXH3-128: it finds damage and divergence, it
/// is no defence against an adversary.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ChainHash(pub u128);

impl ChainHash {
    /// Stands before the first record.
    pub const GENESIS: ChainHash = ChainHash(0);
}

/// What a record says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Payload<'a> {
    /// A row's values ([`crate::row_body`]).
    Row {
        /// The view.
        view: ViewId,
        /// When the event happened.
        event_time: EventTime,
        /// The entity key ([`crate::entity_key`]). As bytes: as a sequence it would be encoded one by one.
        #[serde(borrow, with = "serde_bytes")]
        key: &'a [u8],
        /// The packed values.
        #[serde(borrow, with = "serde_bytes")]
        body: &'a [u8],
    },
    /// A row's deletion.
    Tombstone {
        /// The view.
        view: ViewId,
        /// When the deletion counts as an event.
        event_time: EventTime,
        /// The entity key.
        #[serde(borrow, with = "serde_bytes")]
        key: &'a [u8],
    },
    /// A change of the catalogue.
    Catalogue(Box<CatalogueChange>),
    /// The records `first..=last` answered the write with this idempotency key; a retry is answered with them.
    Receipt {
        /// The writer's key.
        idempotency_key: &'a str,
        /// Hash of the write's content: the same key with other content is refused.
        content: u64,
        /// The write's first record.
        first: Lsn,
        /// The write's last record.
        last: Lsn,
    },
    /// Everybody removes the tombstones whose write is older than this, here. Never newer than the record's own reading,
    /// so that no tombstone that follows is meant.
    Collect {
        /// The oldest reading that stays.
        before: Hlc,
    },
    /// A leadership began here, as programs wrote it that did not name lives: it goes on with the life before.
    BeginUnnamed,
    /// Everything that the record's origin had taken up to `origin_lsn` of its own log stands in this log now. It follows, in
    /// the same batch, the records that were brought over; and it is what moves the origin's part of the watermark.
    Through {
        /// Which life of the origin's log is meant.
        incarnation: Incarnation,
        /// The hash of the origin's record `origin_lsn`, by which reading goes on there.
        chain: ChainHash,
        /// What the origin had seen of other regions by then.
        seen: Vec<Seen>,
    },
    /// The origin's log begins another life with its record `origin_lsn`: it was opened, or a member begins to lead it. Changes no
    /// row. What is before it counts as committed only with it. See [`crate::lives`].
    Begin {
        /// The life.
        life: Incarnation,
        /// See [`crate::lives::Start::after`].
        after: Incarnation,
        /// See [`crate::lives::Start::shared`].
        shared: Lsn,
    },
    /// Where the log belongs, from here on. Changes no row, and concerns one log alone.
    Belongs(Belonging),
}

/// One record of a region's log. Its postcard bytes are what the disk and the wire hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record<'a> {
    /// Its dense number.
    pub lsn: Lsn,
    /// The epoch of the leader that appended it.
    pub epoch: Epoch,
    /// Where the write was taken.
    pub origin: Region,
    /// Its number in the origin's log; equal to `lsn` where the origin is this region.
    pub origin_lsn: Lsn,
    /// The origin's clock reading.
    pub hlc: Hlc,
    /// Hash over this record and, through it, over all before.
    pub chain: ChainHash,
    /// What it says.
    #[serde(borrow)]
    pub payload: Payload<'a>,
}

impl Record<'_> {
    /// Whether other regions take it: rows, deletions and changes of the catalogue. The rest concerns one log alone.
    #[must_use]
    pub fn is_content(&self) -> bool {
        matches!(self.payload, Payload::Row { .. } | Payload::Tombstone { .. } | Payload::Catalogue(_))
    }

    /// The life that begins with it, if one does: of its origin's log.
    #[must_use]
    pub fn begins(&self) -> Option<Start> {
        let Payload::Begin { life, after, shared } = self.payload else { return None };
        Some(Start { life, first: self.origin_lsn, after, shared })
    }

    /// The version that the record gives to its row.
    #[must_use]
    pub fn version(&self) -> Version {
        Version { hlc: self.hlc, region: self.origin }
    }

    /// The hash that this record must carry when `previous` is that of the record before it.
    #[must_use]
    pub fn chain_after(&self, previous: ChainHash) -> ChainHash {
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
                // A change always encodes: it holds text, numbers and lists only.
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
            Payload::Belongs(Belonging { cluster, succeeds, healed }) => {
                hash.update(&[9]);
                hash.update(&cluster.0.to_le_bytes());
                hash.update(&[u8::from(succeeds.is_some()), u8::from(*healed)]);
                hash.update(&succeeds.map_or(0, |log| log.0).to_le_bytes());
            }
        }
        ChainHash(hash.digest())
    }
}

/// XXH3-128 of bytes that come in pieces. Most records fit into its buffer and are hashed in one go, as the hash's own
/// streaming form takes longer to set up than a row takes to hash.
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
    fn pieces_hash_as_the_whole_whatever_their_lengths() {
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
