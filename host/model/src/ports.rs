//! The seams: what doors and modules need, without knowing who gives it. Leaders and edges are both readers and
//! writers; the sandbox is the module runtime; only the application joins them.

use crate::{
    adoption::{AdoptError, OfferedLog},
    catalogue::{Catalogue, CatalogueChange},
    column::Column,
    conflict::Conflict,
    digest::Verification,
    freshness::ReadDemand,
    lives::RegionLives,
    module::{ModuleDigest, ModuleManifest},
    module_outputs::ModuleOutputs,
    position::{Incarnation, Lsn, Position},
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
use std::{future::Future, pin::Pin, sync::Arc, time::Duration};

/// A boxed future, for traits that are used as objects.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Reads rows: a replica at an edge, the state at a leader.
pub trait FeatureReader: Send + Sync + 'static {
    /// The catalogue as of the replica's position. Cheap.
    fn catalogue(&self) -> Arc<Catalogue>;

    /// Whether this is still the catalogue. Numbers of views mean what they mean in one catalogue: a replica of another log
    /// has others, so what was read by them counts only if the catalogue is still the same after the read.
    fn is_catalogue(&self, known: &Arc<Catalogue>) -> bool {
        Arc::ptr_eq(&self.catalogue(), known)
    }

    /// Whether the catalogue of the replica's position names another release of this module than [`FeatureReader::catalogue`] does,
    /// as that one cannot be called here yet.
    fn is_held_back(&self, module: &str) -> bool {
        let _ = module;
        false
    }

    /// The regions whose writes may be among the rows: those whose parts of a row are read ([`crate::parts`]).
    fn regions(&self) -> Vec<Region>;

    /// Answers at once, when that needs no wait, no leader and no other host: fills `answer` and says true. Says false
    /// when [`FeatureReader::read`] must be used; `answer` then holds nothing of worth. Never blocks.
    fn read_now(&self, request: &ReadRequest, answer: &mut ReadAnswer) -> bool;

    /// Answers, waiting or asking the leader as the demand says.
    fn read<'a>(&'a self, request: &'a ReadRequest) -> BoxFuture<'a, Result<ReadAnswer, ReadError>>;
}

/// Takes writes: a leader commits them, an edge forwards them to its leader.
pub trait FeatureWriter: Send + Sync + 'static {
    /// Writes rows: durable within the request's concern when it returns.
    fn write(&self, request: WriteRequest) -> BoxFuture<'_, Result<WriteReceipt, WriteError>>;

    /// Changes the catalogue. The receipt's token makes the change visible to reads that demand it.
    fn change(&self, change: CatalogueChange) -> BoxFuture<'_, Result<WriteReceipt, WriteError>>;

    /// Stores a module's component durably, checks it, and makes it the release that `name` means.
    fn put_module(
        &self,
        name: String,
        version: String,
        component: Bytes,
    ) -> BoxFuture<'_, Result<ModulePut, WriteError>>;
}

/// What became of an uploaded module.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ModulePut {
    /// The component's content address.
    pub digest: ModuleDigest,
    /// What it declares.
    pub manifest: ModuleManifest,
    /// Where the release stands in the log.
    pub receipt: WriteReceipt,
}

/// How many of the nodes that follow one directly can call a release of a module.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spread {
    /// Those that can.
    pub ready: usize,
    /// All that are connected.
    pub of: usize,
}

impl Spread {
    /// Whether all can.
    #[must_use]
    pub const fn is_whole(self) -> bool {
        self.ready == self.of
    }
}

/// Runs modules: the sandbox.
pub trait ModuleRuntime: Send + Sync + 'static {
    /// Checks an untrusted component and reads what it declares. Contained: a hostile one costs bounded time and memory.
    fn inspect(&self, component: Bytes) -> BoxFuture<'_, Result<ModuleManifest, ModuleError>>;

    /// Makes a release ready to be called: compiles it or finds it compiled before.
    fn prepare(&self, digest: ModuleDigest, component: Bytes) -> BoxFuture<'_, Result<(), ModuleError>>;

    /// Whether [`ModuleRuntime::prepare`] has been done for this release.
    fn is_ready(&self, digest: ModuleDigest) -> bool;

    /// Calls the module's `transform`: once for these rows, or, for a module whose rows stand for themselves, once for these and
    /// those of other requests. Takes the rows out of the call's columns; their memory may be used for the next call.
    fn transform<'a>(&'a self, call: &'a mut ModuleCall) -> BoxFuture<'a, Result<ModuleOutputs, ModuleError>>;

    /// Forgets a release that no name means any more.
    fn retire(&self, digest: ModuleDigest);
}

/// One call of a module.
pub struct ModuleCall {
    /// Which release.
    pub digest: ModuleDigest,
    /// The name it was called by, for errors and logs.
    pub name: Arc<str>,
    /// How many rows the batch has.
    pub rows: usize,
    /// Per declared input, its column of `rows` values.
    pub inputs: Vec<Column>,
    /// Per declared parameter, its column of `rows` values.
    pub params: Vec<Column>,
    /// Where `lookup` reads.
    pub reader: Arc<dyn FeatureReader>,
    /// How fresh looked-up rows must be: as the request demanded.
    pub demand: ReadDemand,
    /// What the module declares; outputs are checked against it.
    pub manifest: Arc<ModuleManifest>,
    /// The time that expiry of looked-up rows is judged by: the request's.
    pub now: crate::event_time::EventTime,
}

/// Why a module could not be taken or called. A call's fault ends with that call.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ModuleError {
    /// The bytes are not a component that the sandbox takes: not wasm, another world, a forbidden import, too large.
    #[error("module refused: {0}")]
    Refused(String),
    /// The guest trapped: panic, unreachable, stack overflow, out-of-bounds access.
    #[error("module '{module}' trapped: {reason}")]
    Trap {
        /// The module.
        module: String,
        /// What the trap was.
        reason: String,
    },
    /// The guest ran past its deadline.
    #[error("module '{module}' ran longer than its {deadline_ms} ms")]
    Timeout {
        /// The module.
        module: String,
        /// Its deadline.
        deadline_ms: u64,
    },
    /// The guest wanted more memory than it may have.
    #[error("module '{module}' wanted more than its {limit_bytes} bytes of memory")]
    OutOfMemory {
        /// The module.
        module: String,
        /// Its limit.
        limit_bytes: u64,
    },
    /// The guest returned something else than it declares, or more than it may.
    #[error("module '{module}' returned a result of the wrong shape: {reason}")]
    WrongShape {
        /// The module.
        module: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The guest itself reported that it cannot compute.
    #[error("module '{module}' reported: {message}")]
    Failed {
        /// The module.
        module: String,
        /// Its words, bounded and cleaned.
        message: String,
    },
    /// Too many calls of this module are running.
    #[error("module '{module}' already has {limit} calls running; retry in a moment")]
    Busy {
        /// The module.
        module: String,
        /// Its quota.
        limit: usize,
    },
    /// The release is not on this host yet.
    #[error("module '{module}' is not ready on this host yet; retry in a moment")]
    NotReady {
        /// The module.
        module: String,
    },
    /// Rows that the module needs are not held on this host, and the leader could not be asked for them.
    #[error("module '{module}' needs rows that are unavailable here: {reason}; retry later, or at another edge")]
    Unavailable {
        /// The module.
        module: String,
        /// Which rows, or the module's own words, bounded and cleaned.
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

/// What the doors serve: a leader or an edge.
pub trait Node: FeatureReader + FeatureWriter {
    /// The node's state. Cheap enough for a health check.
    fn status(&self) -> NodeStatus;

    /// What the node falls short of though it serves. As cheap as its state.
    fn shortfalls(&self) -> Shortfalls {
        Shortfalls::default()
    }

    /// The next rows of a view, by key, after the key `after`: for comparing and browsing, as each page goes through the
    /// whole replica. `None` when the view is not held whole here.
    fn page(&self, view: ViewId, after: Option<&[u8]>, limit: usize) -> Option<RowPage> {
        let _ = (view, after, limit);
        None
    }

    /// Waits until a release that was put can be called at every edge that follows this node, or here when this is an edge, but at
    /// most so long. Nobody follows the default.
    fn module_spread<'a>(&'a self, put: &'a ModulePut, wait_max: Duration) -> BoxFuture<'a, Spread> {
        let _ = (put, wait_max);
        Box::pin(std::future::ready(Spread::default()))
    }

    /// Detached tails that are kept here. `None` at a node that keeps none: a leader that keeps its log alone, and an edge without a
    /// data directory.
    fn tails(&self) -> Option<Arc<dyn Tails>> {
        None
    }

    /// Writes that lost against another region's, oldest first, as far as they are remembered. `None` at a node that keeps
    /// no ledger of them.
    fn conflicts(&self) -> Option<Vec<Conflict>> {
        None
    }

    /// Proves what is held here equal to the leader's rows, or says what differs and mends it. Takes as long as going
    /// through every row. `None` at a node that has nobody to be compared with.
    ///
    /// # Errors
    /// Why it cannot be proven now, and what to do.
    fn verify(&self) -> Option<BoxFuture<'_, Result<Verification, ReadError>>> {
        None
    }

    /// Has an edge take the log that it was offered last and refused, in the place of the one that it holds; `log` must name that
    /// one, where it is given. `None` at a node that is no edge.
    fn adopt(&self, log: Option<Incarnation>) -> Option<Result<OfferedLog, AdoptError>> {
        let _ = log;
        None
    }
}

/// Records that a member of a region's log had alone and had to give up, or rows that an edge held of records that its leader's log
/// has lost. They are kept aside until somebody merges or drops them.
pub trait Tails: Send + Sync + 'static {
    /// All that are kept here, oldest first.
    ///
    /// # Errors
    /// Of the disk.
    fn list(&self) -> Result<Vec<TailStatus>, WriteError>;

    /// The rows and deletions of one, in order, from its record `from` on: at most `limit`.
    ///
    /// # Errors
    /// [`WriteError::Invalid`] for a name that none has; of the disk.
    fn show(&self, name: &str, from: Lsn, limit: usize) -> Result<Vec<TailRecord>, WriteError>;

    /// Has its rows and deletions taken into the region's log, under their old versions: they lose to what was written since as
    /// if they had come late. A second time changes nothing. The tail is dropped once all of it is durable there.
    fn merge(&self, name: String) -> BoxFuture<'_, Result<TailMerged, WriteError>>;

    /// Forgets it.
    ///
    /// # Errors
    /// As [`Tails::show`].
    fn drop_tail(&self, name: &str) -> Result<(), WriteError>;
}

/// Where a source of the feed stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It appends the log.
    Leader,
    /// It follows the leader, or another relay, and passes on what it has applied.
    Relay {
        /// How far it is behind the leader at most; `None` when it cannot tell.
        behind: Option<Duration>,
        /// Whether its own source is silent, or has said this of its own.
        leader_lost: bool,
    },
    /// It is a member of the region's log that does not lead: its rows are for those who read here, and its feed for nobody.
    Follower,
}

/// Dense records of the log, encoded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecordBlock {
    /// The first record's number.
    pub first: Lsn,
    /// The last record's number.
    pub last: Lsn,
    /// Each record's postcard bytes ([`crate::record::Record`]) behind a `u32` little-endian length.
    pub bytes: Bytes,
}

/// Why the log cannot be read from a position.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FeedReadError {
    /// It was trimmed.
    #[error("record {from} was trimmed, the oldest is {oldest}")]
    Trimmed {
        /// What was asked for.
        from: Lsn,
        /// What there is.
        oldest: Lsn,
    },
    /// The disk does not give it back whole.
    #[error("the log cannot be read: {0}")]
    Io(String),
    /// A relay does not hold what a snapshot needs.
    #[error("no snapshot can be given here: {0}; subscribe at the leader, or at another relay")]
    NotHeld(String),
}

/// A snapshot in the making.
pub struct SnapshotSource {
    /// Everything up to here is in it.
    pub as_of: Position,
    /// The hash of the record at `as_of`.
    pub chain: ChainHash,
    /// The same for every region.
    pub watermark: Watermark,
    /// The histories of the regions' logs.
    pub lives: RegionLives,
    /// Whether there are rows that the watermark does not name, as they came round a third region: whoever holds them cannot go on
    /// in another region's log without a snapshot of it.
    pub mixed: bool,
    /// The catalogue as of `as_of`.
    pub catalogue: Arc<Catalogue>,
    /// About how many rows there are.
    pub rows_estimate: u64,
    /// The rows, tombstones among them, in chunks of bounded size. Taken lazily, so that a slow subscriber costs no
    /// memory.
    pub chunks: Box<dyn Iterator<Item = Vec<Row>> + Send>,
}
