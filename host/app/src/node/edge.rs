//! An edge: replica, sandbox, door, and a peer listener if it relays the feed.

use crate::{
    config::edge::File,
    failure::Failure,
    node::{
        data_dir,
        door::{self, Front},
        exposure::{Listener, exposure},
        listen,
        process::Tasks,
        tls::{self, Expected, secured},
    },
    ready::Ready,
};
use littoral_edge::Loading;
use littoral_feed::server::{Shared, serve_shared};
use littoral_model::region::Region;
use littoral_runtime::{Supervisor, TaskKind, metrics};
use littoral_tls::Role;
use std::{convert::Infallible, sync::Arc};

/// Starts an edge. Its door reports the progress of the start, and answers from the replica once the local snapshot has
/// been read.
/// Until the first snapshot is complete, it answers reads with `not_ready`.
///
/// # Errors
/// If an address is in use or a directory cannot be used.
pub async fn start(mut config: File, mut tasks: Tasks, json: bool) -> Result<Supervisor, Failure> {
    let name = config.edge.name.clone();
    let listeners = [
        Listener::of_clients("listen", config.listen),
        Listener::of_clients("admin_listen", config.admin_listen),
        Listener::of_peers("peer_listen", config.peer_listen),
    ];
    tasks.is_exposed = exposure(&listeners, tasks.protection(config.auth.is_on()))?;
    let role = if config.peer_listen.is_some() { Role::Relay } else { Role::Edge };
    let region = config.edge.region.as_ref().map(Region::as_str);
    tls::check(tasks.tls.as_ref(), Expected { roles: &[role], name: &name, region })?;
    // Publishers decide by the certificate which rows they send.
    let certified = tasks.tls.as_ref().and_then(|tls| tls.identity().region.parse().ok());
    config.edge.region = config.edge.region.or(certified);
    let certifiers = tls::renew(&mut tasks, &config.tls, config.edge.leader.leader.clone())?;
    config.edge.leader.tls = tasks.tls.clone();
    config.edge.leader.version = config.protocol_version;
    let feed = config.feed();
    let (listener, door) = listen::bind(config.listen, "listen").await?;
    let front = Front::new(&mut tasks, (listener, door), config.admin_listen, &config.auth, config.door).await?;
    let admin = front.admin.as_ref().map(|(_, address)| *address);
    let peer = match config.peer_listen {
        Some(address) => Some(listen::bind(address, "peer_listen").await?),
        None => None,
    };
    if peer.is_none() {
        config.edge.relay_bytes_max = 0;
    }
    if let Some(path) = &config.edge.data_dir {
        data_dir::check(path, "edge.data_dir")?;
        metrics::watch_disk(path);
    }
    let loading = Arc::new(Loading::default());
    let shown = loading.clone();
    let opener = front.serve(&mut tasks, move || shown.to_string());
    let modules = door::sandbox(config.modules, config.edge.data_dir.as_deref())?;
    let stop = tasks.supervisor.token(TaskKind::Core);
    let edge = littoral_edge::start_on(loading, config.edge, modules.clone(), stop).await.map_err(Failure::usage)?;
    let running = edge.clone();
    tasks.supervisor.spawn(TaskKind::Core, "replica", async move {
        running.stopped().await;
        Ok::<_, Infallible>(())
    });
    let edge = Arc::new(edge);
    let peer = peer.map(|(listener, address)| {
        let stop = tasks.supervisor.token(TaskKind::Door);
        let shared = secured(Shared::new(edge.clone(), feed, stop), tasks.tls.as_ref(), certifiers);
        tasks.supervisor.spawn(TaskKind::Door, "peer listener", async move {
            serve_shared(listener, shared).await;
            Ok::<_, Infallible>(())
        });
        address
    });
    opener.open(edge, modules);
    Ready::node("edge", &name, door, peer).with_admin(admin).announce(json)?;
    Ok(tasks.supervisor)
}
