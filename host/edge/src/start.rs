//! Starts an edge.

use crate::{
    at_rest,
    config::{Config, InvalidConfig},
    data_dir::DataDir,
    follow,
    handle::Handle,
    loading::Loading,
    local_snapshot, modules, observe,
    shared::Shared,
};
use littoral_model::ports::ModuleRuntime;
use std::{sync::Arc, time::Duration};
use tokio_util::{
    sync::CancellationToken,
    task::{AbortOnDropHandle, TaskTracker},
};

/// How often a start that takes long logs its progress.
const REPORT_INTERVAL: Duration = Duration::from_secs(1);

/// Why an edge cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration is invalid.
    #[error(transparent)]
    Config(#[from] InvalidConfig),
    /// The data directory cannot be used.
    #[error("data_dir {path}: {source}; make it writable or configure another")]
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
    /// The local snapshot is encrypted, and there is no key ring.
    #[error(
        "{path} is encrypted with the key '{key}', and this edge has no key ring; configure [at_rest] with that key. To store plain files instead, remove this file: the edge then starts with a snapshot from its leader"
    )]
    Encrypted {
        /// The local snapshot.
        path: std::path::PathBuf,
        /// The name of its key.
        key: String,
    },
}

/// Starts an edge: reads the local snapshot, if there is one, then follows the leader until [`Handle::close`], or until
/// `stop` is cancelled. The edge answers from the local snapshot at once, with or without a leader.
///
/// # Errors
/// [`StartError`]. A leader that does not answer and a damaged local snapshot are not errors.
pub async fn start(
    config: Config,
    runtime: Arc<dyn ModuleRuntime>,
    stop: CancellationToken,
) -> Result<Handle, StartError> {
    start_on(Arc::default(), config, runtime, stop).await
}

/// Like [`start`], with `loading` for the progress of reading the local snapshot.
///
/// # Errors
/// Like [`start`].
pub async fn start_on(
    loading: Arc<Loading>,
    mut config: Config,
    runtime: Arc<dyn ModuleRuntime>,
    stop: CancellationToken,
) -> Result<Handle, StartError> {
    config.check()?;
    config.leader.region = config.region;
    let stop = stop.child_token();
    let data_dir = config.data_dir.as_deref().map(DataDir::lock).transpose()?;
    let shared = Arc::new(Shared::new(config, runtime));
    let reporting = AbortOnDropHandle::new(tokio::spawn(report(loading.clone())));
    let reading = shared.clone();
    // Reading a large file would block the workers.
    let read = tokio::task::spawn_blocking(move || local_snapshot::load(&reading.config, &loading)).await;
    drop(reporting);
    // Reading does not panic; a runtime that shuts down starts nothing.
    if let Some(replica) = read.unwrap_or(Ok(None))? {
        shared.swap_replica(Arc::new(replica));
    }
    let tasks = TaskTracker::new();
    tasks.spawn(modules::run(shared.clone(), stop.clone()));
    tasks.spawn(observe::run(shared.clone(), stop.clone()));
    tasks.spawn(local_snapshot::run(shared.clone(), stop.clone()));
    tasks.spawn(at_rest::run(shared.clone(), stop.clone()));
    tasks.spawn({
        let (shared, stop) = (shared.clone(), stop.clone());
        async move {
            follow::run(shared.clone(), stop).await;
            // The replica no longer changes: the next start begins with this snapshot.
            local_snapshot::save(&shared).await;
            drop(data_dir);
        }
    });
    tasks.close();
    Ok(Handle { shared, tasks, stop })
}

/// Logs the progress of a long start.
async fn report(progress: Arc<Loading>) {
    loop {
        tokio::time::sleep(REPORT_INTERVAL).await;
        tracing::info!(%progress, "starting");
    }
}
