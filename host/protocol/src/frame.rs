//! The replication feed's messages: what a subscriber sends up and what a publisher sends down. How they become bytes
//! is the wire crate's matter.

use bytes::Bytes;
use littoral_model::{
    catalogue::Catalogue,
    cluster::ClusterId,
    digest::Checkpoint,
    hlc::Hlc,
    lives::{Lives, RegionLives},
    position::{Epoch, Incarnation, Lsn, Position},
    record::ChainHash,
    region::Region,
    token::Watermark,
};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// The oldest version of the feed's protocol that this build follows. Publishers of this version know no lives: each of their logs
/// counts as having one. A publisher of this build serves [`VERSION_MAX`] alone, as older subscribers cannot read its records:
/// subscribers are upgraded first.
pub const VERSION_MIN: u16 = 3;
/// The newest version of the feed's protocol that this build speaks.
pub const VERSION_MAX: u16 = 4;

/// What a subscriber wants.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Views {
    /// Every view, also those made later.
    #[default]
    All,
    /// These, by name, also when they are made later. Names that no view has are no error.
    Names(Vec<String>),
    /// What originated in the publisher's region: rows, deletions, changes of the catalogue; and how far the publisher has
    /// other regions' records. A snapshot is of all rows. For the leader of this other region, which says what it has made durable.
    ForRegion(Region),
}

/// Where a subscriber stands and wants to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resume {
    /// Every record up to here is applied.
    pub position: Position,
    /// The hash of the record at `position`.
    pub chain: ChainHash,
}

/// A subscriber's first message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubscriberHello {
    /// The oldest protocol version that it speaks.
    pub version_min: u16,
    /// The newest protocol version that it speaks.
    pub version_max: u16,
    /// Its name, for logs and status.
    pub subscriber: String,
    /// What it wants.
    pub views: Views,
    /// Where it goes on; `None` when it has nothing.
    pub resume: Option<Resume>,
    /// How far it has every region's records: by that it may go on in another region's log. Empty when it may not.
    pub watermark: Watermark,
    /// The newest record of that log that anything held comes from, also past `resume`; `None` when nothing is.
    pub holds: Option<Position>,
    /// The life of a log whose publisher it has refused last, as it has seen a later one.
    pub ended: Option<Incarnation>,
    /// The histories of the regions' logs as it knows them, that of the log of `resume` among them.
    pub lives: RegionLives,
    /// Its cluster; `None` while it has none.
    pub cluster: Option<ClusterId>,
}

/// What a subscriber sends.
#[expect(clippy::large_enum_variant, reason = "there is one hello in a stream, and no message is kept")]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Upstream {
    /// The first message, and only the first.
    Hello(SubscriberHello),
    /// Asks for a heartbeat that echoes `seq`. Numbers ascend.
    Ping {
        /// The ping's number.
        seq: u64,
    },
    /// Everything up to `lsn` is applied, and the modules of that position can be called: for status, for what may be trimmed, and
    /// for who waits until a release is served.
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
    /// The epoch under which it appends.
    pub epoch: Epoch,
    /// Its log's incarnation, and the last record.
    pub head: Position,
    /// What follows.
    pub mode: Mode,
    /// Where the tail begins, when that is not where the subscriber stands: it comes from another region's log.
    pub rehomed: Option<Resume>,
    /// How far every region's records are in the log up to `head`.
    pub watermark: Watermark,
    /// A heartbeat comes at least this often, in milliseconds.
    pub heartbeat_ms: u32,
    /// The histories of the regions' logs, this one's among them.
    pub lives: RegionLives,
    /// The last record that both have alike, when the subscriber's log and this one are copies of one log that went on apart. A
    /// snapshot follows; what the subscriber holds past this record is lost here.
    pub forked: Option<Resume>,
    /// Its cluster; `None` while it has none.
    pub cluster: Option<ClusterId>,
    /// The log in whose place this one was begun, as the other regions knew it: its first life's name.
    pub succeeds: Option<Incarnation>,
    /// The regions that the leader's configuration names, its own among them: records of no other come. None where that is not
    /// known.
    pub configured: Vec<Region>,
}

impl PublisherHello {
    /// The name of the publisher's log.
    #[must_use]
    pub fn log(&self) -> Incarnation {
        self.lives.get(self.region).map_or(self.head.incarnation, Lives::log)
    }
}

/// Why a publisher ends a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ErrorCode {
    /// No protocol version is spoken by both.
    Version,
    /// The subscriber sent something that the protocol does not allow there.
    Protocol,
    /// The subscriber does not read fast enough; it may resume.
    Slow,
    /// Too many subscribers; try again later.
    Overloaded,
    /// The log cannot be read.
    Log,
    /// The publisher stops; it may come back.
    Shutdown,
    /// The publisher has less than the subscriber, or not all that it would need: a relay that is behind, a leader that was deposed
    /// or whose log was put back to an older copy and begins anew; try again later, or elsewhere.
    Behind,
}

/// What a publisher sends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Downstream {
    /// The first message.
    Hello(PublisherHello),
    /// A snapshot begins: what the subscriber held before is void once the snapshot has ended.
    SnapshotBegin {
        /// Everything up to here is in the snapshot; later rows may be.
        as_of: Position,
        /// The hash of the record at `as_of`.
        chain: ChainHash,
        /// The same for every region: how far others' records are in it.
        watermark: Watermark,
        /// The histories of the regions' logs.
        lives: RegionLives,
        /// Whether there are rows that the watermark does not name, as they came round a third region: whoever holds them cannot
        /// go on in another region's log without a snapshot of it.
        mixed: bool,
        /// The catalogue as of `as_of`.
        catalogue: Arc<Catalogue>,
        /// About how many rows follow.
        rows_estimate: u64,
    },
    /// Rows of a snapshot.
    SnapshotRows {
        /// How many.
        rows: u32,
        /// The rows, as the wire crate's `rows` lays them out.
        bytes: Bytes,
    },
    /// The snapshot is complete.
    SnapshotEnd {
        /// How many rows it had.
        rows: u64,
    },
    /// Records. They cover `first..=last` densely; with a filter by views, `bytes` may hold fewer.
    Records {
        /// The first record's number.
        first: Lsn,
        /// The last record's number.
        last: Lsn,
        /// The hash of the record at `last`.
        chain_after: ChainHash,
        /// Each record's postcard bytes behind a `u32` little-endian length.
        bytes: Bytes,
    },
    /// The publisher lives.
    Heartbeat {
        /// Its clock.
        clock: Hlc,
        /// Its last record, read after the ping that `echo` names had arrived.
        head: Position,
        /// The last ping that it has seen; zero before the first.
        echo: u64,
        /// How far the publisher itself may be behind the leader, in microseconds: zero at a leader, `None` at a relay
        /// that cannot tell.
        behind_us: Option<u64>,
        /// Whether a relay has lost its way to the leader.
        leader_lost: bool,
    },
    /// The stream ends.
    Error {
        /// Why.
        code: ErrorCode,
        /// What exactly, for people.
        message: String,
    },
    /// What the leader's rows are, exactly as of the last record that was sent.
    Checkpoint(Arc<Checkpoint>),
}
