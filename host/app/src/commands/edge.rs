//! `littoral edge`: holds a replica of its leader and answers reads; `littoral edge adopt` has a running one take another log.

use crate::{
    commands::{
        node::NodeArgs,
        target::{Target, failed},
    },
    config::{self, Override, edge},
    failure::Failure,
    node, output,
};
use littoral_model::adoption::OfferedLog;
use std::process::ExitCode;

/// `littoral edge ...`. Every flag overrides the environment, which overrides the file.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Args {
    #[command(subcommand)]
    action: Option<Action>,
    #[command(flatten)]
    node: NodeArgs,
    /// The leader's peer address, as its ready line says it [default: 127.0.0.1:7071].
    #[arg(long, value_name = "ADDR")]
    leader: Option<String>,
}

/// What is done with an edge that runs.
#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Have an edge take the log that its leader offers and that it refuses, as it holds rows of another: a snapshot of it
    /// replaces them.
    Adopt {
        /// The log, as the edge's log names it [default: the one that was offered last].
        #[arg(long, value_name = "LOG")]
        log: Option<String>,
        #[command(flatten)]
        target: Target,
    },
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

/// Runs an edge until it is asked to stop, or asks one.
///
/// # Errors
/// When the configuration is at fault or an address is taken; when the edge cannot be asked, or has refused no such log.
pub fn run(args: &Args, json: bool) -> Result<ExitCode, Failure> {
    if let Some(Action::Adopt { log, target }) = &args.action {
        return adopt(log.as_deref(), target, json);
    }
    let config: edge::File = config::load(args.node.config.as_deref(), &args.overrides())?;
    node::process::run(&config.common(), args.node.with_parent, |tasks| node::edge::start(config.clone(), tasks, json))
}

fn adopt(log: Option<&str>, target: &Target, json: bool) -> Result<ExitCode, Failure> {
    super::block_on(async {
        let adopted = target.client()?.adopt(log).await.map_err(failed)?;
        output::answer(json, &adopted, |adopted: &OfferedLog| {
            format!(
                "{adopted} is taken; its snapshot replaces what the edge holds, and the local snapshot of before is kept\n"
            )
        })?;
        Ok(ExitCode::SUCCESS)
    })
}
