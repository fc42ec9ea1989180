//! Detached tails: records that a member of a region had to give up, kept beside its log until somebody decides what
//! becomes of them.
//!
//! One file each, `detached-EPOCH-FIRST-LAST.tail`: a block of `HEAD_LEN` bytes, `magic | format u32 | len u32 | sealed
//! head of so many bytes | zeros`, then frames as in a segment, with the incarnation as their salt. Another tail that would have the same name,
//! of another life of the log, gets `-2` and so on behind it.

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
const FORMAT: u32 = 1;

/// Bytes before the first frame.
const HEAD_LEN: usize = 512;

/// Bytes of records in a frame, about: what reading a tail takes at once.
const FRAME_BYTES: usize = 1 << 20;

/// Records that were given up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Detached {
    /// The file's name, which is what it is read and removed by.
    pub name: String,
    /// Whose log they were in.
    pub region: Region,
    /// Which life of it.
    pub incarnation: Incarnation,
    /// The last record's epoch.
    pub epoch: Epoch,
    /// The first record.
    pub first: Lsn,
    /// The last record.
    pub last: Lsn,
    /// How many they are.
    pub records: u64,
    /// Bytes of the file.
    pub bytes: u64,
}

/// What a tail begins with.
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

/// The name of such a tail; `copy` tells it from others of the same numbers.
fn name(epoch: Epoch, first: Lsn, last: Lsn, copy: u32) -> String {
    let copy = if copy > 1 { format!("-{copy}") } else { String::new() };
    format!("detached-{:020}-{:020}-{:020}{copy}.tail", epoch.0, first.0, last.0)
}

/// Whether a file of this name is a tail.
fn is_name(name: &str) -> bool {
    let numbers = name.strip_prefix("detached-").and_then(|rest| rest.strip_suffix(".tail"));
    numbers.is_some_and(|numbers| numbers.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-'))
}
