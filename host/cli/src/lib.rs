//! What all commands of `littoral` share, wherever they are defined: how a command fails, what it prints, the ready
//! line, and the node that it addresses.

#![warn(clippy::unwrap_used)]

pub mod failure;
pub mod output;
pub mod ready;
pub mod target;

pub use failure::Failure;

use std::process::ExitCode;

/// Runs a command that sends requests to nodes, on a tokio runtime of its own.
///
/// # Errors
/// When worker threads cannot be started; otherwise the command's own.
pub fn block_on(command: impl Future<Output = Result<ExitCode, Failure>>) -> Result<ExitCode, Failure> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| Failure::rejected(format!("cannot start worker threads: {error}")))?
        .block_on(command)
}
