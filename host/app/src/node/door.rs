//! What leaders and edges have in common: a door in front, a sandbox beside.

use crate::{failure::Failure, node::process::Tasks};
use littoral_gateway::Metrics;
use littoral_model::ports::{ModuleRuntime, Node};
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
    let runtime =
        littoral_sandbox::Runtime::new(config).map_err(|error| Failure::usage(format!("[modules]: {error}")))?;
    Ok(runtime)
}

/// Opens the door before a node.
pub fn open(
    tasks: &mut Tasks,
    listener: TcpListener,
    config: littoral_gateway::Config,
    node: Arc<dyn Node>,
    modules: Arc<dyn ModuleRuntime>,
) {
    let metrics = tasks.metrics.clone();
    let metrics = Some(Metrics::new(move || metrics.render()));
    let config = littoral_gateway::Config { metrics, reactors: tasks.reactors.clone(), ..config };
    let stop = tasks.supervisor.token(TaskKind::Door);
    tasks.supervisor.spawn(TaskKind::Door, "door", async move {
        littoral_gateway::serve(listener, config, node, modules, stop).await;
        Ok::<_, Infallible>(())
    });
}
