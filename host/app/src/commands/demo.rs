//! `littoral demo`: shows everything at work on this machine.

use crate::{demo, failure::Failure};
use std::process::ExitCode;

/// `littoral demo ...`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Keep the data directory, with every node's log, and say where it is.
    #[arg(long)]
    keep: bool,
}

/// Runs the demo.
///
/// # Errors
/// The first thing that does not hold.
pub fn run(args: &Args, json: bool) -> Result<ExitCode, Failure> {
    super::block_on(demo::run(args.keep, json))
}
