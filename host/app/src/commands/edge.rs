//! `littoral edge`: holds a replica of its leader and answers reads. `littoral edge adopt` makes a running edge adopt
//! another log.

use crate::{
    commands::{
        node::NodeArgs,
        target::{Target, failed},
    },
    config::{Override, edge},
    failure::Failure,
    node::{self, reload::Source},
    output,
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
    /// The leader's peer address, as its ready line prints it [default: 127.0.0.1:7071].
    #[arg(long, value_name = "ADDR")]
    leader: Option<String>,
}

/// Actions on a running edge.
#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Make an edge adopt the log that its leader offers and that the edge rejected because it holds rows of another
    /// log. A snapshot of the adopted log replaces those rows.
    Adopt {
        /// The name of the log, as the edge logged it [default: the log that was offered last].
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

/// Runs an edge until it is stopped, or sends a command to a running one.
///
/// # Errors
/// If the configuration is invalid or an address is in use; if the edge cannot be reached, or was not offered such a
/// log.
pub fn run(args: &Args, json: bool) -> Result<ExitCode, Failure> {
    if let Some(Action::Adopt { log, target }) = &args.action {
        return adopt(log.as_deref(), target, json);
    }
    let (config, source) = Source::load::<edge::File>(args.node.config.clone(), args.overrides())?;
    node::process::run(&config.common(), source, args.node.options(), |tasks| {
        node::edge::start(config.clone(), tasks, json)
    })
}

fn adopt(log: Option<&str>, target: &Target, json: bool) -> Result<ExitCode, Failure> {
    super::block_on(async {
        let adopted = target.client()?.adopt(log).await.map_err(failed)?;
        output::answer(json, &adopted, |adopted: &OfferedLog| {
            format!(
                "{adopted} is adopted; its snapshot replaces the edge's rows, and the previous local snapshot is kept\n"
            )
        })?;
        Ok(ExitCode::SUCCESS)
    })
}
