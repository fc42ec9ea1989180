//! An edge's file.

use crate::{
    config::{load, sections::Shutdown},
    node::process::Common,
};
use littoral_feed::server as feed;
use littoral_runtime::{logging, workers};
use serde::Deserialize;
use std::net::SocketAddr;

/// Everything that can be set for an edge.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// `edge`; looked at before the rest is read.
    #[serde(rename = "role")]
    _role: String,
    /// Where clients connect.
    #[serde(default = "listen")]
    pub listen: SocketAddr,
    /// Where edges that follow this one connect; without it nothing is served onward.
    #[serde(default)]
    pub peer_listen: Option<SocketAddr>,
    /// The replica: its name, its leader, its memory.
    #[serde(default)]
    pub edge: littoral_edge::Config,
    /// The peer listener's bounds.
    #[serde(default)]
    pub feed: feed::Config,
    /// The door's bounds.
    #[serde(default)]
    pub door: littoral_gateway::Config,
    /// The sandbox's bounds.
    #[serde(default)]
    pub modules: littoral_sandbox::Config,
    /// How the process stops.
    #[serde(default)]
    pub shutdown: Shutdown,
    /// Threads.
    #[serde(default)]
    pub workers: workers::Config,
    /// Logs.
    #[serde(default)]
    pub logging: logging::Config,
}

fn listen() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 6566))
}

impl load::File for File {
    const ROLE: &'static str = "edge";
    const SECTIONS: &'static [&'static str] =
        &["edge", "edge.leader", "feed", "door", "modules", "shutdown", "workers", "logging"];
    const TOP: &'static [&'static str] = &["listen", "peer_listen"];

    fn check(&self) -> Result<(), load::Misfit> {
        let relay = || if self.peer_listen.is_some() { self.edge.check_relay() } else { Ok(()) };
        self.edge.check().and_then(|()| relay()).map_err(|error| load::Misfit {
            key: format!("edge.{}", error.key),
            what: error.reason,
            remedy: String::new(),
        })
    }
}

impl File {
    /// The process's settings.
    pub fn common(&self) -> Common {
        Common {
            name: self.edge.name.clone(),
            logging: self.logging.clone(),
            workers: self.workers.clone(),
            shutdown: self.shutdown.clone(),
        }
    }
}
