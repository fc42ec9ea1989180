//! Which node a command talks to, and how its refusals end the command.

use crate::failure::Failure;
use littoral_client::{Client, Config, Error};

/// The node to talk to.
#[derive(Clone, Debug, clap::Args)]
pub struct Target {
    /// The node's door: a leader, or an edge, which passes writes on to its leader.
    #[arg(long, value_name = "URL", env = "LITTORAL_URL", default_value = "http://127.0.0.1:6566")]
    pub to: String,
}

impl Target {
    /// A client of the node.
    ///
    /// # Errors
    /// When the address cannot be used.
    pub fn client(&self) -> Result<Client, Failure> {
        client(&self.to)
    }
}

/// A client of the node at `url`.
///
/// # Errors
/// When the address cannot be used.
pub fn client(url: &str) -> Result<Client, Failure> {
    Client::new(url, Config::default()).map_err(failed)
}

/// What a call's error means for the command.
pub fn failed(error: Error) -> Failure {
    match &error {
        Error::Address { .. } | Error::Request(_) => Failure::usage(error),
        Error::Connect { .. } | Error::Timeout { .. } | Error::Transport { .. } => Failure::unreachable(error),
        _ => Failure::refused(error),
    }
}
