//! `littoral bench`: measures speed and memory beside the floor of this machine.

use crate::failure::Failure;
use std::process::ExitCode;

/// `littoral bench ...`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Run only the measurement of this name; repeat it for more.
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
}

/// WIRE
pub fn run(args: &Args, json: bool) -> Result<ExitCode, Failure> {
    let _ = (args, json);
    Err(Failure::refused("unwired"))
}
