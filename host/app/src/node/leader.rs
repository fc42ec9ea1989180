//! A leader: log and state, sandbox, peer listener, door. Alone, or as one of the members that keep a region's log
//! together.

use crate::{
    config::{leader::File, lease::Lease},
    failure::Failure,
    node::{
        data_dir,
        door::{self, Front},
        drill_clock,
        exposure::{Listener, exposure},
        gate::PeerGate,
        listen,
        process::Tasks,
        tls::{self, Expected, secured},
    },
    ready::Ready,
};
use littoral_at_rest::Encryption;
use littoral_feed::server::{Shared, serve_shared};
use littoral_leader::{Environment, Handle};
use littoral_lease::store::open;
use littoral_members::{Election, Member};
use littoral_model::ports::{ModuleRuntime, Node};
use littoral_runtime::{Supervisor, TaskKind, metrics};
use littoral_tls::Role;
use std::{convert::Infallible, path::PathBuf, sync::Arc};

/// The file in the data directory that records the identity of the lease store.
const LEASE_STORE: &str = "lease-store.json";

/// Starts a leader, alone or as a member. Its door reports the progress of the start, and serves requests once the log
/// has been read, whether or not this member leads. `drill_clock` names a file with an error to add to the clock, for
/// drills.
///
/// # Errors
/// When an address is in use, the log cannot be read, or the lease store cannot be used.
pub async fn start(
    config: File,
    drill_clock: Option<PathBuf>,
    mut tasks: Tasks,
    json: bool,
) -> Result<Supervisor, Failure> {
    let (leader, feed) = (config.leader(), config.feed());
    let name = leader.name.clone();
    let listeners = [
        Listener::of_clients("listen", config.listen),
        Listener::of_clients("admin_listen", config.admin_listen),
        Listener::of_peers("peer_listen", config.peer_listen),
    ];
    tasks.is_exposed = exposure(&listeners, tasks.protection(config.auth.is_on()))?;
    let expected = Expected { roles: &[Role::Leader], name: &name, region: Some(leader.region.as_str()) };
    tls::check(tasks.tls.as_ref(), expected)?;
    let certifiers = tls::renew(&mut tasks, &config.tls, config.certifiers())?;
    let (door_listener, door) = listen::bind(config.listen, "listen").await?;
    let front = Front::new(&mut tasks, (door_listener, door), config.admin_listen, &config.auth, config.door).await?;
    let admin = front.admin.as_ref().map(|(_, address)| *address);
    let authenticator = front.guard.authenticator.clone();
    let (peer_listener, peer) = listen::bind(config.peer_listen, "peer_listen").await?;
    data_dir::check(&leader.data_dir, "leader.data_dir")?;
    metrics::watch_disk(&leader.data_dir);
    let mut environment = Environment::of(&leader).map_err(Failure::usage)?;
    environment.tls = tasks.tls.clone();
    let progress = environment.progress.clone();
    let opener = front.serve(&mut tasks, move || progress.to_string());
    let modules = door::sandbox(config.modules, Some(&leader.data_dir), Encryption::default())?;
    let stop = tasks.supervisor.token(TaskKind::Door);
    if let Some(file) = drill_clock {
        environment.clock = drill_clock::wrong_by(file);
    }
    let (node, shared): (Arc<dyn Node>, Shared) = if leader.members.is_empty() {
        let leader = alone(environment, leader, modules.clone(), &mut tasks).await?;
        (leader.clone(), Shared::new(leader, feed, stop))
    } else {
        let member = member(environment, leader, &config.lease, modules.clone(), &mut tasks).await?;
        (member.clone(), Shared::new(member.clone(), feed, stop).with_members(member))
    };
    let shared = match authenticator {
        Some(authenticator) => shared.with_gate(Arc::new(PeerGate { authenticator, node: node.clone() })),
        None => shared,
    };
    let shared = secured(shared, tasks.tls.as_ref(), certifiers);
    door::reload_peers(&mut tasks, shared.settings());
    tasks.supervisor.spawn(TaskKind::Door, "peer listener", async move {
        serve_shared(peer_listener, shared).await;
        Ok::<_, Infallible>(())
    });
    opener.open(node, modules);
    Ready::node("leader", &name, door, Some(peer)).with_admin(admin).announce(json)?;
    Ok(tasks.supervisor)
}

/// Starts a leader that keeps its log alone.
async fn alone(
    environment: Environment,
    config: littoral_leader::Config,
    modules: Arc<dyn ModuleRuntime>,
    tasks: &mut Tasks,
) -> Result<Arc<Handle>, Failure> {
    let stop = tasks.supervisor.token(TaskKind::Core);
    let leader = littoral_leader::start_on(environment, config, modules, stop).await.map_err(Failure::usage)?;
    let running = leader.clone();
    tasks.supervisor.spawn(TaskKind::Core, "leader", async move {
        running.stopped().await;
        Ok::<_, Infallible>(())
    });
    Ok(Arc::new(leader))
}

/// Starts a member. When it stops, it releases its lease, so that the other members need not wait for the lease to
/// expire.
async fn member(
    environment: Environment,
    config: littoral_leader::Config,
    lease: &Lease,
    modules: Arc<dyn ModuleRuntime>,
    tasks: &mut Tasks,
) -> Result<Arc<Member>, Failure> {
    let stop = tasks.supervisor.token(TaskKind::Core);
    let (timing, clock) = (lease.profile.timing(), littoral_lease::clock::system());
    let address = lease.store.as_deref().unwrap_or_default();
    let memory = config.data_dir.join(LEASE_STORE);
    let store = open::from_environment(address, &timing, clock.clone(), memory).map_err(Failure::usage)?;
    let election = Election { store, timing, clock };
    let member = Member::start_on(environment, config, election, modules, stop).await.map_err(Failure::usage)?;
    let running = member.clone();
    tasks.supervisor.spawn(TaskKind::Core, "member", async move {
        running.stopped().await;
        Ok::<_, Infallible>(())
    });
    Ok(Arc::new(member))
}
