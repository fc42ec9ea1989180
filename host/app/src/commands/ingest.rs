//! `littoral ingest`: loads rows.

use crate::{commands::target::Target, failure::Failure};
use clap::Subcommand;
use std::{path::PathBuf, process::ExitCode};

/// `littoral ingest ...`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Load Parquet files: columns are join keys, features and `event_timestamp`. A load that was cut goes on where it
    /// was when it is run again.
    Parquet {
        /// A file, or a directory whose `*.parquet` files are loaded in the order of their names.
        path: PathBuf,
        /// The view that the rows belong to.
        #[arg(long)]
        view: String,
        /// The node.
        #[command(flatten)]
        target: Target,
    },
}

/// WIRE
pub fn run(args: &Args, json: bool) -> Result<ExitCode, Failure> {
    let _ = (args, json);
    Err(Failure::refused("unwired"))
}
