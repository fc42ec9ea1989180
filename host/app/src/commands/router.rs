//! `littoral router`: sends each request to the nearest healthy edge.

use crate::{
    commands::node::environment,
    config::{Override, load::File as _, overrides, router},
    failure::Failure,
    node::{self, reload::Source},
};
use std::{net::SocketAddr, path::PathBuf, process::ExitCode};

/// `littoral router ...`. Every flag overrides the environment, which overrides the file.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The configuration file. Without one, the defaults apply.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The router's name in status, logs and metrics.
    #[arg(long)]
    name: Option<String>,
    /// The topology file [default: edge-config/topology-two-regions.toml].
    #[arg(long, value_name = "FILE")]
    topology: Option<PathBuf>,
    /// Where clients connect [default: 127.0.0.1:6560]. With port 0 the system chooses a port, which the ready line
    /// prints.
    #[arg(long, value_name = "ADDR")]
    listen: Option<SocketAddr>,
    /// Where the DNS responder listens, over UDP and TCP [default: not set; no responder runs].
    #[arg(long, value_name = "ADDR")]
    dns_listen: Option<SocketAddr>,
    /// Exit when standard input ends, so that the router does not outlive its parent process.
    #[arg(long, hide = true)]
    with_parent: bool,
    /// Listen beyond loopback without TLS.
    #[arg(long)]
    insecure: bool,
}

impl Args {
    fn overrides(&self) -> Vec<Override> {
        let mut all = overrides::from_environment(environment(), router::File::SECTIONS, router::File::TOP);
        let topology = self.topology.as_ref().map(|path| path.display().to_string());
        let flags = [
            ("--name", "router.name", self.name.clone()),
            ("--topology", "router.topology", topology),
            ("--listen", "listen", self.listen.map(|address| address.to_string())),
            ("--dns-listen", "router.dns.listen", self.dns_listen.map(|address| address.to_string())),
        ];
        all.extend(flags.into_iter().filter_map(|(flag, path, value)| Some(Override::flag(flag, path, value?))));
        all
    }
}

/// Runs a router until it is stopped.
///
/// # Errors
/// If the configuration or the topology is invalid, or an address is in use.
pub fn run(args: &Args, json: bool) -> Result<ExitCode, Failure> {
    let (config, source) = Source::load::<router::File>(args.config.clone(), args.overrides())?;
    let options = node::process::Options { with_parent: args.with_parent, insecure: args.insecure };
    node::process::run(&config.common(), source, options, |tasks| node::router::start(config.clone(), tasks, json))
}
