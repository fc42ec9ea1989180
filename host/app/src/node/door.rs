//! What leaders and edges have in common: a door in front, a sandbox beside.

use crate::{cli::BUILD, failure::Failure, node::process::Tasks};
use littoral_doors::{Door, Metrics, Opener, Process};
use littoral_model::ports::ModuleRuntime;
use littoral_runtime::TaskKind;
use std::{convert::Infallible, path::Path, sync::Arc};
use tokio::net::TcpListener;

/// Where compiled modules are kept within a node's data directory.
const COMPILED: &str = "compiled";

/// Starts the sandbox. Compiled modules are kept beside the node's other data unless its section says otherwise.
///
/// # Errors
/// When the engine does not start, or its cache cannot be used.
pub fn sandbox(
    mut config: littoral_sandbox::Config,
    data_dir: Option<&Path>,
) -> Result<Arc<dyn ModuleRuntime>, Failure> {
    config.cache_dir = config.cache_dir.or_else(|| data_dir.map(|dir| dir.join(COMPILED)));
    let cache = config.cache_dir.clone().unwrap_or_default();
    let runtime = littoral_sandbox::Runtime::new(config).map_err(|error| {
        Failure::usage(match &error {
            littoral_sandbox::StartError::Cache(_) => {
                format!("modules.cache_dir = {}: {error}; make it writable, or set it to another", cache.display())
            }
            _ => format!("[modules]: {error}"),
        })
    })?;
    Ok(runtime)
}

/// Returns the live parts of the process that its listeners use.
pub fn process(tasks: &Tasks) -> Process {
    let metrics = tasks.metrics.clone();
    Process {
        build: BUILD,
        metrics: Some(Metrics::new(move || metrics.render())),
        reactors: tasks.reactors.clone(),
        draining: tasks.supervisor.draining(),
    }
}

/// Serves a door. It answers with 503 and what `starting` says until it is opened.
pub fn serve(
    tasks: &mut Tasks,
    listener: TcpListener,
    config: littoral_doors::Config,
    starting: impl Fn() -> String + Send + Sync + 'static,
) -> Opener {
    let door = Door::new(listener, config, process(tasks), starting);
    let (opener, stop) = (door.opener(), tasks.supervisor.token(TaskKind::Door));
    tasks.supervisor.spawn(TaskKind::Door, "door", async move {
        door.serve(stop).await;
        Ok::<_, Infallible>(())
    });
    opener
}
