//! A leader: log and state, sandbox, peer listener, door.

use crate::{
    config::leader::File,
    failure::Failure,
    node::{door, listen, process::Tasks},
    ready::Ready,
};
use littoral_leader::Leader;
use littoral_runtime::{Supervisor, TaskKind};
use std::{convert::Infallible, sync::Arc};

/// Starts a leader. Its doors open when its log has been read.
///
/// # Errors
/// When an address is taken, or the log cannot be read.
pub async fn start(config: File, mut tasks: Tasks, json: bool) -> Result<Supervisor, Failure> {
    let leader = config.leader();
    let name = leader.name.clone();
    let (door_listener, door) = listen::bind(config.listen, "listen").await?;
    let (peer_listener, peer) = listen::bind(config.peer_listen, "peer_listen").await?;
    let modules = door::sandbox(config.modules, Some(&leader.data_dir))?;
    let stop = tasks.supervisor.token(TaskKind::Core);
    let leader = Leader::start(leader, modules.clone(), stop).await.map_err(Failure::usage)?;
    let running = leader.clone();
    tasks.supervisor.spawn(TaskKind::Core, "leader", async move {
        running.stopped().await;
        Ok::<_, Infallible>(())
    });
    let leader = Arc::new(leader);
    let (source, stop) = (leader.clone(), tasks.supervisor.token(TaskKind::Door));
    tasks.supervisor.spawn(TaskKind::Door, "peer listener", async move {
        littoral_feed::server::serve(peer_listener, source, config.feed, stop).await;
        Ok::<_, Infallible>(())
    });
    door::open(&mut tasks, door_listener, config.door, leader, modules);
    Ready::node("leader", &name, door, Some(peer)).announce(json)?;
    Ok(tasks.supervisor)
}
