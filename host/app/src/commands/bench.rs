//! `littoral bench`: measures speed and memory beside the floor of this machine.

use crate::failure::Failure;
use std::process::ExitCode;

/// `littoral bench ...`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    bench: littoral_bench::Args,
}

/// Measures and prints the report.
///
/// # Errors
/// Never; what could not be measured is in the report and in the exit code.
pub fn run(args: &Args, json: bool) -> Result<ExitCode, Failure> {
    Ok(littoral_bench::main(&args.bench, json))
}
