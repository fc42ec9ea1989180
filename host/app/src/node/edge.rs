//! An edge: replica, sandbox, door.

use crate::{
    config::edge::File,
    failure::Failure,
    node::{door, listen, process::Tasks},
    ready::Ready,
};
use littoral_edge::Edge;
use littoral_runtime::{Supervisor, TaskKind};
use std::{convert::Infallible, sync::Arc};

/// Starts an edge. Its door is open from the start: until the first snapshot is in, reads are refused as not ready.
///
/// # Errors
/// When an address is taken or a directory cannot be used.
pub async fn start(config: File, mut tasks: Tasks, json: bool) -> Result<Supervisor, Failure> {
    let name = config.edge.name.clone();
    let (listener, door) = listen::bind(config.listen, "listen").await?;
    let modules = door::sandbox(config.modules, config.edge.data_dir.as_deref())?;
    let stop = tasks.supervisor.token(TaskKind::Core);
    let edge = Edge::start(config.edge, modules.clone(), stop).await.map_err(Failure::usage)?;
    let running = edge.clone();
    tasks.supervisor.spawn(TaskKind::Core, "replica", async move {
        running.stopped().await;
        Ok::<_, Infallible>(())
    });
    door::open(&mut tasks, listener, config.door, Arc::new(edge), modules);
    Ready::node("edge", &name, door, None).announce(json)?;
    Ok(tasks.supervisor)
}
