//! `littoral module-compile`: the sandbox's child process that compiles one untrusted component. Compiling is not
//! protected against components that make it slow or large, so it is done where it can be limited and killed.

use crate::failure::Failure;
use std::process::ExitCode;

/// `littoral module-compile ...`.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// WIRE
pub fn run(args: &Args) -> Result<ExitCode, Failure> {
    let _ = args;
    Err(Failure::refused("unwired"))
}
