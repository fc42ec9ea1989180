//! `littoral dev`: a local leader and edges that stay up until Ctrl-C.

use crate::{
    commands::{block_on, definitions::apply_all, node::environment, target},
    config::{self, Override, dev, problem::Place},
    definitions_file,
    failure::Failure,
    ready::Ready,
};
use littoral_lab::local::{Cluster, Program, Regions, cluster::Plan, regions};
use littoral_lease::Profile;
use littoral_router::watch::read_topology;
use littoral_runtime::Signals;
use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

/// How often the topology file is checked for changes.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// `littoral dev ...`. Every flag overrides the environment, which overrides the file.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The configuration file. Without one, the defaults apply.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where the nodes store their data and logs. The next run uses it again.
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// The first edge's door. With port 0 the system chooses a port, which the ready line prints.
    #[arg(long, value_name = "ADDR")]
    listen: Option<SocketAddr>,
    /// The leader's door. With port 0 the system chooses a port.
    #[arg(long, value_name = "ADDR")]
    leader_listen: Option<SocketAddr>,
    /// Number of edges.
    #[arg(long, value_name = "COUNT")]
    edges: Option<usize>,
    /// A topology file, in place of one leader and its edges. All its regions run on this machine, with the network
    /// distances that it specifies, behind a router whose door is `--listen`.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["config", "leader_listen", "edges"])]
    topology: Option<PathBuf>,
    /// Run the nodes of the topology with TLS, with certificates that are issued for this run. Clients need `--ca` with
    /// `tls/ca/trust.pem` in the data directory.
    #[arg(long, requires = "topology")]
    tls: bool,
}

impl Args {
    fn overrides(&self) -> Vec<Override> {
        let mut all = dev_settings();
        all.extend(self.data_dir.as_ref().map(|dir| Override::flag("--data-dir", "data_dir", dir.display())));
        all.extend(self.listen.map(|address| Override::flag("--listen", "listen", address)));
        all.extend(self.leader_listen.map(|address| Override::flag("--leader-listen", "leader_listen", address)));
        all.extend(self.edges.map(|count| Override::flag("--edges", "edges", count)));
        all
    }
}

/// Returns the environment's settings for the cluster itself, `LITTORAL_DEV_<KEY>`. The prefix distinguishes them from
/// settings of the nodes, which inherit the environment.
fn dev_settings() -> Vec<Override> {
    let ours = environment().filter_map(|(name, text)| {
        let key = name.strip_prefix("LITTORAL_DEV_")?;
        Some(Override { section: None, key: key.to_ascii_lowercase(), place: Place::Environment(name), text })
    });
    ours.collect()
}

/// Runs the cluster until Ctrl-C or until a node ends by itself.
///
/// # Errors
/// If the configuration is invalid, a node does not start, or a node ends by itself.
pub fn run(args: &Args, json: bool) -> Result<ExitCode, Failure> {
    if let Some(topology) = &args.topology {
        return run_topology(topology, args, json);
    }
    let config: dev::File = config::load(args.config.as_deref(), &args.overrides())?;
    let definitions =
        config.definitions.iter().map(|path| definitions_file::read(path)).collect::<Result<Vec<_>, _>>()?;
    block_on(async move {
        let mut signals = Signals::listen()
            .map(Signals::with_terminal)
            .map_err(|error| Failure::rejected(format!("cannot listen for signals: {error}")))?;
        let plan = Plan {
            data_dir: config.data_dir,
            edges: config.edges,
            leader_listen: config.leader_listen,
            edge_listen: config.listen,
            leader_config: config.leader_config,
            edge_config: config.edge_config,
        };
        let mut cluster = tokio::select! {
            started = Cluster::start(plan) => started?,
            _ = signals.next() => return Ok(ExitCode::SUCCESS),
        };
        let served = async {
            for file in &definitions {
                apply_all(&target::client(&cluster.leader.url())?, file).await?;
            }
            announce(&cluster, json)?;
            tokio::select! {
                failure = cluster.any_ended() => Err(failure),
                _ = signals.next() => Ok(ExitCode::SUCCESS),
            }
        }
        .await;
        cluster.stop().await;
        served
    })
}

fn announce(cluster: &Cluster, json: bool) -> Result<(), Failure> {
    let first = cluster.edges.first().ok_or_else(|| Failure::rejected("there is no edge"))?;
    let ready = Ready {
        role: "dev".to_owned(),
        name: "dev".to_owned(),
        door: first.ready.door,
        peer: cluster.leader.ready.peer,
        admin: None,
        dns: None,
        leader: Some(cluster.leader.ready.door),
        edges: cluster.edges.iter().map(|edge| edge.ready.door).collect(),
    };
    ready.announce(json)
}

/// Runs a topology's regions and a router until Ctrl-C or until a node ends by itself.
fn run_topology(topology: &Path, args: &Args, json: bool) -> Result<ExitCode, Failure> {
    let plan = regions::Plan {
        topology: read_topology(topology).map_err(Failure::usage)?,
        data_dir: args.data_dir.clone().unwrap_or_else(|| PathBuf::from(".littoral/regions")),
        listen: args.listen.unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 6560))),
        fixed: true,
        apart: false,
        clocks: false,
        router_everywhere: false,
        lease: Profile::Default,
        routers: 1,
        program: Program::default(),
        seed: 0,
        tls: args.tls,
    };
    block_on(async move {
        let mut signals = Signals::listen()
            .map(Signals::with_terminal)
            .map_err(|error| Failure::rejected(format!("cannot listen for signals: {error}")))?;
        let mut regions = tokio::select! {
            started = Regions::start(plan) => started?,
            _ = signals.next() => return Ok(ExitCode::SUCCESS),
        };
        let door = |door: &String| door.parse().ok();
        let ready = Ready {
            edges: regions
                .topology
                .regions
                .iter()
                .flat_map(|region| &region.edges)
                .filter_map(|e| door(&e.door))
                .collect(),
            leader: regions
                .topology
                .regions
                .first()
                .and_then(|region| region.leaders().next())
                .and_then(|(_, leader)| leader.parse().ok()),
            ..Ready::node("dev", &regions.topology.name, regions.router()?, None)
        };
        let served = match ready.announce(json) {
            Err(failure) => Err(failure),
            Ok(()) => loop {
                tokio::select! {
                    failure = regions.any_ended() => break Err(failure),
                    _ = signals.next() => break Ok(ExitCode::SUCCESS),
                    () = tokio::time::sleep(LOOK_EVERY) => {}
                }
                // The router reads a file of its own, because its connections go through links. Copies the roles from
                // the user's file to it.
                if let Err(failure) = take_roles(&mut regions, topology) {
                    tracing::warn!(%failure, "the topology file is invalid and was ignored; correct it");
                }
            },
        };
        regions.stop().await;
        served
    })
}

/// Sets the regions' roles and weights to those in the file.
fn take_roles(regions: &mut Regions, file: &Path) -> Result<(), Failure> {
    for wanted in read_topology(file).map_err(Failure::usage)?.regions {
        let now = regions.region(wanted.name).map(|region| (region.role, region.weight));
        if now.is_some_and(|now| now != (wanted.role, wanted.weight)) {
            regions.set_role(wanted.name, wanted.role, wanted.weight)?;
        }
    }
    Ok(())
}
