//! The tail mark: a small file that records how far the log was durable at some time. A log that ends before its mark
//! has lost acknowledged records: its last file was truncated, damaged or deleted. Without the mark that would look
//! like a batch that was never finished.

use crate::{
    backend::Identity,
    error::OpenError,
    sealed,
    storage::{self, Storage},
};
use littoral_model::position::{Incarnation, Lsn};
use serde::{Deserialize, Serialize};
use std::io;

const NAME: &str = "tail";
const MAGIC: &[u8; 8] = b"LITLOGTL";
const LEN_MAX: u64 = 256;

/// Two positions that a log has reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Marked {
    /// Every record up to here is durable.
    pub(crate) tail: Lsn,
    /// Every record up to here is committed. Not after `tail`.
    pub(crate) committed: Lsn,
}

#[derive(Serialize, Deserialize)]
struct Content {
    incarnation: Incarnation,
    tail: Lsn,
    committed: Lsn,
}

/// The first version of the file's content.
#[derive(Deserialize)]
struct TailOnly {
    incarnation: Incarnation,
    tail: Lsn,
}

impl From<TailOnly> for Content {
    fn from(old: TailOnly) -> Self {
        Self { incarnation: old.incarnation, tail: old.tail, committed: Lsn::NONE }
    }
}

/// Writes the mark.
pub(crate) fn write(storage: &dyn Storage, incarnation: Incarnation, marked: Marked) -> io::Result<()> {
    let content = Content { incarnation, tail: marked.tail, committed: marked.committed };
    let mut bytes = MAGIC.to_vec();
    sealed::seal(&mut bytes, &content)?;
    storage::replace(storage, NAME, &bytes)
}

/// Reads how far this log was durable and committed. Returns [`Lsn::NONE`] if there is no mark or it cannot be read:
/// the mark only detects damage elsewhere, and an intact log does not need it. Knowing of fewer committed records is
/// always safe.
pub(crate) fn read(storage: &dyn Storage, identity: Identity) -> Marked {
    let read = storage::read(storage, NAME, LEN_MAX);
    let bytes = match read {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Marked::default(),
        Err(error) => {
            tracing::warn!(file = NAME, %error, "the log's tail mark cannot be read; it is ignored until it is written again");
            return Marked::default();
        }
    };
    let content = bytes.strip_prefix(MAGIC).and_then(|rest| {
        sealed::open::<Content>(rest).ok().or_else(|| sealed::open::<TailOnly>(rest).ok().map(Content::from))
    });
    match content.filter(|content| content.incarnation == identity.incarnation) {
        Some(content) => Marked { tail: content.tail, committed: content.committed.min(content.tail) },
        None => {
            tracing::warn!(
                file = NAME,
                "the log's tail mark is damaged or belongs to another log; it is ignored and will be written again"
            );
            Marked::default()
        }
    }
}

/// Compares the log's end with its mark.
///
/// # Errors
/// [`OpenError::Damaged`] if the log ends before its mark.
pub(crate) fn check(file: &str, offset: u64, tail: Lsn, mark: Lsn) -> Result<(), OpenError> {
    if tail >= mark {
        return Ok(());
    }
    let reason = format!(
        "the log ends here with record {tail}, but record {mark} was durable: the end of this segment, or a segment after \
         it, is damaged or missing"
    );
    Err(OpenError::damaged(file, offset, reason))
}
