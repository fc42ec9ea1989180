//! The interface of a leader for doors and the feed.

mod feed;

use crate::{
    observe, read, rollout,
    shared::Shared,
    write_path::{Job, WriteResult, result},
    write_target::{self, WriteTarget},
};
use bytes::Bytes;
use littoral_feed::client::CallClient;
use littoral_leader_core::{AllowedRegions, LogCommand, ingest, receipts::content_hash};
use littoral_model::{
    catalogue::{Catalogue, CatalogueChange},
    conflict::Conflict,
    module::{ModuleDigest, ModuleRelease},
    ports::{BoxFuture, FeatureReader, FeatureWriter, ModuleError, ModulePut, Node, Rollout},
    project::Receiver,
    read::{ReadAnswer, ReadError, ReadRequest, RowPage},
    region::Region,
    status::{NodeStatus, Shortfalls},
    view::ViewId,
    write::{WriteConcern, WriteError, WriteReceipt, WriteRequest},
};
use littoral_runtime::trace::{self, Kind, Span};
use std::{fmt, io, sync::Arc, time::Duration};
use tokio::sync::watch;

/// How long a change of the catalogue may take to return from the catalogue home.
const CHANGE_RETURN_MAX: Duration = Duration::from_secs(2);

/// The size of a record besides its key and body, in bytes, rounded up.
const RECORD_OVERHEAD: usize = 80;

/// The approximate size of a change of the catalogue, in bytes.
const CHANGE_BYTES: usize = 4_096;

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

    /// Returns when the leader has stopped, after its token was cancelled: accepted writes are durable and
    /// acknowledged, and its threads have ended. The data directory is free once the last handle is dropped, too.
    pub async fn stopped(&self) {
        // The sender is dropped only after it has sent true, or with its runtime.
        let _ = self.stopped.clone().wait_for(|stopped| *stopped).await;
    }

    /// Writes a snapshot now and trims the log as far as the snapshots allow. Blocks for the disk. Returns whether the
    /// snapshot is durable.
    pub fn snapshot_now(&self) -> bool {
        let written = crate::maintain::take_snapshot(&self.shared, &|| true);
        crate::maintain::trim(&self.shared);
        written
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Waits until a node leads. Returns the connection to it if it is another node.
    async fn elsewhere(&self) -> Result<Option<CallClient>, WriteError> {
        Ok(match write_target::find(&*self.shared.replication).await? {
            WriteTarget::Here => None,
            WriteTarget::Leader(leader) => Some(leader),
        })
    }

    /// Appends a client's write and waits for its result.
    async fn append(&self, command: LogCommand, bytes: usize) -> WriteResult {
        self.shared.affiliation.may_write(&self.shared).map_err(WriteError::NotLeader)?;
        let mut span = Span::child("commit", Kind::Internal);
        // The commit thread records the append within this span.
        let submit = || self.shared.writes.submit(Job::Append(command), bytes);
        let submitted = trace::within_sync(span.context(), submit).inspect_err(|_| {
            metrics::counter!("littoral_leader_writes_rejected_total").increment(1);
        });
        let written = match submitted {
            Ok(response) => result(response.await),
            Err(error) => Err(error.into()),
        };
        if written.is_err() {
            span.failed("not_committed");
        }
        written
    }

    async fn write_rows(&self, request: WriteRequest) -> WriteResult {
        let shared = &*self.shared;
        if let Some(leader) = self.elsewhere().await? {
            return leader.write(request).await;
        }
        let catalogue = shared.applied.load().catalogue.clone();
        let mut span = Span::child("validate", Kind::Internal);
        span.set("littoral.rows", request.rows.len());
        ingest::check(&shared.limits, &catalogue, &request, shared.now_ms()).inspect_err(|_| {
            span.failed("invalid");
            metrics::counter!("littoral_leader_writes_rejected_total").increment(1);
        })?;
        drop(span);
        if request.rows.is_empty() {
            return Ok(shared.empty_receipt());
        }
        let (concern, wait) = (request.concern, shared.concern_wait(request.concern_wait_ms));
        let allowed = AllowedRegions::of(&catalogue, request.rows.iter().map(|row| row.view));
        shared.check_concern(concern, &allowed)?;
        let content = if request.idempotency_key.is_some() { content_hash(&request) } else { 0 };
        let bytes = request.rows.payload_len() + RECORD_OVERHEAD * request.rows.len();
        let write = LogCommand::Write { request, content, generation: catalogue.generation };
        let receipt = self.append(write, bytes).await?;
        self.reach(receipt, &allowed, concern, wait).await
    }

    /// Waits until a write that is durable here reaches its concern.
    async fn reach(
        &self,
        receipt: WriteReceipt,
        allowed: &AllowedRegions,
        wanted: WriteConcern,
        wait: Duration,
    ) -> WriteResult {
        let WriteConcern::Regions(count) = wanted else { return Ok(WriteReceipt { concern: wanted, ..receipt }) };
        let mut span = Span::child("wait for regions", Kind::Internal);
        span.set("littoral.regions", u64::from(count));
        // Where members keep the log, other regions receive a record only once a majority here has it.
        let (shared, position) = (&self.shared, receipt.position);
        // A region that may not hold the rows passes their position without them.
        let has_all = |has| shared.applied.load().lineages.reaches(shared.identity.region, has, position);
        let includes = |region, has| allowed.contains(region) && has_all(has);
        match self.shared.cross_region.replicated.reached(includes, count, wait).await {
            Ok(()) => Ok(WriteReceipt { concern: wanted, ..receipt }),
            Err(have) => {
                span.failed("not_reached");
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

    /// Sends a change of the catalogue to the catalogue home if that is another region, and waits until the change is
    /// replicated here, so that later requests at this leader see it. Returns `None` when this region is the home.
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
        let mut head = self.shared.applied.head();
        let replicated = head.wait_for(|_| self.shared.applied.load().covers(&receipt.token));
        // The change was made, whether or not it is replicated in time.
        let _ = tokio::time::timeout(CHANGE_RETURN_MAX, replicated).await;
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
        let forwarded = (name.clone(), version.clone(), component.clone());
        let forward = async move |calls: CallClient| {
            let (name, version, component) = forwarded;
            calls.put_module(name, version, component).await.map(|put| (put.clone(), put.receipt))
        };
        if let Some(put) = self.at_home(forward).await {
            return put;
        }
        let invalid = |error: ModuleError| WriteError::Invalid(error.to_string());
        let not_stored = |error: io::Error| WriteError::NotDurable(error.to_string());
        let manifest = shared.modules.sandbox.inspect(component.clone()).await.map_err(invalid)?;
        let digest = ModuleDigest::of(&component);
        let release = ModuleRelease { name, version, digest, size: component.len() as u64, manifest: manifest.clone() };
        let change = CatalogueChange::PutModule(release);
        // Check the change before anything is stored, so that a rejected release leaves nothing behind.
        shared.applied.load().catalogue.prepare(change.clone())?;
        let held = shared.modules.hold(digest).await.map_err(not_stored)?;
        shared.modules.sandbox.prepare(digest, component.clone()).await.map_err(invalid)?;
        shared.modules.blocking(move |modules| modules.store(digest, &component)).await.map_err(not_stored)?;
        let receipt = self.append(LogCommand::Change(change), CHANGE_BYTES).await?;
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
        self.shared.applied.load().catalogue.clone()
    }

    fn is_catalogue(&self, known: &Arc<Catalogue>) -> bool {
        Arc::ptr_eq(&self.shared.applied.load().catalogue, known)
    }

    fn regions(&self) -> Vec<Region> {
        self.shared.applied.load().origins.regions(self.shared.identity.region)
    }

    fn read_local(&self, request: &ReadRequest, answer: &mut ReadAnswer) -> bool {
        read::local(&self.shared, request, answer)
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
            let forwarded = change.clone();
            let forward =
                async move |calls: CallClient| calls.change(forwarded).await.map(|receipt| (receipt.clone(), receipt));
            if let Some(changed) = self.at_home(forward).await {
                return changed;
            }
            // Held until the catalogue names the release.
            let mut held = None;
            if let CatalogueChange::PutModule(module) = &change {
                let not_stored = |_| {
                    WriteError::Invalid(format!(
                        "the component of module '{}' is not stored here; upload it as a module",
                        module.name
                    ))
                };
                held = Some(self.shared.modules.hold_stored(module.digest).await.map_err(not_stored)?);
            }
            let receipt = self.append(LogCommand::Change(change), CHANGE_BYTES).await;
            drop(held);
            receipt
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

    fn held_in(&self) -> Receiver {
        Receiver::In(self.shared.identity.region)
    }

    fn conflicts(&self) -> Option<Vec<Conflict>> {
        Some(self.shared.applied.conflicts())
    }

    fn rollout<'a>(&'a self, put: &'a ModulePut, wait_max: Duration) -> BoxFuture<'a, Rollout> {
        Box::pin(rollout::wait(&self.shared, put, wait_max))
    }

    fn page(&self, view: ViewId, after: Option<&[u8]>, limit: usize) -> Option<RowPage> {
        Some(self.shared.applied.table.page(view, after, limit))
    }
}
