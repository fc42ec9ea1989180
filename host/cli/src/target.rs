//! The node to which a command is sent, and how its errors end the command.

use crate::Failure;
use littoral_client::{Client, Config, Error};

/// The node to which the command is sent.
#[derive(Clone, Debug, clap::Args)]
pub struct Target {
    /// The URL of the node's door: a leader, or an edge, which forwards writes to its leader.
    #[arg(long, value_name = "URL", env = "LITTORAL_URL", default_value = "http://127.0.0.1:6566")]
    pub to: String,
}

impl Target {
    /// Returns a client of the node.
    ///
    /// # Errors
    /// If the address is invalid.
    pub fn client(&self) -> Result<Client, Failure> {
        client(&self.to)
    }
}

/// Returns a client of the node at `url`.
///
/// # Errors
/// If the address is invalid.
pub fn client(url: &str) -> Result<Client, Failure> {
    Client::new(url, Config::default()).map_err(failed)
}

/// Converts a call's error to the command's failure.
#[must_use]
pub fn failed(error: Error) -> Failure {
    match &error {
        Error::Address { .. } | Error::Request(_) => Failure::usage(error),
        Error::Connect { .. } | Error::Timeout { .. } | Error::Transport { .. } => Failure::unreachable(error),
        _ => Failure::refused(error),
    }
}
