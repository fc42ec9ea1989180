//! What can go wrong with a log. Each says what the caller can do.

use littoral_model::position::{Epoch, Incarnation, Lsn};
use std::io;

/// Why a batch was not appended. Nothing of it is in the log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// The disk is full. Appending works again when there is room: nothing else needs doing.
    #[error("the disk is full ({0}); free space and writes go on")]
    NoSpace(String),
    /// The disk failed. The log keeps to what is known to be durable and tries again, in a new file, with the next batch.
    #[error("the disk failed: {0}")]
    Io(String),
    /// Files of the log are gone. What was appended would be lost with the process.
    #[error(
        "files of the log are gone: {0}; put them back as they were and writes go on, or stop this process and restore its data \
         directory"
    )]
    Missing(String),
    /// The batch is of an older epoch than the log: another leader has taken over.
    #[error("epoch {have} is over: the log is at epoch {log}")]
    Fenced {
        /// The batch's.
        have: Epoch,
        /// The log's.
        log: Epoch,
    },
    /// The batch does not follow the log: a bug in the caller.
    #[error("batch begins with record {have}, the log goes on with {want}, or its chain differs")]
    NotNext {
        /// The batch's first record.
        have: Lsn,
        /// What would follow.
        want: Lsn,
    },
    /// A record does not follow from the one before it: another log's records are damaged, or not of this history.
    #[error("record {at} does not follow from the one before it: {reason}")]
    Broken {
        /// The record.
        at: Lsn,
        /// What does not fit.
        reason: String,
    },
    /// The batch is empty or larger than a frame can say: a bug in the caller.
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
    /// They were trimmed: whoever wants them needs a snapshot.
    #[error("record {from} was trimmed, the oldest is {oldest}")]
    Trimmed {
        /// What was asked for.
        from: Lsn,
        /// What there is.
        oldest: Lsn,
    },
    /// The disk failed.
    #[error("{file}: {reason}")]
    Io {
        /// The file.
        file: String,
        /// Why.
        reason: String,
    },
    /// The disk gives back other bytes than were written.
    #[error("{file} is damaged at offset {offset}: {reason}")]
    Damaged {
        /// The file.
        file: String,
        /// Where in it.
        offset: u64,
        /// What does not fit.
        reason: String,
    },
}

/// Why a log's end was not cut off. Nothing was changed, except as [`CutError::Unfinished`] says.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CutError {
    /// The log does not reach so far.
    #[error("the log ends with record {tail}: it cannot be cut after record {after}")]
    Beyond {
        /// Where it was to be cut.
        after: Lsn,
        /// Its end.
        tail: Lsn,
    },
    /// The log does not go back so far: it would have to begin anew, after a snapshot.
    #[error("record {after} was trimmed, the oldest is {oldest}: the log cannot be cut there")]
    Trimmed {
        /// Where it was to be cut.
        after: Lsn,
        /// What there is.
        oldest: Lsn,
    },
    /// What is durable at a majority is never given up.
    #[error("record {committed} is known to be committed: the log is not cut after record {after}")]
    Committed {
        /// Where it was to be cut.
        after: Lsn,
        /// The newest record that is known to be committed.
        committed: Lsn,
    },
    /// Only snapshots of what would be given up stand for what was trimmed.
    #[error("the oldest snapshot is as of record {as_of}: cut after record {after}, the log could not be read back")]
    Snapshot {
        /// Where it was to be cut.
        after: Lsn,
        /// What the oldest snapshot is as of.
        as_of: Lsn,
    },
    /// The disk failed before anything was decided.
    #[error(transparent)]
    Failed(#[from] ReadError),
    /// The disk failed while the decision was written down. This log is cut, and finishes on the disk before it takes another
    /// batch; after a crash before that it may be found as it was.
    #[error("the log is cut, but the disk failed to note it down: {0}; the next batch tries again")]
    Unfinished(String),
}

/// Why a log or snapshot cannot be opened. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it open.
    #[error("{0} is in use by another process; stop that one, or use another data directory")]
    Locked(String),
    /// The disk failed.
    #[error("{file}: {source}")]
    Io {
        /// The file or directory.
        file: String,
        /// Why.
        source: io::Error,
    },
    /// What was durable is not whole any more.
    #[error("{file} is damaged at offset {offset}: {reason}. Remedy: {remedy}")]
    Damaged {
        /// The file.
        file: String,
        /// Where in it.
        offset: u64,
        /// What does not fit.
        reason: String,
        /// What the operator can do.
        remedy: &'static str,
    },
    /// The files are of another version of this program.
    #[error("{file} has format {found}, this program reads up to {known}; use a newer program")]
    Format {
        /// The file.
        file: String,
        /// Its format.
        found: u32,
        /// The newest that is known here.
        known: u32,
    },
    /// Only an empty log becomes another.
    #[error("{directory} holds records or snapshots of log {incarnation}; it stays as it is")]
    NotEmpty {
        /// The directory.
        directory: String,
        /// Its log.
        incarnation: Incarnation,
    },
    /// What is durable at a majority is never given up.
    #[error("record {committed} is known to be committed: the log does not begin anew after record {as_of}")]
    Committed {
        /// After which record it was to begin.
        as_of: Lsn,
        /// The newest record that is known to be committed.
        committed: Lsn,
    },
    /// The directory holds the log of another region.
    #[error("{file} belongs to region '{found}', not '{wanted}'; check region and data_dir")]
    Region {
        /// The file.
        file: String,
        /// The region that it was made for.
        found: String,
        /// The configured region.
        wanted: String,
    },
}

/// What to do about damage to what was durable.
pub(crate) const REMEDY_DAMAGE: &str = "the disk lost data that was acknowledged, so nothing was changed; check the disk, and restore \
     the data directory from a backup, or move it away to begin an empty log (edges then take a new snapshot)";

/// What to do about damage to what is kept beside the log.
pub(crate) const REMEDY_TAIL: &str = "nothing was changed and the log does not need it; restore the file from a backup, or remove it, \
     and with it the records that it held";

/// What to do about a promise that does not read.
pub(crate) const REMEDY_PROMISE: &str = "nothing was changed; restore the file from a backup, or move the data directory away so \
     that this member begins anew from the others: one that forgets a promise may let two leaders write";

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
