//! The tail mark: a small file that says up to where the log was durable at some time. A log that ends before it has lost
//! what was acknowledged: its last file was cut, damaged or deleted, which otherwise looks like a batch that was never
//! finished.

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

/// Two positions in a log that were reached at some time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Marked {
    /// Every record up to here is durable.
    pub(crate) tail: Lsn,
    /// Every record up to here is committed, durable at a majority of the region's members. Not after `tail`.
    pub(crate) committed: Lsn,
}

#[derive(Serialize, Deserialize)]
struct Content {
    incarnation: Incarnation,
    tail: Lsn,
    committed: Lsn,
}

/// As the first programs wrote it.
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

/// Notes down where the log is.
pub(crate) fn write(storage: &dyn Storage, incarnation: Incarnation, marked: Marked) -> io::Result<()> {
    let content = Content { incarnation, tail: marked.tail, committed: marked.committed };
    let mut bytes = MAGIC.to_vec();
    sealed::seal(&mut bytes, &content)?;
    storage::replace(storage, NAME, &bytes)
}

/// Up to where this log is known to have been durable and committed. [`Lsn::NONE`] without a mark, and when it cannot be
/// read: it only ever tells of damage elsewhere, and a log that is whole does not need it; and to know less of what is
/// committed is always safe.
pub(crate) fn read(storage: &dyn Storage, identity: Identity) -> Marked {
    let read = storage::read(storage, NAME, LEN_MAX);
    let bytes = match read {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Marked::default(),
        Err(error) => {
            tracing::warn!(file = NAME, %error, "the log's tail mark cannot be read");
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
                "the log's tail mark is damaged or of another log; it is passed over and made anew"
            );
            Marked::default()
        }
    }
}

/// Holds the log's end against its mark.
///
/// # Errors
/// [`OpenError::Damaged`] for a log that ends before it.
pub(crate) fn check(file: &str, offset: u64, tail: Lsn, mark: Lsn) -> Result<(), OpenError> {
    if tail >= mark {
        return Ok(());
    }
    let reason = format!(
        "the log ends here with record {tail}, and record {mark} was durable: the end of this segment, or a segment after \
         it, is damaged or gone"
    );
    Err(OpenError::damaged(file, offset, reason))
}
