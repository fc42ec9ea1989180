//! A router: topology, probes, gateway, and the DNS responder if it is configured.

use crate::{
    config::router::File,
    failure::Failure,
    node::{
        door::{default_admin, process},
        exposure::{Listener, exposure, is_loopback},
        listen,
        process::Tasks,
        tls::{self, Expected},
    },
    ready::Ready,
};
use littoral_router::{
    Router, Security, dns,
    gateway::{self, Listeners},
    probe, watch,
};
use littoral_runtime::{Supervisor, TaskKind};
use littoral_tls::Role;
use std::{convert::Infallible, net::SocketAddr, time::Duration};
use tokio::net::{TcpListener, UdpSocket};

/// How long the first probes may keep the door closed. Before a probe has answered, the router does not know which
/// doors are usable.
const FIRST_PROBES_MAX: Duration = Duration::from_secs(3);

/// Starts a router. Its door opens once every door of the topology has been probed, or after `FIRST_PROBES_MAX`.
///
/// # Errors
/// If an address is in use, or the topology or the place database cannot be used.
pub async fn start(config: File, mut tasks: Tasks, json: bool) -> Result<Supervisor, Failure> {
    let listeners =
        [Listener::of_clients("listen", config.listen), Listener::of_clients("admin_listen", config.admin_listen)];
    // An exposed router sends requests only to doors that authenticate their clients. `--insecure` allows others too.
    let only_authenticating = !is_loopback(config.listen) && !tasks.insecure;
    tasks.is_exposed = exposure(&listeners, tasks.protection(!tasks.insecure))?;
    let name = &config.router.name;
    tls::check(tasks.tls.as_ref(), Expected { roles: &[Role::Router], name, region: None })?;
    tls::renew(&mut tasks, &config.tls, Vec::new())?;
    let (listener, door) = listen::bind(config.listen, "listen").await?;
    // A door beyond loopback does not show the router's state, unless --insecure was given.
    let is_open = is_loopback(config.listen) || tasks.is_exposed;
    let admin = match config.admin_listen.or_else(|| (!is_open).then(|| default_admin(door))) {
        Some(address) => Some(listen::bind(address, "admin_listen").await?),
        None => None,
    };
    let settings = config.router;
    let topology = watch::read_topology(&settings.topology).map_err(Failure::usage)?;
    let security = Security { tls: tasks.tls.clone(), only_authenticating };
    let router = Router::new(settings, topology, security).map_err(Failure::usage)?;
    let name = router.config().name.clone();
    let reloading = router.clone();
    tasks.on_reload("gateway reload", move |settings| {
        if let Some(gateway) = settings.gateway.clone() {
            reloading.set_bounds(gateway);
        }
    });
    let dns = match router.config().dns.listen {
        Some(address) => Some(bind_dns(address).await?),
        None => None,
    };

    core(&mut tasks, "probes", probe::probe(router.clone()));
    core(&mut tasks, "view", router.clone().keep_up());
    core(&mut tasks, "topology watch", watch::watch(router.clone()));
    let known = async {
        while !router.board().view.is_known() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    if tokio::time::timeout(FIRST_PROBES_MAX, known).await.is_err() {
        tracing::warn!("some doors have not answered their first probe yet");
    }

    let mut ready = Ready::node("router", &name, door, None).with_admin(admin.as_ref().map(|(_, address)| *address));
    if let Some((udp, tcp, address)) = dns {
        ready.dns = Some(address);
        let zone = dns::Zone::new(&router.config().dns).map_err(Failure::usage)?;
        let (router, stop) = (router.clone(), tasks.supervisor.token(TaskKind::Door));
        tasks.supervisor.spawn(TaskKind::Door, "DNS responder", async move {
            dns::serve(udp, tcp, router, zone, stop).await;
            Ok::<_, Infallible>(())
        });
    }
    let (stop, process) = (tasks.supervisor.token(TaskKind::Door), process(&tasks));
    let listeners = Listeners { door: listener, admin: admin.map(|(listener, _)| listener) };
    tasks.supervisor.spawn(TaskKind::Door, "gateway", async move {
        gateway::serve(listeners, router, process, stop).await;
        Ok::<_, Infallible>(())
    });
    ready.announce(json)?;
    Ok(tasks.supervisor)
}

fn core(tasks: &mut Tasks, name: &'static str, work: impl Future<Output = ()> + Send + 'static) {
    let stop = tasks.supervisor.token(TaskKind::Core);
    tasks.supervisor.spawn(TaskKind::Core, name, async move {
        let _ = stop.run_until_cancelled(work).await;
        Ok::<_, Infallible>(())
    });
}

/// Binds both sockets of the responder, UDP and TCP, to one port.
async fn bind_dns(address: SocketAddr) -> Result<(UdpSocket, TcpListener, SocketAddr), Failure> {
    let (tcp, bound) = listen::bind(address, "router.dns.listen").await?;
    let udp = UdpSocket::bind(bound).await.map_err(|error| {
        Failure::usage(format!("cannot listen on {bound} over UDP: {error}; set 'router.dns.listen' to another port"))
    })?;
    Ok((udp, tcp, bound))
}
