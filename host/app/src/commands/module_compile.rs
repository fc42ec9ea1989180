//! `littoral module-compile`: the sandbox's child process that compiles one untrusted component.

use crate::failure::Failure;
use std::process::ExitCode;

/// `littoral module-compile ...`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The arguments from the sandbox.
    arguments: Vec<String>,
}

/// Compiles standard input to standard output.
///
/// # Errors
/// Never. The exit code and standard error report the result to the sandbox.
pub fn run(args: &Args) -> Result<ExitCode, Failure> {
    Ok(littoral_sandbox::compile_child::main(&args.arguments))
}
