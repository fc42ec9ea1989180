//! What leaders and edges have in common: a door with its authentication, and a sandbox.

use crate::{
    cli::BUILD,
    failure::Failure,
    node::{exposure::is_loopback, listen, process::Tasks},
};
use littoral_at_rest::Encryption;
use littoral_auth::{Authenticator, Trust};
use littoral_doors::{Door, Guard, Metrics, Opener, Process};
use littoral_feed::server::Settings;
use littoral_runtime::TaskKind;
use std::{
    convert::Infallible,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};
use tokio::net::TcpListener;

/// Where compiled modules are kept within a node's data directory.
const COMPILED: &str = "compiled";

/// Returns the directory of compiled modules.
pub fn compiled(config: &littoral_sandbox::Config, data_dir: Option<&Path>) -> Option<PathBuf> {
    config.cache_dir.clone().or_else(|| data_dir.map(|dir| dir.join(COMPILED)))
}

/// Starts the sandbox. Compiled modules are kept in the node's data directory unless `modules.cache_dir` is set.
///
/// # Errors
/// When the engine does not start, or its cache cannot be used.
pub fn sandbox(
    mut config: littoral_sandbox::Config,
    data_dir: Option<&Path>,
    encryption: Encryption,
) -> Result<Arc<littoral_sandbox::Runtime>, Failure> {
    config.cache_dir = compiled(&config, data_dir);
    let cache = config.cache_dir.clone().unwrap_or_default();
    let runtime = littoral_sandbox::Runtime::with_encryption(config, encryption).map_err(|error| {
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
        tls: tasks.tls.clone(),
        insecure: tasks.is_exposed,
    }
}

/// A door that is bound but not served yet.
pub struct Front {
    /// Its listener.
    pub listener: TcpListener,
    /// The listener for administration.
    pub admin: Option<(TcpListener, SocketAddr)>,
    /// Which requests it accepts.
    pub guard: Guard,
    /// Its bounds.
    pub config: littoral_doors::Config,
}

/// The default port of the listener for administration is this much above the door's port.
const ADMIN_PORT_ABOVE: u16 = 1_000;

impl Front {
    /// Prepares a door at `address`: starts authentication and binds the listener for administration. A door without
    /// authentication serves administration itself, so it needs no such listener unless one is configured.
    ///
    /// # Errors
    /// If a file of tokens or of the policy cannot be used, or an address is in use.
    pub async fn new(
        tasks: &mut Tasks,
        (listener, address): (TcpListener, SocketAddr),
        admin_listen: Option<SocketAddr>,
        auth: &littoral_auth::Config,
        config: littoral_doors::Config,
    ) -> Result<Self, Failure> {
        let guard = guard(tasks, auth, address)?;
        let admin = match admin_listen.or_else(|| (!guard.is_open).then(|| default_admin(address))) {
            Some(address) => Some(listen::bind(address, "admin_listen").await?),
            None => None,
        };
        Ok(Self { listener, admin, guard, config })
    }

    /// Serves the door. It answers with 503 and the text of `starting` until it is opened.
    pub fn serve(self, tasks: &mut Tasks, starting: impl Fn() -> String + Send + Sync + 'static) -> Opener {
        let Self { listener, admin, guard, config } = self;
        let mut door = Door::new(listener, config, process(tasks), guard, starting);
        if let Some((admin, _)) = admin {
            door = door.with_admin(admin);
        }
        let opener = door.opener();
        let reloading = opener.clone();
        tasks.on_reload("door reload", move |settings| {
            if let Some(door) = settings.door.clone() {
                reloading.reload(door);
            }
        });
        let stop = tasks.supervisor.token(TaskKind::Door);
        tasks.supervisor.spawn(TaskKind::Door, "door", async move {
            door.serve(stop).await;
            Ok::<_, Infallible>(())
        });
        opener
    }
}

/// Applies changed bounds of the peer listener after each SIGHUP.
pub fn reload_peers(tasks: &mut Tasks, peers: Settings) {
    tasks.on_reload("peer listener reload", move |settings| {
        if let Some(feed) = settings.feed.clone() {
            peers.set(feed);
        }
    });
}

/// Returns the default of `admin_listen`: a loopback address, so that only this host reaches it.
pub fn default_admin(door: SocketAddr) -> SocketAddr {
    let port = if door.port() == 0 { 0 } else { door.port().checked_add(ADMIN_PORT_ABOVE).unwrap_or(0) };
    SocketAddr::from(([127, 0, 0, 1], port))
}

/// Starts authentication, if it is configured. Without it, the door is open on loopback, and elsewhere with
/// `--insecure`.
fn guard(tasks: &mut Tasks, config: &littoral_auth::Config, door: SocketAddr) -> Result<Guard, Failure> {
    let is_loopback = is_loopback(door);
    let trust = Trust { everyone: !config.is_on() && is_loopback, ..config.trust.clone() };
    if !config.is_on() {
        return Ok(Guard { authenticator: None, trust, is_open: is_loopback || tasks.is_exposed });
    }
    let authenticator = Arc::new(Authenticator::new(config.clone()).map_err(Failure::usage)?);
    let (running, stop) = (authenticator.clone(), tasks.supervisor.token(TaskKind::Housekeeping));
    tasks.supervisor.spawn(TaskKind::Housekeeping, "authentication", async move {
        let _ = stop.run_until_cancelled(running.run()).await;
        Ok::<_, Infallible>(())
    });
    Ok(Guard { authenticator: Some(authenticator), trust, is_open: false })
}
