//! Starting an edge, and the handle that doors serve.

use crate::{
    config::{Config, InvalidConfig},
    data_dir::DataDir,
    follow, local_snapshot, modules, observe, read,
    shared::Shared,
    tails::KeptTails,
    verify,
};
use bytes::Bytes;
use littoral_model::{
    adoption::{AdoptError, OfferedLog},
    catalogue::{Catalogue, CatalogueChange},
    digest::Verification,
    ports::{BoxFuture, FeatureReader, FeatureWriter, ModulePut, ModuleRuntime, Node, Spread, Tails},
    position::Incarnation,
    read::{ReadAnswer, ReadError, ReadRequest, RowPage},
    region::Region,
    status::{NodeStatus, Shortfalls},
    view::ViewId,
    write::{WriteError, WriteReceipt, WriteRequest},
};
use std::{fmt, sync::Arc, time::Duration};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Starts edges.
#[derive(Clone, Copy, Debug)]
pub struct Edge;

/// Why an edge cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration is invalid.
    #[error(transparent)]
    Config(#[from] InvalidConfig),
    /// The data directory cannot be used.
    #[error("data_dir {path}: {source}; make it writable or configure another one")]
    DataDir {
        /// The directory.
        path: std::path::PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Another process uses the data directory.
    #[error(
        "data_dir {path} is used by another process; stop it, or give this edge a directory of its own (edge.data_dir)"
    )]
    InUse {
        /// The directory.
        path: std::path::PathBuf,
    },
}

/// A running edge. Cheap to clone.
#[derive(Clone)]
pub struct Handle {
    pub(crate) shared: Arc<Shared>,
    tasks: TaskTracker,
}

impl Edge {
    /// Starts an edge: reads the local snapshot, if there is one, then follows the leader until
    /// `stop` is cancelled. With a local snapshot it answers at once, even without a leader.
    ///
    /// # Errors
    /// [`StartError`]. An unreachable leader and a damaged local snapshot are not errors.
    pub async fn start(
        config: Config,
        runtime: Arc<dyn ModuleRuntime>,
        stop: CancellationToken,
    ) -> Result<Handle, StartError> {
        config.check()?;
        let data_dir = config.data_dir.as_deref().map(DataDir::lock).transpose()?;
        let shared = Arc::new(Shared::new(config, runtime));
        let loading = shared.clone();
        // Reading a large file would block the worker threads.
        if let Ok(Some(replica)) = tokio::task::spawn_blocking(move || local_snapshot::load(&loading.config)).await {
            shared.swap_replica(Arc::new(replica));
        }
        let tasks = TaskTracker::new();
        tasks.spawn(modules::run(shared.clone(), stop.clone()));
        tasks.spawn(observe::run(shared.clone(), stop.clone()));
        tasks.spawn(local_snapshot::run(shared.clone(), stop.clone()));
        tasks.spawn({
            let shared = shared.clone();
            async move {
                follow::run(shared.clone(), stop).await;
                // Nothing is applied any more, so the next start begins with this state.
                local_snapshot::save(&shared).await;
                drop(data_dir);
            }
        });
        tasks.close();
        Ok(Handle { shared, tasks })
    }
}

impl Handle {
    /// Waits until the edge has stopped: its token was cancelled and its last local snapshot is
    /// written.
    pub async fn stopped(&self) {
        self.tasks.wait().await;
    }
}

/// Deliberate damage, for tests.
#[cfg(feature = "test-hooks")]
impl Handle {
    /// Changes a held row in memory unnoticed.
    ///
    /// Returns whether there was one.
    #[must_use]
    pub fn corrupt(&self, view: ViewId, key: &[u8]) -> bool {
        self.shared.replica.load_full().is_some_and(|replica| replica.table.corrupt(view, key))
    }

    /// Loses a held row unnoticed.
    ///
    /// Returns whether there was one.
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

    fn read_now(&self, request: &ReadRequest, answer: &mut ReadAnswer) -> bool {
        read::local_read(&self.shared, request, answer)
    }

    fn read<'a>(&'a self, request: &'a ReadRequest) -> BoxFuture<'a, Result<ReadAnswer, ReadError>> {
        Box::pin(read::waiting_read(&self.shared, request))
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

    fn module_spread<'a>(&'a self, put: &'a ModulePut, wait_max: Duration) -> BoxFuture<'a, Spread> {
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
        tracing::warn!(log = %offered.log, region = %offered.region, "an operator made this edge adopt this log in place of the one it holds");
        *self.shared.adopting.lock() = Some(offered.log);
        self.shared.adopted.notify_one();
        Some(Ok(OfferedLog::clone(&offered)))
    }

    fn page(&self, view: ViewId, after: Option<&[u8]>, limit: usize) -> Option<RowPage> {
        let replica = self.shared.replica.load_full()?;
        let full =
            (replica.routes.load().get(&view)).is_some_and(|route| route.holding == crate::replica::Holding::Full);
        full.then(|| replica.table.page(view, after, limit))
    }
}
