//! A leader as doors and the feed see it.

use crate::{
    anti_entropy::Task,
    observe,
    queue::PushError,
    read, read_quorum, rollback, rollout,
    shared::{Job, Shared, Submission},
    write_target::{self, WriteTarget},
};
use bytes::Bytes;
use littoral_feed::client::CallClient;
use littoral_feed::source::{AntiEntropy, FeedLog, RegionPeer, SourceRole};
use littoral_leader_core::{
    LogCommand, ingest,
    receipts::{bytes_hash, content_hash},
    rehoming,
};
use littoral_log::{Identity, ReadError as LogReadError};
use littoral_model::{
    catalogue::{Catalogue, CatalogueChange},
    cluster::Affiliation,
    conflict::Conflict,
    digest::{BucketRows, Checkpoints},
    lineage::RegionLineages,
    module::{ModuleDigest, ModuleRelease},
    ports::{
        BoxFuture, FeatureReader, FeatureWriter, FeedReadError, ModuleError, ModulePut, Node, RecordBlock, Rollout,
        SnapshotSource,
    },
    position::{Epoch, Lsn, Position},
    read::{ReadAnswer, ReadError, ReadRequest, RowPage, ViewRead},
    record::ChainHash,
    region::Region,
    status::{NodeStatus, Shortfalls},
    tail::TailPiece,
    token::Watermark,
    view::ViewId,
    write::{WriteConcern, WriteError, WriteReceipt, WriteRequest},
};
use std::{fmt, sync::Arc, time::Duration};
use tokio::sync::{oneshot, watch};

/// Rows in one chunk of a snapshot for a subscriber.
const ROWS_PER_CHUNK: usize = 2_048;

/// About how many bytes of a bucket one answer holds.
const BUCKET_BYTES_MAX: usize = 4 << 20;

/// How long a change of the catalogue may take to return from its home.
const CHANGE_RETURN_MAX: Duration = Duration::from_secs(2);

/// Bytes that a record takes besides its key and body, and a few more.
const RECORD_OVERHEAD: usize = 80;

/// A running leader. Cheap to clone.
#[derive(Clone)]
pub struct Handle {
    shared: Arc<Shared>,
    stopped: watch::Receiver<bool>,
}

impl Handle {
    pub(crate) fn new(shared: Arc<Shared>, stopped: watch::Receiver<bool>) -> Self {
        Self { shared, stopped }
    }

    /// Returns when the leader has stopped, after its token was cancelled: accepted writes are durable and acknowledged, and its threads
    /// have ended. The data directory is free once the last handle is dropped, too.
    pub async fn stopped(&self) {
        // The sender is dropped only after it has sent true, or with its runtime.
        let _ = self.stopped.clone().wait_for(|stopped| *stopped).await;
    }

    /// Writes a snapshot now and trims the log as far as the snapshots allow. Blocks for the disk. Returns whether the snapshot is
    /// durable.
    pub fn snapshot_now(&self) -> bool {
        let written = crate::maintain::take_snapshot(&self.shared, &|| true);
        crate::maintain::trim(&self.shared);
        written
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Returns the leader, when that is another node.
    async fn elsewhere(&self) -> Result<Option<CallClient>, WriteError> {
        Ok(match write_target::find(&*self.shared.replication).await? {
            WriteTarget::Here => None,
            WriteTarget::Leader(leader) => Some(leader),
        })
    }

    pub(crate) async fn submit(&self, job: Job, bytes: usize) -> Result<WriteReceipt, WriteError> {
        if matches!(job, Job::Append(LogCommand::Write { .. } | LogCommand::Change(_) | LogCommand::Merge { .. })) {
            self.shared.affiliation.may_write(&self.shared).map_err(WriteError::NotLeader)?;
        }
        let (reply, answer) = oneshot::channel();
        self.shared.queue.push(Submission { job, reply }, bytes).map_err(|error| {
            metrics::counter!("littoral_leader_writes_refused_total").increment(1);
            match error {
                PushError::Full => WriteError::Overloaded,
                PushError::Closed => WriteError::NotLeader("it is shutting down".to_owned()),
            }
        })?;
        let gone = "the leader stopped before it answered";
        answer.await.unwrap_or_else(|_| Err(WriteError::LeaderUnavailable(gone.to_owned())))
    }

    async fn write_rows(&self, request: WriteRequest) -> Result<WriteReceipt, WriteError> {
        let shared = &*self.shared;
        if let Some(leader) = self.elsewhere().await? {
            return leader.write(request).await;
        }
        let catalogue = shared.published.load().catalogue.clone();
        ingest::check(&shared.limits(), &catalogue, &request, shared.now_ms()).inspect_err(|_| {
            metrics::counter!("littoral_leader_writes_refused_total").increment(1);
        })?;
        if request.rows.is_empty() {
            let head = shared.published.load().position.lsn;
            return Ok(shared.receipt(head, head, false));
        }
        let (concern, wait) = (request.concern, shared.concern_wait(request.concern_wait_ms));
        shared.check_concern(concern)?;
        let content = if request.idempotency_key.is_some() { content_hash(&request) } else { 0 };
        let bytes = request.rows.payload_len() + RECORD_OVERHEAD * request.rows.len();
        let work = LogCommand::Write { request, content, generation: catalogue.generation };
        let receipt = self.submit(Job::Append(work), bytes).await?;
        self.reach(receipt, concern, wait).await
    }

    /// Waits until a write that is durable here is as durable as its concern demands.
    async fn reach(
        &self,
        receipt: WriteReceipt,
        wanted: WriteConcern,
        wait: Duration,
    ) -> Result<WriteReceipt, WriteError> {
        let WriteConcern::Regions(count) = wanted else { return Ok(WriteReceipt { concern: wanted, ..receipt }) };
        // Where members keep the log, other regions receive a record only once a majority here has it.
        let (shared, position) = (&self.shared, receipt.position);
        let includes = |has| shared.published.load().lives.reaches(shared.identity.region, has, position);
        match self.shared.cross_region.replicated.reached(includes, count, wait).await {
            Ok(()) => Ok(WriteReceipt { concern: wanted, ..receipt }),
            Err(have) => {
                let have: Vec<_> = have.iter().map(|region| format!("'{region}'")).collect();
                let reached = match have.is_empty() {
                    true => "in no other region".to_owned(),
                    false => format!("also in {}", have.join(" and ")),
                };
                let (token, waited_ms) = (receipt.token.to_string(), wait.as_millis() as u64);
                Err(WriteError::ConcernNotReached { wanted, reached, waited_ms, token })
            }
        }
    }

    /// Sends a change of the catalogue to its home, when that is another region, and waits until the change is replicated here, so that
    /// later requests at this leader see it. Returns `None` when this region is the home.
    async fn at_home<T>(
        &self,
        change: impl AsyncFnOnce(CallClient) -> Result<(T, WriteReceipt), WriteError>,
    ) -> Option<Result<T, WriteError>> {
        let home = self.shared.config.catalogue_elsewhere()?;
        let calls = match self.shared.cross_region.calls(home) {
            Ok(calls) => calls,
            Err(error) => return Some(Err(error)),
        };
        let (done, receipt) = match change(calls).await {
            Ok(done) => done,
            Err(error) => return Some(Err(error)),
        };
        let mut head = self.shared.head.subscribe();
        let come = head.wait_for(|_| self.shared.published.load().covers(&receipt.token));
        // The change was made, whether or not it is here yet.
        let _ = tokio::time::timeout(CHANGE_RETURN_MAX, come).await;
        Some(Ok(done))
    }

    async fn put_component(&self, name: String, version: String, component: Bytes) -> Result<ModulePut, WriteError> {
        let shared = &*self.shared;
        if component.len() > shared.config.module_bytes_max {
            return Err(WriteError::Invalid(format!(
                "the component has {} bytes, the largest is {}",
                component.len(),
                shared.config.module_bytes_max
            )));
        }
        if let Some(leader) = self.elsewhere().await? {
            return leader.put_module(name, version, component).await;
        }
        let passed = (name.clone(), version.clone(), component.clone());
        let passed = async move |calls: CallClient| {
            let (name, version, component) = passed;
            calls.put_module(name, version, component).await.map(|put| (put.clone(), put.receipt))
        };
        if let Some(put) = self.at_home(passed).await {
            return put;
        }
        let refuse = |error: ModuleError| WriteError::Invalid(error.to_string());
        let manifest = shared.runtime.inspect(component.clone()).await.map_err(refuse)?;
        let digest = ModuleDigest::of(&component);
        let release = ModuleRelease { name, version, digest, size: component.len() as u64, manifest: manifest.clone() };
        let change = CatalogueChange::PutModule(release);
        // Before anything is stored: a rejected release leaves nothing behind.
        shared.published.load().catalogue.prepare(change.clone())?;
        let held = shared.modules.hold(digest);
        shared.runtime.prepare(digest, component.clone()).await.map_err(refuse)?;
        let modules = shared.modules.clone();
        let stored = tokio::task::spawn_blocking(move || modules.store(digest, &component)).await;
        match stored {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return Err(WriteError::NotDurable(error.to_string())),
            Err(error) => return Err(WriteError::NotDurable(error.to_string())),
        }
        let receipt = self.submit(Job::Append(LogCommand::Change(change)), 4_096).await?;
        drop(held);
        Ok(ModulePut { digest, manifest, receipt })
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").field("name", &self.shared.config.name).finish_non_exhaustive()
    }
}

impl FeatureReader for Handle {
    fn catalogue(&self) -> Arc<Catalogue> {
        self.shared.published.load().catalogue.clone()
    }

    fn regions(&self) -> Vec<Region> {
        self.shared.published.load().origins.regions(self.shared.identity.region)
    }

    fn read_local(&self, request: &ReadRequest, answer: &mut ReadAnswer) -> bool {
        read::now(&self.shared, request, answer)
    }

    fn read<'a>(&'a self, request: &'a ReadRequest) -> BoxFuture<'a, Result<ReadAnswer, ReadError>> {
        Box::pin(read::with_waiting(&self.shared, request))
    }
}

impl FeatureWriter for Handle {
    fn write(&self, request: WriteRequest) -> BoxFuture<'_, Result<WriteReceipt, WriteError>> {
        Box::pin(self.write_rows(request))
    }

    fn change(&self, change: CatalogueChange) -> BoxFuture<'_, Result<WriteReceipt, WriteError>> {
        Box::pin(async move {
            if let Some(leader) = self.elsewhere().await? {
                return leader.change(change).await;
            }
            let passed = change.clone();
            let passed =
                async move |calls: CallClient| calls.change(passed).await.map(|receipt| (receipt.clone(), receipt));
            if let Some(changed) = self.at_home(passed).await {
                return changed;
            }
            if let CatalogueChange::PutModule(module) = &change {
                let (modules, digest) = (self.shared.modules.clone(), module.digest);
                let held = modules.hold(digest);
                let there = tokio::task::spawn_blocking(move || modules.load(digest)).await;
                if !matches!(there, Ok(Ok(_))) {
                    return Err(WriteError::Invalid(format!(
                        "the component of module '{}' is not stored here; upload it as a module",
                        module.name
                    )));
                }
                let receipt = self.submit(Job::Append(LogCommand::Change(change)), 4_096).await;
                drop(held);
                return receipt;
            }
            self.submit(Job::Append(LogCommand::Change(change)), 4_096).await
        })
    }

    fn put_module(
        &self,
        name: String,
        version: String,
        component: Bytes,
    ) -> BoxFuture<'_, Result<ModulePut, WriteError>> {
        Box::pin(self.put_component(name, version, component))
    }
}

impl Node for Handle {
    fn status(&self) -> NodeStatus {
        observe::status(&self.shared)
    }

    fn shortfalls(&self) -> Shortfalls {
        observe::shortfalls(&self.shared)
    }

    fn conflicts(&self) -> Option<Vec<Conflict>> {
        Some(self.shared.ledger.lock().iter().cloned().collect())
    }

    fn rollout<'a>(&'a self, put: &'a ModulePut, wait_max: Duration) -> BoxFuture<'a, Rollout> {
        Box::pin(rollout::wait(&self.shared, put, wait_max))
    }

    fn page(&self, view: ViewId, after: Option<&[u8]>, limit: usize) -> Option<RowPage> {
        Some(self.shared.table.page(view, after, limit))
    }
}

impl FeedLog for Handle {
    fn region(&self) -> Region {
        self.shared.identity.region
    }

    fn epoch(&self) -> Epoch {
        self.shared.epoch()
    }

    fn source_role(&self) -> SourceRole {
        if self.shared.leads() { SourceRole::Leader } else { SourceRole::Follower }
    }

    fn head(&self) -> watch::Receiver<Position> {
        self.shared.head.subscribe()
    }

    fn acknowledged(&self) -> Position {
        self.shared.acknowledged()
    }

    /// Changes when the cluster that the log belongs to changes: subscribers connect again and receive it.
    fn generation(&self) -> u64 {
        self.belongs().map_or(0, |belongs| match (belongs.healed, belongs.succeeds) {
            (false, _) => 1,
            (true, None) => 2,
            (true, Some(_)) => 3,
        })
    }

    fn chain_at(&self, lsn: Lsn) -> Option<ChainHash> {
        self.shared.log.chain_at(lsn).unwrap_or_else(|error| {
            tracing::error!(%error, lsn = lsn.0, "the log cannot be read for a subscriber that resumes");
            None
        })
    }

    fn records(&self, from: Lsn, bytes_max: usize) -> BoxFuture<'_, Result<RecordBlock, FeedReadError>> {
        Box::pin(async move {
            // Records that are durable but not applied yet are withheld: a subscriber must not be ahead of its leader.
            let head = self.shared.published.load().position.lsn;
            if from > head {
                return Ok(RecordBlock::default());
            }
            let read = match self.shared.log.read_cached(from, bytes_max) {
                Some(block) => Ok(block),
                None => {
                    let log = self.shared.log.clone();
                    let read = tokio::task::spawn_blocking(move || log.read(from, bytes_max)).await;
                    read.map_err(|error| FeedReadError::Io(error.to_string()))?
                }
            };
            read.map(|block| littoral_log::through(block, head)).map_err(|error| match error {
                LogReadError::Trimmed { from, oldest } => FeedReadError::Trimmed { from, oldest },
                other => FeedReadError::Io(other.to_string()),
            })
        })
    }

    fn snapshot(&self) -> Result<SnapshotSource, FeedReadError> {
        // First the position, then the rows: rows may be newer than it, never older.
        let published = self.shared.published.load_full();
        Ok(SnapshotSource {
            as_of: published.position,
            chain: published.chain,
            watermark: published.portable_watermark.clone(),
            lives: RegionLineages::clone(&published.lives),
            mixed: published.origins.is_mixed(),
            catalogue: published.catalogue.clone(),
            rows_estimate: self.shared.table.len() as u64,
            chunks: Box::new(self.shared.table.chunks(ROWS_PER_CHUNK)),
        })
    }

    fn component(&self, digest: ModuleDigest) -> BoxFuture<'_, Option<Bytes>> {
        Box::pin(async move {
            let modules = self.shared.modules.clone();
            tokio::task::spawn_blocking(move || modules.load(digest)).await.ok()?.ok()
        })
    }

    fn serves_through(&self, subscriber: u64, through: Option<Lsn>) {
        self.shared.edges.serves_through(subscriber, through);
    }
}

impl AntiEntropy for Handle {
    fn checkpoints(&self) -> watch::Receiver<Checkpoints> {
        self.shared.anti_entropy.checkpoints()
    }

    fn checkpoint(&self) -> BoxFuture<'_, Result<Lsn, ReadError>> {
        Box::pin(async move {
            let taken = self.submit(Job::Task(Task::Checkpoint), 0).await;
            taken.map(|receipt| receipt.position.lsn).map_err(|error| ReadError::LeaderUnavailable(error.to_string()))
        })
    }

    fn bucket(&self, view: ViewId, bucket: u8, after: Option<Bytes>) -> BoxFuture<'_, Result<BucketRows, ReadError>> {
        Box::pin(async move {
            let shared = self.shared.clone();
            // This reads the whole table, which would block a worker.
            let read = tokio::task::spawn_blocking(move || {
                if shared.anti_entropy.suspects(view) {
                    let reason = format!("rows of view {view} have changed in the leader's memory; restart the leader");
                    return Err(ReadError::LeaderUnavailable(reason));
                }
                // First the position, then the rows: rows may be newer than it, never older.
                let as_of = shared.published.load().position;
                let (rows, more) = shared.table.bucket(view, bucket, after.as_deref(), BUCKET_BYTES_MAX);
                Ok(BucketRows { as_of, rows, more })
            });
            read.await.unwrap_or_else(|error| Err(ReadError::LeaderUnavailable(error.to_string())))
        })
    }
}

impl RegionPeer for Handle {
    fn watermark(&self) -> Watermark {
        self.shared.watermark()
    }

    fn lives(&self) -> RegionLineages {
        RegionLineages::clone(&self.shared.published.load().lives)
    }

    fn configured(&self) -> Vec<Region> {
        self.shared.config.all_regions().collect()
    }

    fn belongs(&self) -> Option<Affiliation> {
        self.shared.affiliation.now(&self.shared)
    }

    fn resume_point(&self, theirs: &Watermark, lives: &RegionLineages) -> Option<Lsn> {
        let published = self.shared.published.load();
        let own = (self.shared.identity.region, published.position);
        let ours = (&*published.origins, &*published.lives);
        rehoming::resume_point(own, (theirs, lives), ours, &self.shared.rehoming.lock())
    }

    fn held(&self, reads: &[ViewRead]) -> Result<ReadAnswer, ReadError> {
        self.shared.affiliation.has_all(&self.shared).map_err(ReadError::NotAllHere)?;
        if !self.shared.leads() {
            return Err(ReadError::LeaderUnavailable("this member of the region does not lead".to_owned()));
        }
        Ok(read_quorum::held(&self.shared, reads))
    }

    fn shown_ahead(&self) {
        rollback::begin_new_life(&self.shared);
    }

    fn lost_to(&self, region: Region) -> BoxFuture<'_, Result<(), WriteError>> {
        Box::pin(rollback::ask_for_all(&self.shared, region))
    }

    fn taken_by(&self, region: Region, position: Position) {
        self.shared.cross_region.replicated.note(region, position);
    }

    fn merge(&self, piece: TailPiece) -> BoxFuture<'_, Result<WriteReceipt, WriteError>> {
        Box::pin(async move {
            if let Some(leader) = self.elsewhere().await? {
                return leader.merge(piece).await;
            }
            let Identity { region, incarnation } = self.shared.identity;
            piece.check(region, incarnation, &self.shared.published.load().catalogue)?;
            let TailPiece { name, records, .. } = piece;
            let (content, bytes) = (bytes_hash(&records), records.len());
            self.submit(Job::Append(LogCommand::Merge { records, piece: name, content }), bytes).await
        })
    }
}
