//! `littoral demo`: shows everything at work on this machine.

use crate::failure::Failure;
use std::process::ExitCode;

/// `littoral demo ...`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Keep the data directory, with every node's log, and say where it is.
    #[arg(long)]
    keep: bool,
}

/// WIRE
pub fn run(args: &Args, json: bool) -> Result<ExitCode, Failure> {
    let _ = (args, json);
    Err(Failure::refused("unwired"))
}
