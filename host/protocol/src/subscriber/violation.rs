//! Protocol violations by a publisher, and how the subscriber recovers.

use crate::eligibility::OtherLog;
use littoral_model::{
    position::{Epoch, Incarnation, Lsn, Position},
    region::Region,
};

/// Why a stream must be closed. Nothing of the offending message was used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// The publisher selected a protocol version that we did not offer.
    #[error("the leader answered with protocol version {theirs}, which was not offered")]
    Version {
        /// The selected version.
        theirs: u16,
    },
    /// The message is not allowed at this point.
    #[error("the leader sent {got} where {expected} was expected")]
    Order {
        /// The message received.
        got: &'static str,
        /// The message expected.
        expected: &'static str,
    },
    /// The leader was replaced and does not know it.
    #[error("the leader appends in epoch {theirs}, but epoch {known} has been seen: it was replaced and is rejected")]
    StaleEpoch {
        /// The leader's epoch.
        theirs: Epoch,
        /// The newest epoch seen.
        known: Epoch,
    },
    /// The log has a later life than the leader's.
    #[error(
        "the leader's log is in life {life}, but a later life has been seen: the leader was replaced, or its log was rolled back"
    )]
    PastLife {
        /// The leader's life.
        life: Incarnation,
    },
    /// A position of another life of the log arrived on one stream.
    #[error("a position in life {got} arrived on a stream of life {stream}")]
    Incarnation {
        /// The life received.
        got: Incarnation,
        /// The stream's life.
        stream: Incarnation,
    },
    /// The tail does not continue from our position.
    #[error("the leader at {head} offered a tail, which cannot continue from {}", applied.map_or_else(|| "nothing".to_owned(), |at| at.to_string()))]
    CannotTail {
        /// The leader's head.
        head: Position,
        /// Our position.
        applied: Option<Position>,
    },
    /// The snapshot is older than what is applied from the same log.
    #[error("the snapshot as of {as_of} is older than record {applied}, which is already applied")]
    SnapshotTooOld {
        /// The snapshot's record.
        as_of: Lsn,
        /// The last applied record.
        applied: Lsn,
    },
    /// The log ends before a record from which a row is held: it was restored from an older state.
    #[error("the log ends at record {head}, but a row held here comes from record {holds}: the lineages differ")]
    CutBack {
        /// The last record of the log.
        head: Lsn,
        /// The newest record from which a row is held.
        holds: Lsn,
    },
    /// The log was rolled back, and a row here comes from a record that it has lost.
    #[error(
        "the leader's log continues in another life after {fork}, but a row held here comes from record {holds} of the previous life: its log \
         was rolled back"
    )]
    PastFork {
        /// The common record.
        fork: Position,
        /// The newest record from which a row is held.
        holds: Lsn,
    },
    /// Rows were lost in transit.
    #[error("the snapshot ended after {received} rows, but {announced} were announced")]
    SnapshotRows {
        /// The announced number of rows.
        announced: u64,
        /// The number of rows received.
        received: u64,
    },
    /// A block of rows or records cannot be read, or its contents contradict its header.
    #[error("a block is damaged: {0}")]
    Damaged(String),
    /// Records are missing or repeated.
    #[error("records {first} to {last} arrived where record {expected} was expected")]
    Gap {
        /// The expected record.
        expected: Lsn,
        /// The first record received.
        first: Lsn,
        /// The last record received.
        last: Lsn,
    },
    /// The digests are as of a record other than the applied one, so they cannot be compared.
    #[error("digests as of record {lsn} arrived, but record {applied} is applied")]
    Checkpoint {
        /// The digests' record.
        lsn: Lsn,
        /// The last applied record.
        applied: Lsn,
    },
    /// A region has recreated its lost log, so what is held of the lost one will never arrive.
    #[error("region '{region}' has created log {now}: what is held here of its log {held} is lost everywhere else")]
    Recreated {
        /// The region.
        region: Region,
        /// The log whose records are held beyond the followed log.
        held: Incarnation,
        /// The current life of the region's log.
        now: Incarnation,
    },
    /// The publisher's log is not the one whose rows are held.
    #[error("{0}")]
    OtherLog(Box<OtherLog>),
    /// The log's records differ from those applied here.
    #[error("record {lsn} does not follow the records applied here: the lineages differ")]
    Chain {
        /// The record whose hash does not match.
        lsn: Lsn,
    },
}

/// How to recover after the stream was closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// Connect again and resume at our position.
    Resume,
    /// Like [`Remedy::Resume`], but if that fails repeatedly at one position, a snapshot may help.
    ResumeOrSnapshot,
    /// Connect again and request a snapshot, because the rows held here may differ from the
    /// leader's.
    Snapshot,
}

impl Violation {
    /// Returns how to recover.
    #[must_use]
    pub fn remedy(&self) -> Remedy {
        match self {
            Self::CannotTail { .. }
            | Self::Chain { .. }
            | Self::CutBack { .. }
            | Self::PastFork { .. }
            | Self::Recreated { .. } => Remedy::Snapshot,
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
