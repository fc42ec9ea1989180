//! The traits between HTTP handlers, modules and nodes. Leaders and edges are both readers and
//! writers, the sandbox is the module runtime, and only the application connects them.

use crate::{
    adoption::{AdoptError, OfferedLog},
    catalogue::{Catalogue, CatalogueChange},
    column::Column,
    conflict::Conflict,
    digest::Verification,
    freshness::ReadDemand,
    lineage::RegionLineages,
    module::{ModuleDigest, ModuleManifest},
    module_outputs::ModuleOutputs,
    position::{Incarnation, Lsn, Position},
    project::Receiver,
    read::{ReadAnswer, ReadError, ReadRequest, RowPage},
    record::ChainHash,
    region::Region,
    row::Row,
    status::{NodeStatus, Shortfalls},
    tail::{TailMerged, TailRecord, TailStatus},
    token::Watermark,
    view::ViewId,
    write::{WriteError, WriteReceipt, WriteRequest},
};
use bytes::Bytes;
use std::{sync::Arc, time::Duration};

pub use futures_core::future::BoxFuture;

/// Reads rows, from an edge's replica or from a leader's state.
pub trait FeatureReader: Send + Sync + 'static {
    /// Returns the catalogue at the replica's position. Cheap.
    fn catalogue(&self) -> Arc<Catalogue>;

    /// Returns whether `known` is still the current catalogue. View IDs are valid within one
    /// catalogue, and a replica of another log has different ones. So rows read by ID count only
    /// if the catalogue is the same after the read.
    fn is_catalogue(&self, known: &Arc<Catalogue>) -> bool {
        Arc::ptr_eq(&self.catalogue(), known)
    }

    /// Returns whether the catalogue at the replica's position names another release of this
    /// module than [`FeatureReader::catalogue`] does, because that release cannot be called here
    /// yet.
    fn is_held_back(&self, module: &str) -> bool {
        let _ = module;
        false
    }

    /// Returns the regions whose writes may be among the rows; a read requests the parts of these
    /// regions ([`crate::parts`]).
    fn regions(&self) -> Vec<Region>;

    /// Answers a local read: one that needs no wait, no fill and no other node. Sets `answer` and returns true. Returns
    /// false if the caller must use [`FeatureReader::read`]; `answer` is then undefined. Never blocks.
    fn read_local(&self, request: &ReadRequest, answer: &mut ReadAnswer) -> bool;

    /// Answers a read, with the waits, fills and calls of the leader that it needs.
    fn read<'a>(&'a self, request: &'a ReadRequest) -> BoxFuture<'a, Result<ReadAnswer, ReadError>>;
}

/// Accepts writes: a leader commits them, an edge forwards them to its leader.
pub trait FeatureWriter: Send + Sync + 'static {
    /// Writes rows. When it returns, they are durable as the request's concern requires.
    fn write(&self, request: WriteRequest) -> BoxFuture<'_, Result<WriteReceipt, WriteError>>;

    /// Changes the catalogue. A read that demands the receipt's token sees the change.
    fn change(&self, change: CatalogueChange) -> BoxFuture<'_, Result<WriteReceipt, WriteError>>;

    /// Stores a module's component durably, checks it, and makes it the current release of `name`.
    fn put_module(
        &self,
        name: String,
        version: String,
        component: Bytes,
    ) -> BoxFuture<'_, Result<ModulePut, WriteError>>;
}

/// The result of a module upload.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ModulePut {
    /// The component's content address.
    pub digest: ModuleDigest,
    /// What the component declares.
    pub manifest: ModuleManifest,
    /// The position of the release in the log.
    pub receipt: WriteReceipt,
}

/// How many direct subscribers of a node can call a module release.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rollout {
    /// The number of connected subscribers that can call it.
    pub ready: usize,
    /// The number of connected subscribers.
    pub of: usize,
}

impl Rollout {
    /// Returns whether all connected subscribers can call it.
    #[must_use]
    pub const fn is_whole(self) -> bool {
        self.ready == self.of
    }
}

/// Runs modules; implemented by the sandbox.
pub trait ModuleRuntime: Send + Sync + 'static {
    /// Checks an untrusted component and returns what it declares. A hostile component costs
    /// bounded time and memory.
    fn inspect(&self, component: Bytes) -> BoxFuture<'_, Result<ModuleManifest, ModuleError>>;

    /// Prepares a release for calls: compiles it, or finds it in the cache of compiled modules.
    fn prepare(&self, digest: ModuleDigest, component: Bytes) -> BoxFuture<'_, Result<(), ModuleError>>;

    /// Returns whether [`ModuleRuntime::prepare`] has completed for this release.
    fn is_ready(&self, digest: ModuleDigest) -> bool;

    /// Calls the module's `transform` for these rows. If the module is row-wise, one call may also
    /// include the rows of other requests. Takes the rows out of the call's columns, whose memory
    /// can be reused for the next call.
    fn transform<'a>(&'a self, call: &'a mut ModuleCall) -> BoxFuture<'a, Result<ModuleOutputs, ModuleError>>;

    /// Drops a release to which no name refers any more.
    fn retire(&self, digest: ModuleDigest);
}

/// One call of a module.
pub struct ModuleCall {
    /// The release.
    pub digest: ModuleDigest,
    /// The stored name of the module, for errors, logs and metrics.
    pub name: Arc<str>,
    /// The number of rows in the batch.
    pub rows: usize,
    /// For each declared input, its column of `rows` values.
    pub inputs: Vec<Column>,
    /// For each declared parameter, its column of `rows` values.
    pub params: Vec<Column>,
    /// The source of rows for `lookup`.
    pub reader: Arc<dyn FeatureReader>,
    /// The freshness that looked-up rows must have, as the request demanded.
    pub demand: ReadDemand,
    /// What the module declares; its outputs are checked against this.
    pub manifest: Arc<ModuleManifest>,
    /// The time at which the expiry of looked-up rows is evaluated: that of the request.
    pub now: crate::event_time::EventTime,
}

/// Why a module was rejected, or why a call failed. A failed call affects nothing else.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ModuleError {
    /// The bytes are not a component that the sandbox accepts: not wasm, another world, a
    /// forbidden import, too large.
    #[error("module rejected: {0}")]
    Rejected(String),
    /// The guest trapped: panic, unreachable, stack overflow, out-of-bounds access.
    #[error("module '{module}' trapped: {reason}")]
    Trap {
        /// The module.
        module: String,
        /// The trap's description.
        reason: String,
    },
    /// The guest exceeded its deadline.
    #[error("module '{module}' ran longer than its deadline of {deadline_ms} ms")]
    Timeout {
        /// The module.
        module: String,
        /// Its deadline.
        deadline_ms: u64,
    },
    /// The guest requested more memory than its limit.
    #[error("module '{module}' exceeded its memory limit of {limit_bytes} bytes")]
    OutOfMemory {
        /// The module.
        module: String,
        /// Its limit.
        limit_bytes: u64,
    },
    /// The guest's outputs do not match its declaration, or exceed a limit.
    #[error("module '{module}' returned a result of the wrong shape: {reason}")]
    WrongShape {
        /// The module.
        module: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The guest itself reported an error.
    #[error("module '{module}' reported: {message}")]
    Failed {
        /// The module.
        module: String,
        /// The guest's message, truncated and sanitized.
        message: String,
    },
    /// Too many calls of this module are running.
    #[error("module '{module}' already has {limit} calls running; retry shortly")]
    Busy {
        /// The module.
        module: String,
        /// The module's quota.
        limit: usize,
    },
    /// The release is not ready on this node yet.
    #[error("module '{module}' is not ready on this host yet; retry shortly")]
    NotReady {
        /// The module.
        module: String,
    },
    /// Rows that the module needs are not held on this node and could not be fetched from the
    /// leader.
    #[error("module '{module}' needs rows that are unavailable here: {reason}; retry later, or use another edge")]
    Unavailable {
        /// The module.
        module: String,
        /// Which rows, or the module's own message, truncated and sanitized.
        reason: String,
    },
    /// A lookup within the call failed.
    #[error("module '{module}': lookup failed: {source}")]
    Lookup {
        /// The module.
        module: String,
        /// Why.
        source: ReadError,
    },
}

/// A node that doors serve: a leader or an edge.
pub trait Node: FeatureReader + FeatureWriter {
    /// Returns the node's state. Cheap enough for a health check.
    fn status(&self) -> NodeStatus;

    /// Returns in which respects a serving node falls short. As cheap as [`Node::status`].
    fn shortfalls(&self) -> Shortfalls {
        Shortfalls::default()
    }

    /// Returns where this node holds its rows, for the residency rules of projects ([`crate::project`]): its own
    /// region, and the one of its log.
    fn held_in(&self) -> Receiver {
        Receiver::Unknown
    }

    /// Returns the next rows of a view, sorted by key, after the key `after`. For comparing and
    /// browsing only, because each page scans the whole replica. Returns `None` if this node does
    /// not hold the whole view.
    fn page(&self, view: ViewId, after: Option<&[u8]>, limit: usize) -> Option<RowPage> {
        let _ = (view, after, limit);
        None
    }

    /// Waits until a new release can be called at every edge that follows this node, or on this
    /// node itself if it is an edge, for at most `wait_max`. By default nothing follows the node.
    fn rollout<'a>(&'a self, put: &'a ModulePut, wait_max: Duration) -> BoxFuture<'a, Rollout> {
        let _ = (put, wait_max);
        Box::pin(std::future::ready(Rollout::default()))
    }

    /// Returns the store of detached tails. `None` at a node that has none: a leader without other
    /// members, and an edge without a data directory.
    fn tails(&self) -> Option<Arc<dyn Tails>> {
        None
    }

    /// Returns the writes that lost against another region's, oldest first, as far as the ledger
    /// reaches. `None` at a node without a ledger.
    fn conflicts(&self) -> Option<Vec<Conflict>> {
        None
    }

    /// Compares the rows held here with the leader's, and reports and repairs differences. Takes
    /// as long as a scan of all rows. Returns `None` at a node that has no leader to compare with.
    ///
    /// # Errors
    /// Why the comparison is impossible now, and what to do.
    fn verify(&self) -> Option<BoxFuture<'_, Result<Verification, ReadError>>> {
        None
    }

    /// Makes an edge adopt the log that it rejected most recently, in place of the one it holds.
    /// `log`, if present, must name that log. Returns `None` at a node that is not an edge.
    fn adopt(&self, log: Option<Incarnation>) -> Option<Result<OfferedLog, AdoptError>> {
        let _ = log;
        None
    }
}

/// The detached tails kept on this node: records that only this member had and had to remove from
/// its log, or rows of records that an edge's leader has lost. An operator merges or drops them.
pub trait Tails: Send + Sync + 'static {
    /// Lists all tails, oldest first.
    ///
    /// # Errors
    /// A disk error.
    fn list(&self) -> Result<Vec<TailStatus>, WriteError>;

    /// Returns at most `limit` rows and deletions of one tail, in order, starting with its record
    /// `from`.
    ///
    /// # Errors
    /// [`WriteError::Invalid`] if no tail has this name; a disk error.
    fn show(&self, name: &str, from: Lsn, limit: usize) -> Result<Vec<TailRecord>, WriteError>;

    /// Merges a tail's rows and deletions into the region's log under their old versions, so later
    /// writes outrank them as if they had arrived late. Merging again changes nothing. The tail is
    /// dropped once all of it is durable in the log.
    fn merge(&self, name: String) -> BoxFuture<'_, Result<TailMerged, WriteError>>;

    /// Drops a tail.
    ///
    /// # Errors
    /// As for [`Tails::show`].
    fn drop_tail(&self, name: &str) -> Result<(), WriteError>;
}

/// Dense records of the log, encoded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecordBlock {
    /// The first record's LSN.
    pub first: Lsn,
    /// The last record's LSN.
    pub last: Lsn,
    /// Each record's postcard bytes ([`crate::record::Record`]) after their `u32` little-endian
    /// length.
    pub bytes: Bytes,
}

/// Why the log cannot be read from a position.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FeedReadError {
    /// The record was trimmed.
    #[error("record {from} was trimmed; the oldest is {oldest}")]
    Trimmed {
        /// The requested record.
        from: Lsn,
        /// The oldest record in the log.
        oldest: Lsn,
    },
    /// The disk cannot read it intact.
    #[error("the log cannot be read: {0}")]
    Io(String),
    /// A relay does not hold everything that a snapshot needs.
    #[error("this relay cannot serve a snapshot: {0}; subscribe to the leader or to another relay")]
    NotHeld(String),
}

/// A snapshot that is produced while it is read.
pub struct SnapshotSource {
    /// The snapshot includes everything up to this position.
    pub as_of: Position,
    /// The hash of the record at `as_of`.
    pub chain: ChainHash,
    /// Like `as_of`, for every region.
    pub watermark: Watermark,
    /// The lineages of the regions' logs.
    pub lineages: RegionLineages,
    /// Whether there are rows that the watermark does not cover, because they arrived through a
    /// third region. A replica with such rows cannot continue in another region's log without a
    /// snapshot.
    pub mixed: bool,
    /// The catalogue at `as_of`.
    pub catalogue: Arc<Catalogue>,
    /// The approximate number of rows.
    pub rows_estimate: u64,
    /// The rows, including tombstones, in chunks of bounded size. Produced lazily, so that a slow
    /// subscriber costs no memory.
    pub chunks: Box<dyn Iterator<Item = Vec<Row>> + Send>,
}
