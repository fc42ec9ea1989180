//! What a publisher may not do, and what to do when it does.

use crate::kinship::OtherLog;
use littoral_model::{
    position::{Epoch, Incarnation, Lsn, Position},
    region::Region,
};

/// Why a stream must be closed. Nothing of the message at fault was used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// A protocol version that we did not offer.
    #[error("the leader answered in feed protocol version {theirs}, which was not offered")]
    Version {
        /// What it speaks.
        theirs: u16,
    },
    /// A message where it has no place.
    #[error("the leader sent {got} where {expected} was due")]
    Order {
        /// What came.
        got: &'static str,
        /// What was due.
        expected: &'static str,
    },
    /// The leader was replaced and does not know it.
    #[error("the leader appends under epoch {theirs}, but epoch {known} has been seen: it was replaced and is refused")]
    StaleEpoch {
        /// The leader's.
        theirs: Epoch,
        /// The newest that was seen.
        known: Epoch,
    },
    /// The log went on after the life that the leader is in.
    #[error(
        "the leader's log is in life {life}, and a later one has been seen: it was replaced, or its log was put back to an older copy"
    )]
    PastLife {
        /// The leader's.
        life: Incarnation,
    },
    /// A position of another life of the log within one stream.
    #[error("a position in log {got} arrived on a stream of log {stream}")]
    Incarnation {
        /// What came.
        got: Incarnation,
        /// The stream's.
        stream: Incarnation,
    },
    /// A tail that does not go on where we stand.
    #[error("the leader at {head} would send a tail, which cannot go on from {}", applied.map_or_else(|| "nothing".to_owned(), |at| at.to_string()))]
    CannotTail {
        /// The leader's head.
        head: Position,
        /// Where we stand.
        applied: Option<Position>,
    },
    /// A snapshot older than what is already applied from the same log.
    #[error("the snapshot as of {as_of} is older than record {applied}, which is already applied")]
    SnapshotTooOld {
        /// The snapshot's record.
        as_of: Lsn,
        /// What is applied.
        applied: Lsn,
    },
    /// The log ends before what a row here comes from: it was restored from an older state.
    #[error("the log ends with record {head}, but a row held here comes from record {holds}: the histories differ")]
    CutBack {
        /// Where the log ends.
        head: Lsn,
        /// The newest record that a row comes from.
        holds: Lsn,
    },
    /// The log was put back to an older copy, and a row here is of a record that it has lost.
    #[error(
        "the leader's log went on as another life behind {fork}, and a row held here comes from record {holds} of the life before: its log \
         was put back to an older copy"
    )]
    PastFork {
        /// The last record in common.
        fork: Position,
        /// The newest record that a row comes from.
        holds: Lsn,
    },
    /// Rows were lost on the way.
    #[error("the snapshot ends after {received} rows, {announced} were sent")]
    SnapshotRows {
        /// What its end says.
        announced: u64,
        /// What came.
        received: u64,
    },
    /// A block of rows or records that cannot be read or says of itself what is not so.
    #[error("a block is damaged: {0}")]
    Damaged(String),
    /// Records are missing or come twice.
    #[error("records {first} to {last} arrived where {expected} was due")]
    Gap {
        /// The record that was due.
        expected: Lsn,
        /// The first that came.
        first: Lsn,
        /// The last that came.
        last: Lsn,
    },
    /// Digests of another record than the one that is applied: they could not be compared.
    #[error("digests as of record {lsn} arrived where {applied} is applied")]
    Checkpoint {
        /// The digests' record.
        lsn: Lsn,
        /// What is applied.
        applied: Lsn,
    },
    /// A region whose log was lost has begun another: what is held of the lost one will never come.
    #[error("region '{region}' has begun log {now}: what is held here of its log {held} is lost everywhere else")]
    BegunAnew {
        /// The region.
        region: Region,
        /// Whose records are held beyond the log that is followed.
        held: Incarnation,
        /// The life of the region's log that comes now.
        now: Incarnation,
    },
    /// The publisher's log is another than the one whose rows are held.
    #[error("{0}")]
    OtherLog(Box<OtherLog>),
    /// The log's history is not the one that we applied.
    #[error("record {lsn} does not follow from what was applied here: the histories differ")]
    Chain {
        /// The record whose hash does not fit.
        lsn: Lsn,
    },
}

/// What to do after the stream was closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// Connect again and go on from where we stand.
    Resume,
    /// As [`Remedy::Resume`]; when that fails again and again at one position, a snapshot may lead past it.
    ResumeOrSnapshot,
    /// What we hold may not be the leader's history: connect again and take a snapshot.
    Snapshot,
}

impl Violation {
    /// What to do.
    #[must_use]
    pub fn remedy(&self) -> Remedy {
        match self {
            Self::CannotTail { .. }
            | Self::Chain { .. }
            | Self::CutBack { .. }
            | Self::PastFork { .. }
            | Self::BegunAnew { .. } => Remedy::Snapshot,
            Self::Damaged(_) | Self::Gap { .. } | Self::Order { .. } => Remedy::ResumeOrSnapshot,
            Self::Version { .. }
            | Self::StaleEpoch { .. }
            | Self::PastLife { .. }
            | Self::OtherLog(_)
            | Self::Incarnation { .. }
            | Self::SnapshotTooOld { .. }
            | Self::Checkpoint { .. }
            | Self::SnapshotRows { .. } => Remedy::Resume,
        }
    }
}
