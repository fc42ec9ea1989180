//! A leader's file.

use crate::{
    config::{load, sections::Shutdown},
    node::process::Common,
};
use littoral_feed::server as feed;
use littoral_leader::OtherRegion;
use littoral_model::region::Region;
use littoral_runtime::{logging, workers};
use serde::Deserialize;
use std::net::SocketAddr;

/// Everything that can be set for a leader.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// `leader`; looked at before the rest is read.
    #[serde(rename = "role")]
    _role: String,
    /// Where clients connect.
    #[serde(default = "listen")]
    pub listen: SocketAddr,
    /// Where edges connect.
    #[serde(default = "peer_listen")]
    pub peer_listen: SocketAddr,
    /// The region that changes of the catalogue go to.
    #[serde(default)]
    catalogue_home: Option<Region>,
    /// The other regions.
    #[serde(default)]
    regions: Vec<OtherRegion>,
    /// The leader: its name, its region, its log.
    #[serde(default)]
    leader: littoral_leader::Config,
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
    SocketAddr::from(([127, 0, 0, 1], 6565))
}

fn peer_listen() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 7071))
}

impl load::File for File {
    const ROLE: &'static str = "leader";
    const SECTIONS: &'static [&'static str] = &["leader", "feed", "door", "modules", "shutdown", "workers", "logging"];
    const TOP: &'static [&'static str] = &["listen", "peer_listen", "catalogue_home"];

    fn check(&self) -> Result<(), load::Misfit> {
        self.leader().check().map_err(|error| {
            let key = match error.key {
                "regions" | "catalogue_home" => error.key.to_owned(),
                key => format!("leader.{key}"),
            };
            load::Misfit { key, what: error.reason, remedy: String::new() }
        })
    }
}

impl File {
    /// The leader's settings, those at the top of the file among them.
    pub fn leader(&self) -> littoral_leader::Config {
        let (regions, catalogue_home) = (self.regions.clone(), self.catalogue_home);
        littoral_leader::Config { regions, catalogue_home, ..self.leader.clone() }
    }

    /// The process's settings.
    pub fn common(&self) -> Common {
        Common {
            name: self.leader.name.clone(),
            logging: self.logging.clone(),
            workers: self.workers.clone(),
            shutdown: self.shutdown.clone(),
        }
    }
}
