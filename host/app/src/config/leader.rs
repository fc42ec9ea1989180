//! A leader's file.

use crate::{
    config::{load, sections::Shutdown},
    node::process::Common,
};
use littoral_feed::server as feed;
use littoral_model::region::Region;
use littoral_runtime::{logging, workers};
use serde::Deserialize;
use std::{net::SocketAddr, path::PathBuf};

/// Everything that can be set for a leader.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// `leader`; looked at before the rest is read.
    #[serde(rename = "role")]
    _role: String,
    /// The node's name in status, logs and metrics.
    #[serde(default = "name")]
    pub name: String,
    /// The region whose leader this is.
    #[serde(default = "region")]
    pub region: Region,
    /// Where the log and the modules are kept.
    #[serde(default = "data_dir")]
    pub data_dir: PathBuf,
    /// Where clients connect.
    #[serde(default = "listen")]
    pub listen: SocketAddr,
    /// Where edges connect.
    #[serde(default = "peer_listen")]
    pub peer_listen: SocketAddr,
    /// The peer listener's bounds.
    #[serde(default)]
    pub feed: feed::Config,
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

fn name() -> String {
    "leader".to_owned()
}

fn region() -> Region {
    // A constant that the test below reads; were it no region's name, `Region` itself would say so there.
    "local".parse().unwrap_or_else(|error| unreachable!("{error}"))
}

fn data_dir() -> PathBuf {
    PathBuf::from(".littoral/leader")
}

fn listen() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 6565))
}

fn peer_listen() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 7071))
}

impl load::File for File {
    const ROLE: &'static str = "leader";
    const SECTIONS: &'static [&'static str] = &["feed", "shutdown", "workers", "logging"];
    const TOP: &'static [&'static str] = &["name", "region", "data_dir", "listen", "peer_listen"];
}

impl File {
    /// The process's settings.
    pub fn common(&self) -> Common {
        Common {
            name: self.name.clone(),
            logging: self.logging.clone(),
            workers: self.workers.clone(),
            shutdown: self.shutdown.clone(),
        }
    }
}
