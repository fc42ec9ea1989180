//! `littoral edge`: holds a replica of its leader and answers reads.

use crate::{
    commands::node::NodeArgs,
    config::{self, Override, edge},
    failure::Failure,
    node,
};
use std::process::ExitCode;

/// `littoral edge ...`. Every flag overrides the environment, which overrides the file.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    node: NodeArgs,
    /// The leader's peer address, as its ready line says it [default: 127.0.0.1:7071].
    #[arg(long, value_name = "ADDR")]
    leader: Option<String>,
}

impl Args {
    fn overrides(&self) -> Vec<Override> {
        let mut all = self.node.overrides::<edge::File>();
        all.extend(
            self.leader
                .as_ref()
                .map(|leader| Override::flag("--leader", "edge.leader.addresses", format!("[{leader:?}]"))),
        );
        all
    }
}

/// Runs an edge until it is asked to stop.
///
/// # Errors
/// When the configuration is at fault or an address is taken.
pub fn run(args: &Args, json: bool) -> Result<ExitCode, Failure> {
    let config: edge::File = config::load(args.node.config.as_deref(), &args.overrides())?;
    node::process::run(&config.common(), args.node.with_parent, |tasks| node::edge::start(config.clone(), tasks, json))
}
