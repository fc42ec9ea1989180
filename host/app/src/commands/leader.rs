//! `littoral leader`: takes writes, keeps the log, feeds edges.

use crate::{
    commands::node::NodeArgs,
    config::{self, Override, leader},
    failure::Failure,
    node,
};
use std::{net::SocketAddr, path::PathBuf, process::ExitCode};

/// `littoral leader ...`. Every flag overrides the environment, which overrides the file.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    node: NodeArgs,
    /// The region whose leader this is [default: local].
    #[arg(long)]
    region: Option<String>,
    /// Where edges connect [default: 127.0.0.1:7071]; port 0 lets the system choose.
    #[arg(long, value_name = "ADDR")]
    peer_listen: Option<SocketAddr>,
    /// Begin all of a new cluster here: with other regions configured, a leader whose directory is empty takes no writes before
    /// one of them has vouched for the cluster, or all of them are as empty.
    #[arg(long)]
    init: bool,
    /// Adds to the clock as many milliseconds as this file says: what drills break.
    #[arg(long, hide = true, value_name = "FILE")]
    drill_clock: Option<PathBuf>,
}

impl Args {
    fn overrides(&self) -> Vec<Override> {
        let mut all = self.node.overrides::<leader::File>();
        all.extend(self.region.as_ref().map(|region| Override::flag("--region", "leader.region", region)));
        all.extend(self.peer_listen.map(|address| Override::flag("--peer-listen", "peer_listen", address)));
        all
    }
}

/// Runs a leader until it is asked to stop.
///
/// # Errors
/// When the configuration is at fault, an address is taken, or the log cannot be read.
pub fn run(args: &Args, json: bool) -> Result<ExitCode, Failure> {
    let mut config: leader::File = config::load(args.node.config.as_deref(), &args.overrides())?;
    config.init = args.init;
    node::process::run(&config.common(), args.node.with_parent, |tasks| {
        node::leader::start(config.clone(), args.drill_clock.clone(), tasks, json)
    })
}
