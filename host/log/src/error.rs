//! What can go wrong with a log. Each says what the caller can do.

use littoral_model::position::{Epoch, Lsn};
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

impl OpenError {
    pub(crate) fn io(file: impl Into<String>, source: io::Error) -> Self {
        Self::Io { file: file.into(), source }
    }

    pub(crate) fn damaged(file: impl Into<String>, offset: u64, reason: impl Into<String>) -> Self {
        Self::Damaged { file: file.into(), offset, reason: reason.into(), remedy: REMEDY_DAMAGE }
    }
}
