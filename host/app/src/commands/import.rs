//! `littoral import`: takes over definitions of another system.

use crate::failure::Failure;
use clap::Subcommand;
use std::{path::PathBuf, process::ExitCode};

/// `littoral import ...`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Import a Feast registry file: entities, feature views, on-demand views as module bindings, feature services and
    /// push sources.
    Feast {
        /// The registry, as Feast's file registry writes it (`registry.db`).
        registry: PathBuf,
        /// The leader's door, or an edge's.
        #[arg(long, value_name = "URL", env = "LITTORAL_URL", default_value = "http://127.0.0.1:6566")]
        leader: String,
        /// Show what would be imported, and import nothing.
        #[arg(long)]
        dry_run: bool,
    },
}

/// WIRE
pub fn run(args: &Args, json: bool) -> Result<ExitCode, Failure> {
    let _ = (args, json);
    Err(Failure::refused("unwired"))
}
