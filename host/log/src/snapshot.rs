//! Snapshots: everything that the log up to some record has led to, in one file, so that the log before can be trimmed.
//!
//! `magic | format u32 | 0 u32`, then blocks of `kind u32 | len u32 | xxh3 u64 | payload`: a head, rows, receipts,
//! what is known of other regions, and an end that counts rows and receipts. Written beside its final name, synced, renamed, and the directory synced. The last two are
//! kept, so that a damaged one is no loss as long as the log reaches back to the one before.

mod load;
mod older;
mod transfer;
mod write;

pub use load::{Part, Reader, RowsPart, Section, newest};
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
const HEADER_LEN: usize = 16;
const BLOCK_HEADER_LEN: usize = 16;

const KIND_HEAD: u32 = 1;
const KIND_ROWS: u32 = 2;
const KIND_RECEIPTS: u32 = 3;
const KIND_END: u32 = 4;
/// As programs wrote them that knew no lives.
const KIND_ORIGINS_V1: u32 = 5;
const KIND_CONFLICTS: u32 = 6;
const KIND_OUTRANKED: u32 = 7;
const KIND_LIVES: u32 = 8;
const KIND_ORIGINS: u32 = 9;

/// Snapshots that are kept.
pub const KEPT: usize = 2;

/// What a snapshot begins with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// Whose log it is of.
    pub region: Region,
    /// Which life of that log.
    pub incarnation: Incarnation,
    /// The epoch at `as_of`.
    pub epoch: Epoch,
    /// Every record up to here is in it. Rows may be newer, as it is written while writing goes on: whoever reads it back
    /// applies the log from here on.
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
    /// How far other regions' records are in it.
    pub origins: Origins,
    /// The histories of the regions' logs, this one's among them; empty in snapshots of programs that knew no lives.
    pub lives: RegionLineages,
    /// Conflicts between regions, oldest first.
    pub conflicts: Vec<Conflict>,
}

#[derive(Debug, Serialize, Deserialize)]
struct End {
    rows: u64,
    receipts: u64,
}

/// The name of a snapshot of another member's log that is whole and not this log's yet: [`crate::begin_after`] makes it so.
/// Until then the log that is here goes on without it, also after a crash.
pub(crate) const RECEIVED: &str = "received.snap";

/// The name of the snapshot as of `lsn`.
pub(crate) fn name(lsn: Lsn) -> String {
    format!("snapshot-{:020}.snap", lsn.0)
}

/// What the snapshot of this name is as of.
pub(crate) fn parse_name(name: &str) -> Option<Lsn> {
    let digits = name.strip_prefix("snapshot-")?.strip_suffix(".snap")?;
    (digits.len() == 20).then(|| digits.parse().ok().map(Lsn))?
}
