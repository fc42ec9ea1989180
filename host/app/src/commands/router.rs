//! `littoral router`: sends each request to the nearest healthy place.

use crate::{
    commands::node::environment,
    config::{self, Override, load::File as _, overrides, router},
    failure::Failure,
    node,
};
use std::{net::SocketAddr, path::PathBuf, process::ExitCode};

/// `littoral router ...`. Every flag overrides the environment, which overrides the file.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The configuration file; without one the defaults hold.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The router's name in status, logs and metrics.
    #[arg(long)]
    name: Option<String>,
    /// The topology's file [default: edge-config/topology-two-regions.toml].
    #[arg(long, value_name = "FILE")]
    topology: Option<PathBuf>,
    /// Where clients connect [default: 127.0.0.1:6560]; port 0 lets the system choose, and the ready line says what it
    /// chose.
    #[arg(long, value_name = "ADDR")]
    listen: Option<SocketAddr>,
    /// Where the DNS responder listens, over UDP and TCP [default: nowhere].
    #[arg(long, value_name = "ADDR")]
    dns_listen: Option<SocketAddr>,
    /// Ends when standard input does, so that no router outlives what started it.
    #[arg(long, hide = true)]
    with_parent: bool,
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

/// Runs a router until it is asked to stop.
///
/// # Errors
/// When the configuration or the topology is at fault, or an address is taken.
pub fn run(args: &Args, json: bool) -> Result<ExitCode, Failure> {
    let config: router::File = config::load(args.config.as_deref(), &args.overrides())?;
    node::process::run(&config.common(), args.with_parent, |tasks| node::router::start(config.clone(), tasks, json))
}
