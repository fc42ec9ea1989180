//! The events of the world with one region.

use crate::{
    leader::RESTRICTED,
    network::Target,
    timeline::{Hash, TimelineEvent},
    world::EDGES,
};
use littoral_log::storage::Faults;
use littoral_model::position::{Epoch, Incarnation, Lsn, Position};
use littoral_protocol::frame::{ErrorCode, Mode};
use littoral_replica::Repaired;
use std::fmt;

/// One event. `edge` is an edge's number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The leader lost power and restarted.
    LeaderCrashed {
        /// Where its log ends.
        head: Position,
        /// Its new epoch.
        epoch: Epoch,
    },
    /// A leader that was replaced keeps serving.
    DeposedServes,
    /// The leader lost its disk and started an empty log.
    LeaderLostDisk,
    /// The leader that was replaced keeps writing to its own log.
    OldLogContinues,
    /// The leader's disk was restored from a backup.
    DiskRestored {
        /// Where its log ends.
        head: Position,
    },
    /// The leader's host was restored to an earlier state.
    HostReverted {
        /// Where its log ends.
        head: Position,
    },
    /// A subscriber's hello proved to the leader that its log was rolled back.
    RollbackDetected {
        /// The subscriber.
        edge: usize,
        /// The first record of the new life.
        from: Lsn,
    },
    /// The leader acknowledged a batch.
    Acknowledged {
        /// Its first record.
        from: Lsn,
        /// Its last record.
        last: Lsn,
    },
    /// The leader rejected a batch.
    Rejected {
        /// What would have been its first record.
        from: Lsn,
        /// The product's error.
        reason: String,
    },
    /// Rows of a bucket were repaired.
    Repaired {
        /// Where.
        edge: usize,
        /// What changed.
        repaired: Repaired,
        /// Whether the bucket is complete.
        complete: bool,
    },
    /// A fill was accepted.
    Filled {
        /// Where.
        edge: usize,
        /// The leader's last record when it read the row.
        as_of: Lsn,
    },
    /// A fill arrived too late and is requested again.
    FillOvertaken {
        /// Where.
        edge: usize,
        /// The leader's last record when it read the row.
        as_of: Lsn,
    },
    /// Records were applied.
    Applied {
        /// Where.
        edge: usize,
        /// The last of them.
        through: Lsn,
    },
    /// A read was answered.
    Answered {
        /// Where.
        edge: usize,
        /// The read's number.
        read: u64,
        /// The position that the answer states.
        position: Position,
    },
    /// A read was abandoned.
    ReadAbandoned {
        /// Where.
        edge: usize,
        /// The read's number.
        read: u64,
    },
    /// Nothing fails from now on.
    Healed,
    /// The leader's disk fails from now on.
    DiskFails(Faults),
    /// The leader's disk works again.
    DiskWorks,
    /// The leader wrote a snapshot, or tried to.
    Snapshot(SnapshotOutcome),
    /// The leader's wall clock jumped.
    ClockJumped {
        /// How far it is off.
        ms: i64,
    },
    /// A row changed in memory.
    RowCorrupted {
        /// Where.
        edge: usize,
    },
    /// A stream ended.
    StreamEnded {
        /// Whose.
        edge: usize,
        /// Why.
        cause: StreamEnd,
    },
    /// One direction of a stream stalls.
    Stalled {
        /// Whose.
        edge: usize,
    },
    /// An edge lost everything and restarted.
    EdgeRestarted {
        /// Which.
        edge: usize,
    },
    /// An edge connected.
    Connected {
        /// Which.
        edge: usize,
        /// To whom.
        target: Target,
        /// The last record that it has applied.
        lsn: Lsn,
    },
    /// An edge received a hello.
    Greeted {
        /// Which.
        edge: usize,
        /// What follows.
        mode: Mode,
        /// The publisher's last record.
        head: Position,
    },
    /// The world has a residency rule.
    Ruled {
        /// The edges that may not hold the rows.
        outside: [bool; EDGES],
        /// Whether publishers send the rows to them anyway.
        lies: bool,
    },
    /// An operator has an edge adopt another log.
    Adopted {
        /// Which edge.
        edge: usize,
        /// The log.
        log: Incarnation,
    },
}

/// Why a stream ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StreamEnd {
    /// The network cut it.
    Cut,
    /// The publisher's process ended.
    PublisherStopped,
    /// The publisher could not continue: the product's error.
    PublisherFailed(String),
    /// The publisher ended it with this code.
    PublisherEnded(ErrorCode),
    /// Repairs did not make the rows equal.
    RepairFailed,
    /// The publisher broke the protocol: the product's error.
    Violation(String),
}

/// How an attempt to write a snapshot ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SnapshotOutcome {
    /// It was written.
    Written {
        /// Its last record.
        as_of: Lsn,
        /// The oldest record that the log kept.
        oldest: Lsn,
    },
    /// It was not written: the product's error.
    NotWritten(String),
    /// Older ones were not removed: the product's error.
    NotPruned(String),
    /// The log was not trimmed: the product's error.
    NotTrimmed(String),
}

impl TimelineEvent for Event {
    fn fold(&self, hash: &mut Hash) {
        match self {
            Self::LeaderCrashed { head, epoch } => hash.numbers([1, head.incarnation.0, head.lsn.0, epoch.0]),
            Self::DeposedServes => hash.numbers([2]),
            Self::LeaderLostDisk => hash.numbers([3]),
            Self::OldLogContinues => hash.numbers([4]),
            Self::DiskRestored { head } => hash.numbers([5, head.incarnation.0, head.lsn.0]),
            Self::HostReverted { head } => hash.numbers([6, head.incarnation.0, head.lsn.0]),
            Self::RollbackDetected { edge, from } => hash.numbers([7, *edge as u64, from.0]),
            Self::Acknowledged { from, last } => hash.numbers([8, from.0, last.0]),
            Self::Rejected { from, reason: _ } => hash.numbers([9, from.0]),
            Self::Repaired { edge, repaired: Repaired { put, removed, exact_from }, complete } => {
                hash.numbers([10, *edge as u64, *put, *removed, exact_from.0, (*complete).into()]);
            }
            Self::Filled { edge, as_of } => hash.numbers([11, *edge as u64, as_of.0]),
            Self::FillOvertaken { edge, as_of } => hash.numbers([12, *edge as u64, as_of.0]),
            Self::Applied { edge, through } => hash.numbers([13, *edge as u64, through.0]),
            Self::Answered { edge, read, position } => {
                hash.numbers([14, *edge as u64, *read, position.incarnation.0, position.lsn.0]);
            }
            Self::ReadAbandoned { edge, read } => hash.numbers([15, *edge as u64, *read]),
            Self::Healed => hash.numbers([16]),
            Self::DiskFails(faults) => {
                hash.numbers([17]);
                hash.optional(faults.capacity);
                hash.optional(faults.sync_fails_after.map(Into::into));
                hash.optional(faults.write_fails_after);
            }
            Self::DiskWorks => hash.numbers([18]),
            Self::Snapshot(outcome) => {
                hash.numbers([19]);
                outcome.fold(hash);
            }
            Self::ClockJumped { ms } => hash.numbers([20, ms.cast_unsigned()]),
            Self::RowCorrupted { edge } => hash.numbers([21, *edge as u64]),
            Self::StreamEnded { edge, cause } => {
                hash.numbers([22, *edge as u64]);
                cause.fold(hash);
            }
            Self::Stalled { edge } => hash.numbers([23, *edge as u64]),
            Self::EdgeRestarted { edge } => hash.numbers([24, *edge as u64]),
            Self::Connected { edge, target, lsn } => {
                let target = match target {
                    Target::Leader => 1,
                    Target::Old => 2,
                    Target::Relay => 3,
                };
                hash.numbers([25, *edge as u64, target, lsn.0]);
            }
            Self::Greeted { edge, mode, head } => {
                hash.numbers([26, *edge as u64, mode_number(*mode), head.incarnation.0, head.lsn.0]);
            }
            Self::Adopted { edge, log } => hash.numbers([27, *edge as u64, log.0]),
            Self::Ruled { outside, lies } => {
                hash.numbers([28, (*lies).into()]);
                hash.numbers(outside.map(u64::from));
            }
        }
    }
}

/// Returns the number of a mode for the hash.
pub(crate) const fn mode_number(mode: Mode) -> u64 {
    match mode {
        Mode::Tail => 1,
        Mode::Snapshot => 2,
    }
}

impl StreamEnd {
    fn fold(&self, hash: &mut Hash) {
        match self {
            Self::Cut => hash.numbers([1]),
            Self::PublisherStopped => hash.numbers([2]),
            Self::PublisherFailed(_) => hash.numbers([3]),
            Self::PublisherEnded(code) => {
                let code = match code {
                    ErrorCode::Version => 1,
                    ErrorCode::Protocol => 2,
                    ErrorCode::Slow => 3,
                    ErrorCode::Overloaded => 4,
                    ErrorCode::Log => 5,
                    ErrorCode::Shutdown => 6,
                    ErrorCode::Behind => 7,
                };
                hash.numbers([4, code]);
            }
            Self::RepairFailed => hash.numbers([5]),
            Self::Violation(_) => hash.numbers([6]),
        }
    }
}

impl SnapshotOutcome {
    fn fold(&self, hash: &mut Hash) {
        match self {
            Self::Written { as_of, oldest } => hash.numbers([1, as_of.0, oldest.0]),
            Self::NotWritten(_) => hash.numbers([2]),
            Self::NotPruned(_) => hash.numbers([3]),
            Self::NotTrimmed(_) => hash.numbers([4]),
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LeaderCrashed { head, epoch } => {
                write!(f, "the leader lost power and restarted at {head} under epoch {epoch}")
            }
            Self::DeposedServes => f.write_str("its predecessor has not noticed and keeps serving"),
            Self::LeaderLostDisk => f.write_str("the leader lost its disk and started an empty log"),
            Self::OldLogContinues => f.write_str("its predecessor keeps writing to its own log"),
            Self::DiskRestored { head } => write!(f, "the leader's disk was restored from a backup and ends at {head}"),
            Self::HostReverted { head } => {
                write!(f, "the leader's host was restored to an earlier state, in which its log ends at {head}")
            }
            Self::RollbackDetected { edge, from } => {
                write!(f, "edge {edge} proves to the leader that its log was rolled back: a new life starts at {from}")
            }
            Self::Acknowledged { from, last } => write!(f, "records {from} to {last} are acknowledged"),
            Self::Rejected { from, reason } => write!(f, "records from {from} on are rejected: {reason}"),
            Self::Repaired { edge, repaired: Repaired { put, removed, exact_from }, complete } => write!(
                f,
                "edge {edge}: a repair put {put} rows and removed {removed}, exact from {exact_from}, bucket complete: {complete}"
            ),
            Self::Filled { edge, as_of } => write!(f, "edge {edge}: a fill as of {as_of}"),
            Self::FillOvertaken { edge, as_of } => write!(f, "edge {edge}: a fill as of {as_of} was overtaken"),
            Self::Applied { edge, through } => write!(f, "edge {edge} applied records through {through}"),
            Self::Answered { edge, read, position } => write!(f, "edge {edge} answers read {read} at {position}"),
            Self::ReadAbandoned { edge, read } => write!(f, "edge {edge}: read {read} is abandoned"),
            Self::Healed => f.write_str("the network and the disk heal"),
            Self::DiskFails(faults) => write!(f, "the disk: {faults:?}"),
            Self::DiskWorks => f.write_str("the disk works again"),
            Self::Snapshot(outcome) => outcome.fmt(f),
            Self::ClockJumped { ms } => write!(f, "the leader's wall clock is now {ms} ms off"),
            Self::RowCorrupted { edge } => write!(f, "edge {edge}: a row changes in memory"),
            Self::StreamEnded { edge, cause } => write!(f, "edge {edge}: the stream ended: {cause}"),
            Self::Stalled { edge } => write!(f, "edge {edge}: one direction of the stream stalls"),
            Self::EdgeRestarted { edge } => write!(f, "edge {edge} restarts with nothing"),
            Self::Connected { edge, target, lsn } => write!(f, "edge {edge} connects to {target:?} at {lsn}"),
            Self::Greeted { edge, mode, head } => write!(f, "edge {edge} is greeted: {mode:?} at {head}"),
            Self::Adopted { edge, log } => write!(f, "an operator has edge {edge} adopt log {log}"),
            Self::Ruled { outside, lies } => {
                write!(
                    f,
                    "rows of view {RESTRICTED} may not be at the edges outside: {outside:?}; publishers lie: {lies}"
                )
            }
        }
    }
}

impl fmt::Display for StreamEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cut => f.write_str("the network cut it"),
            Self::PublisherStopped => f.write_str("the publisher's process ended"),
            Self::PublisherFailed(error) | Self::Violation(error) => f.write_str(error),
            Self::PublisherEnded(code) => write!(f, "the publisher ended it: {code:?}"),
            Self::RepairFailed => f.write_str("repairs did not make the rows equal"),
        }
    }
}

impl fmt::Display for SnapshotOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Written { as_of, oldest } => {
                write!(f, "a snapshot as of {as_of} is written; the log starts at {oldest}")
            }
            Self::NotWritten(error) => write!(f, "the snapshot could not be written: {error}"),
            Self::NotPruned(error) => write!(f, "old snapshots could not be removed: {error}"),
            Self::NotTrimmed(error) => write!(f, "the log could not be trimmed: {error}"),
        }
    }
}
