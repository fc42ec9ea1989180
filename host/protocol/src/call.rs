//! Calls from an edge to its leader: many at once over one stream, answered in any order, matched by their number.

use crate::members::ask::{self, Ask, Rejection};
use bytes::Bytes;
use littoral_model::{
    catalogue::CatalogueChange,
    freshness::Consistency,
    module::ModuleDigest,
    ports::ModulePut,
    position::{Lsn, Position},
    read::{ReadError, ViewRead},
    region::Region,
    status::NodeStatus,
    tail::TailPiece,
    token::Watermark,
    view::ViewId,
    write::{WriteError, WriteReceipt, WriteRequest},
};
use serde::{Deserialize, Serialize};

/// What is asked of a leader.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Call {
    /// Rows as the leader has them now: a fill, or a read that demands the leader.
    Read {
        /// Keys per view.
        reads: Vec<ViewRead>,
        /// Whether a relay may answer from what it has applied, as of its own position, or must ask the leader.
        consistency: Consistency,
    },
    /// Rows to write.
    Write(WriteRequest),
    /// A change of the catalogue.
    Change(CatalogueChange),
    /// A module to store and release.
    PutModule {
        /// The name that it gets.
        name: String,
        /// The release.
        version: String,
        /// The component.
        component: Bytes,
    },
    /// A module's component.
    FetchModule {
        /// Its content address.
        digest: ModuleDigest,
    },
    /// The leader's state.
    Status,
    /// A checkpoint, now: it comes down the feed.
    Checkpoint,
    /// Rows and tombstones of a bucket, by key.
    Bucket {
        /// The view.
        view: ViewId,
        /// The bucket ([`littoral_model::digest`]).
        bucket: u8,
        /// Only keys behind this one.
        after: Option<Bytes>,
    },
    /// What a member of the region's log asks another.
    Member(Ask),
    /// Rows from a majority of the regions' leaders, of which the called one is the first.
    Quorum {
        /// Keys per view.
        reads: Vec<ViewRead>,
        /// How long the other regions are waited for, in milliseconds.
        wait_ms: u32,
    },
    /// Rows and tombstones as the called leader holds them, for a quorum that another gathers.
    Held {
        /// Keys per view.
        reads: Vec<ViewRead>,
    },
    /// Rows and deletions that the leader's log has lost and an edge has kept.
    Merge(TailPiece),
}

/// A call and its number.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// Chosen by the caller, unique among the calls that wait on one stream.
    pub id: u64,
    /// What is asked.
    pub call: Call,
}

/// Rows as a leader read them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowsRead {
    /// The leader's last record, taken before it read: everything up to here is in the rows.
    pub as_of: Position,
    /// The same for every region.
    pub watermark: Watermark,
    /// Per read, how many keys it had.
    pub counts: Vec<u32>,
    /// The rows in the order of the keys, as the wire crate's `rows` lays them out; an empty one where there is none.
    pub bytes: Bytes,
}

/// Rows as a majority of the regions' leaders have them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuorumRead {
    /// The rows, of each the version that outranks the others; the position is the called leader's.
    pub rows: RowsRead,
    /// The regions that answered.
    pub regions: Vec<Region>,
}

/// Rows of a bucket as a leader read them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BucketRead {
    /// The leader's last record, taken before it read: everything up to here is in the rows.
    pub as_of: Position,
    /// Whether further keys follow behind the last.
    pub more: bool,
    /// The rows and tombstones by key, as the wire crate's `rows` lays them out.
    pub bytes: Bytes,
}

/// What became of a call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Answer {
    /// Of [`Call::Read`] and [`Call::Held`].
    Read(Result<RowsRead, ReadError>),
    /// Of [`Call::Write`], [`Call::Change`] and [`Call::Merge`].
    Receipt(Result<WriteReceipt, WriteError>),
    /// Of [`Call::PutModule`].
    Module(Result<ModulePut, WriteError>),
    /// Of [`Call::FetchModule`]; `None` when the leader does not have it.
    Component(Option<Bytes>),
    /// Of [`Call::Status`].
    Status(NodeStatus),
    /// The call itself was refused; nothing of it was done.
    Refused(String),
    /// Of [`Call::Checkpoint`]: the record that it stands at.
    Checkpoint(Result<Lsn, ReadError>),
    /// Of [`Call::Bucket`].
    Bucket(Result<BucketRead, ReadError>),
    /// Of [`Call::Member`].
    Member(Result<ask::Reply, Rejection>),
    /// Of [`Call::Quorum`].
    Quorum(Result<QuorumRead, ReadError>),
}

/// An answer and the number of its call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reply {
    /// The call's number.
    pub id: u64,
    /// What became of it.
    pub answer: Answer,
}
