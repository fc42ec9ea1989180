//! Snapshots: the state as of one record of the log, in one file, so that the log before it can be trimmed.
//!
//! The format is `magic | format u32 | 0 u32`, then blocks of `kind u32 | len u32 | xxh3 u64 | payload`: a head, rows,
//! receipts, the state of other regions, and an end that counts rows and receipts. A snapshot is written under a
//! temporary name, synced and renamed, and the directory is synced. The last two are kept: if one is damaged, the older
//! one can be used as long as the log reaches back to it.

mod load;
mod older;
mod transfer;
mod write;

pub use load::{RawRows, RawSection, Reader, Section, newest};
pub use transfer::{Receiver, file_len, read_chunk};
pub use write::{Written, prune, write};

pub use littoral_model::receipt::Receipt;

use littoral_model::{
    catalogue::Catalogue,
    conflict::Conflict,
    hlc::Hlc,
    lineage::RegionLineages,
    origin::Origins,
    position::{Epoch, Incarnation, Lsn},
    record::ChainHash,
    region::Region,
};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

const MAGIC: &[u8; 8] = b"LITSNAPS";
/// The format. Version 2 has the lives and origins of regions in blocks that version 1 does not know.
pub(crate) const FORMAT: u32 = 2;

const HEADER_LEN: usize = 16;
const BLOCK_HEADER_LEN: usize = 16;

const KIND_HEAD: u32 = 1;
const KIND_ROWS: u32 = 2;
const KIND_RECEIPTS: u32 = 3;
const KIND_END: u32 = 4;
/// The format before logs had lives.
const KIND_ORIGINS_V1: u32 = 5;
const KIND_CONFLICTS: u32 = 6;
const KIND_OUTRANKED: u32 = 7;
const KIND_LIVES: u32 = 8;
const KIND_ORIGINS: u32 = 9;

/// The number of snapshots that are kept.
pub const KEPT: usize = 2;

/// The head of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// The region whose log it belongs to.
    pub region: Region,
    /// The name of that log.
    pub incarnation: Incarnation,
    /// The epoch at `as_of`.
    pub epoch: Epoch,
    /// The snapshot includes every record up to here. Rows may be newer, because writes continue while it is written;
    /// after loading it, apply the log from here on.
    pub as_of: Lsn,
    /// The chain hash at `as_of`.
    pub chain: ChainHash,
    /// The clock at `as_of`.
    pub hlc: Hlc,
    /// The catalogue as of `as_of`.
    pub catalogue: Arc<Catalogue>,
    /// About how many rows follow.
    pub rows_estimate: u64,
}

/// What a snapshot holds besides rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Remembered {
    /// Idempotency keys, oldest first.
    pub receipts: Vec<Receipt>,
    /// How far other regions' records are applied in it.
    pub origins: Origins,
    /// The lineages of the regions' logs, this one's among them; empty in snapshots from before logs had lives.
    pub lineages: RegionLineages,
    /// Conflicts between regions, oldest first.
    pub conflicts: Vec<Conflict>,
}

#[derive(Debug, Serialize, Deserialize)]
struct End {
    rows: u64,
    receipts: u64,
}

/// The name of a complete snapshot of another member's log that this log does not use yet. [`crate::begin_after`]
/// replaces the log by it. Until then, also after a crash, the log ignores it.
pub(crate) const RECEIVED: &str = "received.snap";

/// Returns the name of the snapshot as of `lsn`.
pub(crate) fn name(lsn: Lsn) -> String {
    format!("snapshot-{:020}.snap", lsn.0)
}

/// Returns the record as of which the snapshot with this name is.
pub(crate) fn parse_name(name: &str) -> Option<Lsn> {
    let digits = name.strip_prefix("snapshot-")?.strip_suffix(".snap")?;
    (digits.len() == 20).then(|| digits.parse().ok().map(Lsn))?
}
