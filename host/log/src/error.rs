//! The errors of a log. Each states what the caller can do.

use littoral_model::position::{Epoch, Incarnation, Lsn};
use std::io;

/// Why a batch was not appended. Nothing of it is in the log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// The disk is full. Appending works again once there is space.
    #[error("the disk is full ({0}); free space, and writes succeed again")]
    NoSpace(String),
    /// The disk failed. The log keeps what is known to be durable, and writes the next batch to a new file.
    #[error("the disk failed: {0}")]
    Io(String),
    /// Files of the log were deleted or moved. Anything appended would be lost with the process.
    #[error(
        "files of the log are missing: {0}; restore them, and writes succeed again; or stop this process and restore its data \
         directory"
    )]
    Missing(String),
    /// The batch has an older epoch than the log: another leader was elected.
    #[error("epoch {have} has ended: the log is at epoch {log}")]
    Fenced {
        /// The batch's.
        have: Epoch,
        /// The log's.
        log: Epoch,
    },
    /// The batch does not follow the log's last record: a bug in the caller.
    #[error(
        "the batch does not follow the log: it begins with record {have}, the log continues with {want}; or its chain hash differs"
    )]
    NotNext {
        /// The batch's first record.
        have: Lsn,
        /// The record that would follow.
        want: Lsn,
    },
    /// A record does not follow the one before it: another log's records are damaged or belong to another history.
    #[error("record {at} does not follow the one before it: {reason}")]
    Broken {
        /// The record.
        at: Lsn,
        /// What does not match.
        reason: String,
    },
    /// The batch is empty or larger than a frame can be: a bug in the caller.
    #[error("a batch of {records} records and {bytes} bytes cannot be appended")]
    Size {
        /// Records in it.
        records: u64,
        /// Bytes in it.
        bytes: usize,
    },
}

impl AppendError {
    pub(crate) fn of(error: &io::Error) -> Self {
        if is_no_space(error) { Self::NoSpace(error.to_string()) } else { Self::Io(error.to_string()) }
    }
}

pub(crate) fn is_no_space(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge)
}

/// Why records cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// The records were trimmed. The reader needs a snapshot.
    #[error("record {from} was trimmed; the oldest is {oldest}")]
    Trimmed {
        /// The requested record.
        from: Lsn,
        /// The oldest record of the log.
        oldest: Lsn,
    },
    /// The disk failed.
    #[error("{file}: {reason}")]
    Io {
        /// The file.
        file: String,
        /// The cause.
        reason: String,
    },
    /// The disk returned other bytes than were written.
    #[error("{file} is damaged at offset {offset}: {reason}")]
    Damaged {
        /// The file.
        file: String,
        /// The offset in the file.
        offset: u64,
        /// What does not match.
        reason: String,
    },
}

/// Why the end of a log was not cut off. Nothing was changed, except in the case [`CutError::Unfinished`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CutError {
    /// The log ends before the requested record.
    #[error("the log cannot be cut after record {after}: it ends with record {tail}")]
    Beyond {
        /// The record after which the log was to be cut.
        after: Lsn,
        /// The log's last record.
        tail: Lsn,
    },
    /// The requested record was trimmed. Only a snapshot could replace the log.
    #[error("the log cannot be cut after record {after}: it was trimmed, and the oldest is {oldest}")]
    Trimmed {
        /// The record after which the log was to be cut.
        after: Lsn,
        /// The oldest record of the log.
        oldest: Lsn,
    },
    /// Committed records are never removed.
    #[error("the log cannot be cut after record {after}: record {committed} is committed")]
    Committed {
        /// The record after which the log was to be cut.
        after: Lsn,
        /// The newest record that is known to be committed.
        committed: Lsn,
    },
    /// Every snapshot that replaces trimmed records includes records that would be removed.
    #[error(
        "the log cannot be cut after record {after}: it was trimmed, and its oldest snapshot is as of record {as_of}"
    )]
    Snapshot {
        /// The record after which the log was to be cut.
        after: Lsn,
        /// The record up to which the oldest snapshot reaches.
        as_of: Lsn,
    },
    /// The disk failed before the cut was decided.
    #[error(transparent)]
    Failed(#[from] ReadError),
    /// The disk failed while the decision was written. This log is cut, and completes the cut on the disk before it
    /// accepts another batch. After a crash before that, the next start may find the log unchanged.
    #[error("the log is cut, but writing that to the disk failed: {0}; the next batch retries it")]
    Unfinished(String),
}

/// Why a log or snapshot cannot be opened. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has the directory open.
    #[error("{0} is in use by another process; stop that process, or use another data directory")]
    Locked(String),
    /// The disk failed.
    #[error("{file}: {source}")]
    Io {
        /// The file or directory.
        file: String,
        /// The cause.
        source: io::Error,
    },
    /// Data that was durable is damaged or missing.
    #[error("{file} is damaged at offset {offset}: {reason}. Remedy: {remedy}")]
    Damaged {
        /// The file.
        file: String,
        /// The offset in the file.
        offset: u64,
        /// What does not match.
        reason: String,
        /// What the operator can do.
        remedy: &'static str,
    },
    /// A newer version of this program wrote the files.
    #[error("{file} has format {found}, and this program reads formats up to {known}; use a newer version of littoral")]
    Format {
        /// The file.
        file: String,
        /// Its format.
        found: u32,
        /// The newest format that this program reads.
        known: u32,
    },
    /// Only an empty log can join another one.
    #[error(
        "{directory} holds records or snapshots of log {incarnation}; only an empty directory can join another log"
    )]
    NotEmpty {
        /// The directory.
        directory: String,
        /// Its log.
        incarnation: Incarnation,
    },
    /// Committed records are never removed.
    #[error("the log cannot be replaced by a snapshot as of record {as_of}: record {committed} is committed")]
    Committed {
        /// The record up to which the snapshot reaches.
        as_of: Lsn,
        /// The newest record that is known to be committed.
        committed: Lsn,
    },
    /// The directory holds another region's log.
    #[error("{file} belongs to region '{found}', not '{wanted}'; check region and data_dir")]
    Region {
        /// The file.
        file: String,
        /// The region in the file.
        found: String,
        /// The configured region.
        wanted: String,
    },
}

/// The remedy for damage to durable records.
pub(crate) const REMEDY_DAMAGE: &str = "the disk lost data that was acknowledged, so nothing was changed; check the disk, and restore \
     the data directory from a backup, or move it away to start with an empty log (edges then take a new snapshot)";

/// The remedy for damage to files kept next to the log.
pub(crate) const REMEDY_TAIL: &str = "nothing was changed and the log does not need it; restore the file from a backup, or remove it, \
     and the records in it";

/// The remedy for an unreadable promise.
pub(crate) const REMEDY_PROMISE: &str = "nothing was changed; restore the file from a backup, or move the data directory away so \
     that this member copies the log of the others: a member that forgets a promise may let two leaders write";

impl ReadError {
    pub(crate) fn io(file: impl Into<String>, error: &io::Error) -> Self {
        Self::Io { file: file.into(), reason: error.to_string() }
    }
}

impl From<ReadError> for OpenError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Damaged { file, offset, reason } => Self::damaged(file, offset, reason),
            ReadError::Io { file, reason } => Self::io(file, io::Error::other(reason)),
            ReadError::Trimmed { .. } => Self::io("log", io::Error::other(error.to_string())),
        }
    }
}

impl OpenError {
    pub(crate) fn io(file: impl Into<String>, source: io::Error) -> Self {
        Self::Io { file: file.into(), source }
    }

    pub(crate) fn damaged(file: impl Into<String>, offset: u64, reason: impl Into<String>) -> Self {
        Self::Damaged { file: file.into(), offset, reason: reason.into(), remedy: REMEDY_DAMAGE }
    }
}
