//! A leader: log and state, sandbox, peer listener, door.

use crate::{
    config::leader::File,
    failure::Failure,
    node::{door, drill_clock, listen, process::Tasks},
    ready::Ready,
};
use littoral_leader::{Ground, Leader};
use littoral_runtime::{Supervisor, TaskKind};
use std::{convert::Infallible, path::PathBuf, sync::Arc};

/// Starts a leader. Its doors open when its log has been read. A drill may give its clock an error.
///
/// # Errors
/// When an address is taken, or the log cannot be read.
pub async fn start(
    config: File,
    drill_clock: Option<PathBuf>,
    mut tasks: Tasks,
    json: bool,
) -> Result<Supervisor, Failure> {
    let leader = config.leader();
    let name = leader.name.clone();
    let (door_listener, door) = listen::bind(config.listen, "listen").await?;
    let (peer_listener, peer) = listen::bind(config.peer_listen, "peer_listen").await?;
    let modules = door::sandbox(config.modules, Some(&leader.data_dir))?;
    let stop = tasks.supervisor.token(TaskKind::Core);
    let mut ground = Ground::of(&leader).map_err(Failure::usage)?;
    if let Some(file) = drill_clock {
        ground.clock = drill_clock::wrong_by(file);
    }
    let leader = Leader::start_on(ground, leader, modules.clone(), stop).await.map_err(Failure::usage)?;
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
