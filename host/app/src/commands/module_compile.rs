//! `littoral module-compile`: the sandbox's child process that compiles one untrusted component.

use crate::failure::Failure;
use std::process::ExitCode;

/// `littoral module-compile ...`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What the sandbox passes on.
    arguments: Vec<String>,
}

/// Compiles standard input to standard output.
///
/// # Errors
/// Never; the exit code and standard error tell the sandbox.
pub fn run(args: &Args) -> Result<ExitCode, Failure> {
    Ok(littoral_sandbox::compile_child::main(&args.arguments))
}
