//! A router's file.

use crate::{
    config::{load, sections::Shutdown},
    node::process::Common,
};
use littoral_runtime::{logging, workers};
use serde::Deserialize;
use std::net::SocketAddr;

/// Everything that can be set for a router.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// `router`; looked at before the rest is read.
    #[serde(rename = "role")]
    _role: String,
    /// Where clients connect.
    #[serde(default = "listen")]
    pub listen: SocketAddr,
    /// The router: its name, its topology, its bounds.
    #[serde(default)]
    pub router: littoral_router::Config,
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
    SocketAddr::from(([127, 0, 0, 1], 6560))
}

impl load::File for File {
    const ROLE: &'static str = "router";
    const SECTIONS: &'static [&'static str] = &[
        "router",
        "router.gateway",
        "router.health",
        "router.outlier",
        "router.retry",
        "router.hedge",
        "router.place",
        "router.dns",
        "shutdown",
        "workers",
        "logging",
    ];
    const TOP: &'static [&'static str] = &["listen"];

    fn check(&self) -> Result<(), load::Misfit> {
        self.router.check().map_err(|error| load::Misfit {
            key: format!("router.{}", error.key),
            what: error.reason,
            remedy: String::new(),
        })
    }
}

/// A topology's file, as far as `littoral config check` is concerned.
impl load::File for littoral_router::Topology {
    const ROLE: &'static str = "topology";
    const SECTIONS: &'static [&'static str] = &[];
    const TOP: &'static [&'static str] = &[];

    fn check(&self) -> Result<(), load::Misfit> {
        littoral_router::Topology::check(self).map_err(|error| load::Misfit {
            key: error.key,
            what: error.what,
            remedy: error.remedy,
        })
    }
}

impl File {
    /// The process's settings.
    pub fn common(&self) -> Common {
        Common {
            name: self.router.name.clone(),
            logging: self.logging.clone(),
            workers: self.workers.clone(),
            shutdown: self.shutdown.clone(),
        }
    }
}
