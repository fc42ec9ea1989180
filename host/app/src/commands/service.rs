//! `littoral service`: feature services.

use crate::{commands::definitions::Action, failure::Failure};
use std::process::ExitCode;

/// `littoral service ...`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

/// WIRE
pub fn run(args: &Args, json: bool) -> Result<ExitCode, Failure> {
    let _ = (args, json);
    Err(Failure::refused("unwired"))
}
