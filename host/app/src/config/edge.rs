//! An edge's file.

use crate::{
    config::{load, sections::Shutdown},
    node::process::Common,
};
use littoral_runtime::{logging, workers};
use serde::Deserialize;
use std::{net::SocketAddr, path::PathBuf};

/// Everything that can be set for an edge.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// `edge`; looked at before the rest is read.
    #[serde(rename = "role")]
    _role: String,
    /// The node's name in status, logs and metrics.
    #[serde(default = "name")]
    pub name: String,
    /// Where a snapshot for a warm restart and compiled modules are kept.
    #[serde(default = "data_dir")]
    pub data_dir: PathBuf,
    /// Where clients connect.
    #[serde(default = "listen")]
    pub listen: SocketAddr,
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
    "edge".to_owned()
}

fn data_dir() -> PathBuf {
    PathBuf::from(".littoral/edge")
}

fn listen() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 6566))
}

impl load::File for File {
    const ROLE: &'static str = "edge";
    const SECTIONS: &'static [&'static str] = &["shutdown", "workers", "logging"];
    const TOP: &'static [&'static str] = &["name", "data_dir", "listen"];
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
