//! A running edge, as doors and embedding processes use it.

use crate::{modules, observe, read, shared::Shared, tails::KeptTails, verify};
use bytes::Bytes;
use littoral_edge_core::Holding;
use littoral_model::{
    adoption::{AdoptError, OfferedLog},
    catalogue::{Catalogue, CatalogueChange},
    digest::Verification,
    ports::{BoxFuture, FeatureReader, FeatureWriter, ModulePut, Node, Rollout, Tails},
    position::Incarnation,
    project::Receiver,
    read::{ReadAnswer, ReadError, ReadRequest, RowPage},
    region::Region,
    status::{NodeStatus, Shortfalls},
    view::ViewId,
    write::{WriteError, WriteReceipt, WriteRequest},
};
use std::{fmt, sync::Arc, time::Duration};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// A running edge. Cheap to clone. Dropping handles does not stop the edge: [`Handle::close`] does.
#[derive(Clone)]
pub struct Handle {
    pub(crate) shared: Arc<Shared>,
    pub(crate) tasks: TaskTracker,
    pub(crate) stop: CancellationToken,
}

/// The edge is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the edge is closed; start another one")]
pub struct Closed;

impl Handle {
    /// Waits until the edge has data, so that it can answer reads.
    ///
    /// # Errors
    /// [`Closed`], if the edge closes before.
    pub async fn ready(&self) -> Result<(), Closed> {
        let mut has_data = self.shared.has_data.subscribe();
        tokio::select! {
            biased;
            () = self.stop.cancelled() => Err(Closed),
            known = has_data.wait_for(|has_data| *has_data) => known.map(|_| ()).map_err(|_| Closed),
        }
    }

    /// Closes the edge: ends its tasks, writes the last local snapshot, and releases the data directory.
    pub async fn close(&self) {
        self.stop.cancel();
        self.stopped().await;
    }

    /// Waits until the edge has stopped, after [`Handle::close`] or because its token was cancelled.
    pub async fn stopped(&self) {
        self.tasks.wait().await;
    }
}

/// Deliberate damage, for tests.
#[cfg(feature = "test-hooks")]
impl Handle {
    /// Corrupts a row in memory, unnoticed.
    ///
    /// Returns whether the edge held it.
    #[must_use]
    pub fn corrupt(&self, view: ViewId, key: &[u8]) -> bool {
        self.shared.replica.load_full().is_some_and(|replica| replica.table.corrupt(view, key))
    }

    /// Removes a row, unnoticed.
    ///
    /// Returns whether the edge held it.
    #[must_use]
    pub fn lose(&self, view: ViewId, key: &[u8]) -> bool {
        self.shared.replica.load_full().is_some_and(|replica| replica.table.lose(view, key))
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").field("name", &self.shared.config.name).finish_non_exhaustive()
    }
}

impl FeatureReader for Handle {
    fn catalogue(&self) -> Arc<Catalogue> {
        self.shared.served.load_full()
    }

    fn is_catalogue(&self, known: &Arc<Catalogue>) -> bool {
        Arc::ptr_eq(&self.shared.served.load(), known)
    }

    fn is_held_back(&self, module: &str) -> bool {
        self.shared.holds_back(module)
    }

    fn regions(&self) -> Vec<Region> {
        let point = self.shared.replica.load().as_ref().map(|replica| replica.point.load_full());
        point.map(|point| point.watermark.iter().map(|(region, _, _)| region).collect()).unwrap_or_default()
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
        Box::pin(async move {
            let calls = self.shared.link.calls().map_err(WriteError::LeaderUnavailable)?;
            calls.write(request).await
        })
    }

    fn change(&self, change: CatalogueChange) -> BoxFuture<'_, Result<WriteReceipt, WriteError>> {
        Box::pin(async move {
            let calls = self.shared.link.calls().map_err(WriteError::LeaderUnavailable)?;
            calls.change(change).await
        })
    }

    fn put_module(
        &self,
        name: String,
        version: String,
        component: Bytes,
    ) -> BoxFuture<'_, Result<ModulePut, WriteError>> {
        Box::pin(async move {
            let calls = self.shared.link.calls().map_err(WriteError::LeaderUnavailable)?;
            calls.put_module(name, version, component).await
        })
    }
}

impl Node for Handle {
    fn status(&self) -> NodeStatus {
        observe::status(&self.shared)
    }

    fn held_in(&self) -> Receiver {
        self.shared.held_in()
    }

    fn rollout<'a>(&'a self, put: &'a ModulePut, wait_max: Duration) -> BoxFuture<'a, Rollout> {
        Box::pin(modules::serves(&self.shared, put, wait_max))
    }

    fn shortfalls(&self) -> Shortfalls {
        observe::shortfalls(&self.shared)
    }

    fn verify(&self) -> Option<BoxFuture<'_, Result<Verification, ReadError>>> {
        Some(Box::pin(verify::run(&self.shared)))
    }

    fn tails(&self) -> Option<Arc<dyn Tails>> {
        let kept = || Arc::new(KeptTails(self.shared.clone())) as Arc<dyn Tails>;
        self.shared.config.data_dir.is_some().then(kept)
    }

    fn adopt(&self, log: Option<Incarnation>) -> Option<Result<OfferedLog, AdoptError>> {
        let Some(offered) = self.shared.offered.load_full() else { return Some(Err(AdoptError::NothingOffered)) };
        if let Some(wanted) = log.filter(|log| *log != offered.log) {
            return Some(Err(AdoptError::AnotherOffered { offered: OfferedLog::clone(&offered), wanted }));
        }
        tracing::warn!(log = %offered.log, region = %offered.region, "adopting this log in place of the current one, as an operator requested");
        *self.shared.adopting.lock() = Some(offered.log);
        self.shared.adopted.notify_one();
        Some(Ok(OfferedLog::clone(&offered)))
    }

    fn page(&self, view: ViewId, after: Option<&[u8]>, limit: usize) -> Option<RowPage> {
        let replica = self.shared.replica.load_full()?;
        let full = (replica.routes.load().get(&view)).is_some_and(|route| route.holding == Holding::Full);
        full.then(|| replica.table.page(view, after, limit))
    }
}
