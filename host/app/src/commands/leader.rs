//! `littoral leader`: accepts writes, keeps the log, feeds edges.

use crate::{
    commands::node::NodeArgs,
    config::{Override, leader},
    failure::Failure,
    node::{self, reload::Source},
};
use std::{net::SocketAddr, path::PathBuf, process::ExitCode};

/// `littoral leader ...`. Every flag overrides the environment, which overrides the file.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    node: NodeArgs,
    /// The leader's region [default: local].
    #[arg(long)]
    region: Option<String>,
    /// Where edges connect [default: 127.0.0.1:7071]. With port 0 the system chooses a port.
    #[arg(long, value_name = "ADDR")]
    peer_listen: Option<SocketAddr>,
    /// Found a new cluster with this leader. Without this flag, a leader with an empty directory and other regions in
    /// its configuration accepts no writes until one of them confirms the cluster or all of them are equally empty.
    #[arg(long)]
    init: bool,
    /// Add the milliseconds in this file to the clock; for drills.
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

/// Runs a leader until it is stopped.
///
/// # Errors
/// If the configuration is invalid, an address is in use, or the log cannot be read.
pub fn run(args: &Args, json: bool) -> Result<ExitCode, Failure> {
    let (mut config, source) = Source::load::<leader::File>(args.node.config.clone(), args.overrides())?;
    config.init = args.init;
    node::process::run(&config.common(), source, args.node.options(), |tasks| {
        node::leader::start(config.clone(), args.drill_clock.clone(), tasks, json)
    })
}
