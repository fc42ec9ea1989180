//! Detached tails: records that were removed from a member's log, kept in files next to it until an operator merges or
//! drops them.
//!
//! Each tail is one file, `detached-EPOCH-FIRST-LAST.tail`: a block of `HEAD_LEN` bytes, `magic | format u32 | len u32
//! | sealed head of len bytes | zeros`, then frames as in a segment, with the incarnation as their salt. If two tails
//! would have the same name, because they come from different logs, the second one's name ends in `-2`, and so on.

mod read;
mod write;

pub use read::{Reader, list, read, remove};
pub(crate) use write::{Tail, write};

use littoral_model::{
    position::{Epoch, Incarnation, Lsn},
    record::ChainHash,
    region::Region,
};
use serde::{Deserialize, Serialize};

const MAGIC: &[u8; 8] = b"LITTAILS";
pub(crate) const FORMAT: u32 = 1;

/// Bytes before the first frame.
const HEAD_LEN: usize = 512;

/// About how many bytes of records a frame has. A reader holds one frame in memory.
const FRAME_BYTES: usize = 1 << 20;

/// Describes a detached tail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Detached {
    /// The file's name, by which it is read and removed.
    pub name: String,
    /// The region whose log the records were in.
    pub region: Region,
    /// The name of that log.
    pub incarnation: Incarnation,
    /// The last record's epoch.
    pub epoch: Epoch,
    /// The first record.
    pub first: Lsn,
    /// The last record.
    pub last: Lsn,
    /// How many records there are.
    pub records: u64,
    /// The size of the file in bytes.
    pub bytes: u64,
}

/// The head of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Head {
    region: Region,
    incarnation: Incarnation,
    epoch: Epoch,
    first: Lsn,
    last: Lsn,
    chain_before: ChainHash,
    chain_after: ChainHash,
}

impl Head {
    fn describe(&self, name: String, bytes: u64) -> Detached {
        let Self { region, incarnation, epoch, first, last, .. } = *self;
        Detached { name, region, incarnation, epoch, first, last, records: last.0 - first.0 + 1, bytes }
    }
}

/// Returns a tail's file name; `copy` distinguishes tails with the same numbers.
fn name(epoch: Epoch, first: Lsn, last: Lsn, copy: u32) -> String {
    let copy = if copy > 1 { format!("-{copy}") } else { String::new() };
    format!("detached-{:020}-{:020}-{:020}{copy}.tail", epoch.0, first.0, last.0)
}

/// Returns whether a file of this name is a tail.
fn is_name(name: &str) -> bool {
    let numbers = name.strip_prefix("detached-").and_then(|rest| rest.strip_suffix(".tail"));
    numbers.is_some_and(|numbers| numbers.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-'))
}
