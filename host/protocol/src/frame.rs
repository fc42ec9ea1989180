//! The messages of the replication feed: what a subscriber sends and what a publisher sends. The
//! wire crate encodes them.

use bytes::Bytes;
use littoral_model::{
    catalogue::Catalogue,
    cluster::ClusterId,
    digest::Checkpoint,
    format::ProtocolVersion,
    hlc::Hlc,
    lineage::{Lineage, RegionLineages},
    position::{Epoch, Incarnation, Lsn, Position},
    record::ChainHash,
    region::Region,
    token::Watermark,
};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// The oldest version of the protocol that this build speaks.
pub const VERSION_MIN: u16 = ProtocolVersion::PREVIOUS.number();
/// The newest version of the protocol that this build speaks.
pub const VERSION_MAX: u16 = ProtocolVersion::NEWEST.number();

/// The records that a subscriber requests.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Views {
    /// Every view, including views created later.
    #[default]
    All,
    /// These views, by name, including views created later. Unknown names are not an error.
    Names(Vec<String>),
    /// Records that originated in the publisher's region: rows, deletions and catalogue changes,
    /// plus the publisher's progress with other regions' records. A snapshot contains all rows.
    /// The subscriber is the leader of this other region, and reports what it has made durable.
    ForRegion(Region),
}

/// The point at which a subscriber resumes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resume {
    /// Every record up to this position is applied.
    pub position: Position,
    /// The hash of the record at `position`.
    pub chain: ChainHash,
}

/// A subscriber's first message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubscriberHello {
    /// The oldest protocol version that it supports.
    pub version_min: u16,
    /// The newest protocol version that it supports.
    pub version_max: u16,
    /// Its name, for logs and status.
    pub subscriber: String,
    /// The records that it requests.
    pub views: Views,
    /// The point at which it resumes; `None` if it holds nothing.
    pub resume: Option<Resume>,
    /// The positions up to which it has every region's records. They allow it to continue in
    /// another region's log. Empty if it must not.
    pub watermark: Watermark,
    /// The newest record of that log from which it holds a row, even past `resume`; `None` if it
    /// holds nothing. [`UNREQUESTED`] if it is the leader of a region that waits for a request.
    pub holds: Option<Position>,
    /// The last life that it rejected because it had seen a later one.
    pub ended: Option<Incarnation>,
    /// The lineages of the regions' logs as it knows them, including that of the log of `resume`.
    pub lineages: RegionLineages,
    /// Its cluster; `None` if it has none yet.
    pub cluster: Option<ClusterId>,
}

/// The value of [`SubscriberHello::holds`] with which the leader of a region states that it holds
/// records that the publisher's log has lost, and that the tail has not brought the publisher's
/// request for them yet. The request is lost too if the log was rolled back again.
pub const UNREQUESTED: Position = Position { incarnation: Incarnation(0), lsn: Lsn::NONE };

/// A message from a subscriber.
#[expect(clippy::large_enum_variant, reason = "there is one hello in a stream, and no message is kept")]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Upstream {
    /// The first message, sent only once.
    Hello(SubscriberHello),
    /// Requests a heartbeat that echoes `seq`. Numbers ascend.
    Ping {
        /// The ping's number.
        seq: u64,
    },
    /// Reports that everything up to `lsn` is applied and the modules of that position can be
    /// called. Used for status, for trimming, and by callers that wait until a release is served.
    Applied {
        /// The last applied record.
        lsn: Lsn,
    },
}

/// How a publisher brings a subscriber up to date.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mode {
    /// The records after the subscriber's position.
    Tail,
    /// A snapshot, then the records after it.
    Snapshot,
}

/// A publisher's first message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublisherHello {
    /// The protocol version of this stream.
    pub version: u16,
    /// The publisher's region.
    pub region: Region,
    /// The epoch in which it appends.
    pub epoch: Epoch,
    /// The current life of its log, and the last record.
    pub head: Position,
    /// What follows this message.
    pub mode: Mode,
    /// The point at which the tail begins, if not at the subscriber's position: the subscriber
    /// comes from another region's log.
    pub rehomed: Option<Resume>,
    /// The positions up to which every region's records are in the log, at `head`.
    pub watermark: Watermark,
    /// The maximum interval between heartbeats, in milliseconds.
    pub heartbeat_ms: u32,
    /// The lineages of the regions' logs, including this one's.
    pub lineages: RegionLineages,
    /// The common record, if the subscriber's log and this one are copies of one log that
    /// continued separately. A snapshot follows. What the subscriber holds past the common record
    /// is lost here.
    pub forked: Option<Resume>,
    /// Its cluster; `None` if it has none yet.
    pub cluster: Option<ClusterId>,
    /// The log that this one replaces, under the name that the other regions knew: its first life.
    pub succeeds: Option<Incarnation>,
    /// The regions in the leader's configuration, including its own; records of other regions
    /// never arrive. Empty if unknown.
    pub configured: Vec<Region>,
}

impl PublisherHello {
    /// Returns the name of the publisher's log.
    #[must_use]
    pub fn log(&self) -> Incarnation {
        self.lineages.get(self.region).map_or(self.head.incarnation, Lineage::log)
    }
}

/// Why a publisher ends a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ErrorCode {
    /// The two sides support no common protocol version.
    Version,
    /// The subscriber sent a message that the protocol does not allow at that point.
    Protocol,
    /// The subscriber reads too slowly; it may resume.
    Slow,
    /// There are too many subscribers; retry later.
    Overloaded,
    /// The log cannot be read.
    Log,
    /// The publisher is stopping; it may return.
    Shutdown,
    /// The publisher has less than the subscriber, or not everything that the subscriber needs. It
    /// is a relay that is behind, or a leader that was deposed or rolled back. Retry later or
    /// elsewhere.
    Behind,
}

/// A message from a publisher.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Downstream {
    /// The first message.
    Hello(PublisherHello),
    /// A snapshot begins. It replaces what the subscriber held before once it is complete.
    SnapshotBegin {
        /// The snapshot includes everything up to this position; it may include later rows.
        as_of: Position,
        /// The hash of the record at `as_of`.
        chain: ChainHash,
        /// Like `as_of`, for every region.
        watermark: Watermark,
        /// The lineages of the regions' logs.
        lineages: RegionLineages,
        /// Whether there are rows that the watermark does not cover, because they arrived through
        /// a third region. A replica with such rows cannot continue in another region's log
        /// without a snapshot.
        mixed: bool,
        /// The catalogue at `as_of`.
        catalogue: Arc<Catalogue>,
        /// The approximate number of rows that follow.
        rows_estimate: u64,
    },
    /// Rows of a snapshot.
    SnapshotRows {
        /// The number of rows.
        rows: u32,
        /// The rows, in the layout of the wire crate's `rows`.
        bytes: Bytes,
    },
    /// The snapshot is complete.
    SnapshotEnd {
        /// The total number of rows sent.
        rows: u64,
    },
    /// Records that cover `first..=last` densely. If the subscriber filters by view, `bytes` may
    /// contain fewer.
    Records {
        /// The first record's LSN.
        first: Lsn,
        /// The last record's LSN.
        last: Lsn,
        /// The hash of the record at `last`.
        chain_after: ChainHash,
        /// Each record's postcard bytes after their `u32` little-endian length.
        bytes: Bytes,
    },
    /// A sign of life from the publisher.
    Heartbeat {
        /// Its clock reading.
        clock: Hlc,
        /// Its last record, read after the ping named by `echo` had arrived.
        head: Position,
        /// The last ping that it has received; zero before the first.
        echo: u64,
        /// Upper bound of how far the publisher is behind the leader, in microseconds: zero at a
        /// leader, `None` at a relay that does not know.
        behind_us: Option<u64>,
        /// Whether a relay has lost its connection to the leader.
        leader_lost: bool,
    },
    /// The stream ends.
    Error {
        /// The reason.
        code: ErrorCode,
        /// A description for logs.
        message: String,
    },
    /// The digests of the leader's rows, exactly as of the last record sent.
    Checkpoint(Arc<Checkpoint>),
}
