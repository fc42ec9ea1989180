//! Calls between nodes: from an edge to its leader, between the leaders of regions, and between the
//! members of a region. Many share one stream; replies arrive in any order and carry the number of
//! their call.

use crate::members::rpc::{self, Rejection};
use bytes::Bytes;
use littoral_model::{
    caller::Caller,
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
    trace::TraceContext,
    view::ViewId,
    write::{WriteError, WriteReceipt, WriteRequest},
};
use serde::{Deserialize, Deserializer, Serialize, Serializer, ser::SerializeStruct as _};

/// A call to a leader.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Call {
    /// Reads rows as the leader has them now: for a fill, or for a read that demands the leader.
    Read {
        /// The keys, by view.
        reads: Vec<ViewRead>,
        /// Whether a relay may answer from what it has applied, at its own position, or must call
        /// the leader.
        consistency: Consistency,
    },
    /// Writes rows.
    Write(WriteRequest),
    /// Changes the catalogue.
    Change(CatalogueChange),
    /// Stores and releases a module.
    PutModule {
        /// The module's name.
        name: String,
        /// The release name.
        version: String,
        /// The component's bytes.
        component: Bytes,
    },
    /// Downloads a module's component.
    FetchModule {
        /// Its content address.
        digest: ModuleDigest,
    },
    /// Returns the leader's state.
    Status,
    /// Takes a checkpoint now, which arrives on the feed.
    Checkpoint,
    /// Returns rows and tombstones of a bucket, sorted by key.
    Bucket {
        /// The view.
        view: ViewId,
        /// The bucket ([`littoral_model::digest`]).
        bucket: u8,
        /// Only keys after this one are returned.
        after: Option<Bytes>,
    },
    /// Sends a request from one member of the region to another.
    Member(rpc::Request),
    /// Reads rows from a majority of the regions' leaders, starting with the called one.
    Quorum {
        /// The keys, by view.
        reads: Vec<ViewRead>,
        /// How long to wait for the other regions, in milliseconds.
        wait_ms: u32,
    },
    /// Returns rows and tombstones as the called leader holds them, for another leader's quorum
    /// read.
    Held {
        /// The keys, by view.
        reads: Vec<ViewRead>,
    },
    /// Merges rows and deletions that the leader's log has lost and an edge has kept.
    Merge(TailPiece),
    /// Renews the certificate of the node that signed the request, here or at the node to which this one forwards it.
    Certify(Bytes),
}

/// The first protocol version in which calls belong to traces.
pub const CONTEXT_SINCE: u16 = 5;

/// A call with its number.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Request {
    /// Chosen by the caller; unique among the pending calls of one stream.
    pub id: u64,
    /// The call.
    pub call: Call,
    /// The client on whose behalf a write or a change is forwarded, if it has a credential. Absent in the encoding
    /// without one, so that older leaders can decode the other calls.
    #[serde(default, deserialize_with = "absent_at_the_end")]
    pub caller: Option<Caller>,
    /// The trace that the call belongs to, if it is sampled. Absent in the encoding without one, and in versions before
    /// [`CONTEXT_SINCE`].
    #[serde(default, deserialize_with = "absent_at_the_end")]
    pub context: Option<TraceContext>,
}

impl Call {
    /// Returns its name in traces.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Read { .. } => "call read",
            Self::Write(_) => "call write",
            Self::Change(_) => "call change",
            Self::PutModule { .. } => "call put_module",
            Self::FetchModule { .. } => "call fetch_module",
            Self::Status => "call status",
            Self::Checkpoint => "call checkpoint",
            Self::Bucket { .. } => "call bucket",
            Self::Member(_) => "call member",
            Self::Quorum { .. } => "call quorum",
            Self::Held { .. } => "call held",
            Self::Merge(_) => "call merge",
            Self::Certify(_) => "call certify",
        }
    }
}

impl Request {
    /// Creates the request of a node itself.
    #[must_use]
    pub fn new(id: u64, call: Call) -> Self {
        Self { id, call, caller: None, context: None }
    }
}

impl Serialize for Request {
    /// Writes the last fields only if they, or later ones, are present.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (has_caller, has_context) = (self.caller.is_some(), self.context.is_some());
        let fields = if has_context { 4 } else { 2 + usize::from(has_caller) };
        let mut request = serializer.serialize_struct("Request", fields)?;
        request.serialize_field("id", &self.id)?;
        request.serialize_field("call", &self.call)?;
        if has_caller || has_context {
            request.serialize_field("caller", &self.caller)?;
        }
        if has_context {
            request.serialize_field("context", &self.context)?;
        }
        request.end()
    }
}

/// Deserializes a last field that is encoded only if it is present.
fn absent_at_the_end<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer).unwrap_or_default())
}

/// Rows as a leader read them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowsRead {
    /// The leader's last record, determined before it read. The rows include everything up to it.
    pub as_of: Position,
    /// Like `as_of`, for every region.
    pub watermark: Watermark,
    /// The number of keys in each read.
    pub counts: Vec<u32>,
    /// The rows in the order of the keys, in the layout of the wire crate's `rows`; an empty entry
    /// for a missing row.
    pub bytes: Bytes,
}

/// Rows as a majority of the regions' leaders have them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuorumRead {
    /// The highest-ranking version of each row; the position is the called leader's.
    pub rows: RowsRead,
    /// The regions that answered.
    pub regions: Vec<Region>,
}

/// Rows of a bucket as a leader read them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BucketRead {
    /// The leader's last record, determined before it read. The rows include everything up to it.
    pub as_of: Position,
    /// Whether more keys follow the last one.
    pub more: bool,
    /// The rows and tombstones, sorted by key, in the layout of the wire crate's `rows`.
    pub bytes: Bytes,
}

/// The result of a call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Answer {
    /// The result of [`Call::Read`] and [`Call::Held`].
    Read(Result<RowsRead, ReadError>),
    /// The result of [`Call::Write`], [`Call::Change`] and [`Call::Merge`].
    Receipt(Result<WriteReceipt, WriteError>),
    /// The result of [`Call::PutModule`].
    Module(Result<ModulePut, WriteError>),
    /// The result of [`Call::FetchModule`]; `None` if the leader does not have the component.
    Component(Option<Bytes>),
    /// The result of [`Call::Status`].
    Status(NodeStatus),
    /// The call was rejected and had no effect.
    Rejected(String),
    /// The result of [`Call::Checkpoint`]: the checkpoint's record.
    Checkpoint(Result<Lsn, ReadError>),
    /// The result of [`Call::Bucket`].
    Bucket(Result<BucketRead, ReadError>),
    /// The result of [`Call::Member`].
    Member(Result<rpc::Reply, Rejection>),
    /// The result of [`Call::Quorum`].
    Quorum(Result<QuorumRead, ReadError>),
    /// The result of [`Call::Certify`]: the reply, or why the request is rejected.
    Certified(Result<Bytes, String>),
}

/// A call's result with the call's number.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reply {
    /// The call's number.
    pub id: u64,
    /// The call's result.
    pub answer: Answer,
}
