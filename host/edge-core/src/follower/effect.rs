//! The results of messages, and the reasons for which a stream ends.

use crate::{apply::BlockChanges, budget::Outgrown, replica::Replica};
use littoral_model::{digest::Checkpoint, hlc::Hlc, position::Position};
use littoral_protocol::{
    frame::{ErrorCode, PublisherHello},
    subscriber::{Block, Violation},
};
use std::sync::Arc;

/// Why a stream to a publisher ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The connection broke, or the publisher disappeared.
    Lost,
    /// The publisher violated the protocol.
    Violation(Violation),
    /// The publisher ended the stream.
    Ended(ErrorCode),
    /// Differences from the leader could not be repaired bucket by bucket.
    RepairFailed,
}

/// The effect of a message, which the driver carries out.
#[derive(Debug)]
pub enum Effect {
    /// The publisher has answered the hello.
    Greeted(PublisherHello),
    /// The publisher has answered the hello; the tail of another region's log continues after the
    /// held records.
    Rehomed {
        /// The publisher's hello.
        hello: PublisherHello,
        /// The replica to serve from now on: the same rows, at a position of the other log.
        replica: Arc<Replica>,
    },
    /// A snapshot has begun.
    SnapshotBegun,
    /// Rows of the snapshot were added.
    RowsAdded {
        /// The number of rows that arrived.
        rows: u32,
        /// The number of those that were discarded because a residency rule keeps them out of the edge's region.
        outside: u32,
    },
    /// The driver must serve this replica from now on.
    Serve {
        /// The replica.
        replica: Arc<Replica>,
        /// Whether the previous replica belonged to another lineage.
        replaced: bool,
        /// Whether the freshness measured so far is void, because it was measured on another lineage
        /// or without knowledge of the log's newest life.
        freshness_void: bool,
        /// The views that did not fit.
        outgrown: Vec<Outgrown>,
    },
    /// Records are applied and the replica's position has advanced.
    Applied {
        /// The applied records, with stubs for rows that a residency rule keeps out of the edge's region.
        block: Block,
        /// The replica's new position.
        position: Position,
        /// The changes that they made.
        changes: BlockChanges,
        /// Whether the followed log now includes everything held here, so the rows can be compared
        /// with it.
        level: bool,
    },
    /// A sign of life from the publisher.
    Heard {
        /// Its clock reading.
        clock: Hlc,
        /// Its last record.
        head: Position,
        /// Whether it is a relay that has lost its connection to the leader.
        leader_lost: bool,
    },
    /// The replica is at this checkpoint's record. The driver must compare before the next
    /// message.
    Compare(Arc<Checkpoint>),
    /// There is nothing to do.
    Nothing,
    /// The publisher has ended the stream.
    End {
        /// The reason.
        code: ErrorCode,
        /// Its message.
        message: String,
    },
}
