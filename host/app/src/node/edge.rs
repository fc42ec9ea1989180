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
use littoral_at_rest::Encryption;
use littoral_edge::Loading;
use littoral_feed::server::{Shared, serve_shared};
use littoral_model::region::Region;
use littoral_runtime::{Supervisor, TaskKind, metrics};
use littoral_sandbox::Runtime as Sandbox;
use littoral_tls::Role;
use std::{convert::Infallible, sync::Arc};

/// Follows the file of the key ring, and keeps compiled modules under its first key. The edge keeps its own files so.
fn keep_encrypted(tasks: &mut Tasks, encryption: Encryption, modules: Arc<Sandbox>) {
    let stop = tasks.supervisor.token(TaskKind::Housekeeping);
    tasks.supervisor.spawn(TaskKind::Housekeeping, "key ring reload", async move {
        encryption.watch(stop).await;
        Ok::<_, Infallible>(())
    });
    let stop = tasks.supervisor.token(TaskKind::Housekeeping);
    tasks.supervisor.spawn(TaskKind::Housekeeping, "encryption of compiled modules", async move {
        stop.run_until_cancelled(modules.keep_encrypted()).await;
        Ok::<_, Infallible>(())
    });
}

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
    let encryption =
        Encryption::load(&config.at_rest).map_err(|error| Failure::usage(format!("[at_rest]: {error}")))?;
    if let Some(keys) = encryption.keys() {
        tracing::info!(?keys, "stored files are encrypted with the first key");
    }
    config.edge.encryption = encryption.clone();
    let loading = Arc::new(Loading::default());
    let shown = loading.clone();
    let opener = front.serve(&mut tasks, move || shown.to_string());
    let modules = door::sandbox(config.modules, config.edge.data_dir.as_deref(), encryption.clone())?;
    if encryption.is_on() {
        keep_encrypted(&mut tasks, encryption, modules.clone());
    }
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
        door::reload_peers(&mut tasks, shared.settings());
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
