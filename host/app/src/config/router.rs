//! A router's file.

use crate::{
    config::{
        load,
        sections::{self, Shutdown},
    },
    node::process::Common,
};
use littoral_runtime::{
    descriptors::{Bound, Needs},
    logging,
    metrics::table::Role,
    workers,
};
use serde::Deserialize;
use std::net::SocketAddr;

/// All settings of a router.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// `router`; checked before the rest is read.
    #[serde(rename = "role")]
    _role: String,
    /// Where clients connect.
    #[serde(default = "listen")]
    pub listen: SocketAddr,
    /// Where operators connect: metrics and status, which the door then no longer serves. Default: a door on a loopback
    /// address, or with `--insecure`, serves them; otherwise 127.0.0.1, at the door's port plus 1,000.
    #[serde(default)]
    pub admin_listen: Option<SocketAddr>,
    /// The router: its name, its topology, its bounds.
    #[serde(default)]
    pub router: littoral_router::Config,
    /// The certificate, and the roots that it trusts.
    #[serde(default)]
    pub tls: littoral_tls::Config,
    /// How the process stops.
    #[serde(default)]
    pub shutdown: Shutdown,
    /// Threads.
    #[serde(default)]
    pub workers: workers::Config,
    /// Logs.
    #[serde(default)]
    pub logging: logging::Config,
    /// Traces.
    #[serde(default)]
    pub traces: littoral_traces::Config,
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
        "router.trust",
        "router.place",
        "router.dns",
        "tls",
        "shutdown",
        "workers",
        "logging",
        "traces",
    ];
    const TOP: &'static [&'static str] = &["listen", "admin_listen"];

    fn misfits(&self) -> Vec<load::Misfit> {
        let problems = self.router.problems().into_iter();
        problems
            .map(|problem| load::Misfit::of("router", problem.key, problem.reason))
            .chain(sections::tls_misfits(&self.tls, false))
            .chain(sections::traces_misfits(&self.traces))
            .collect()
    }
}

/// A topology file; for `littoral config check`.
impl load::File for littoral_router::Topology {
    const ROLE: &'static str = "topology";
    const SECTIONS: &'static [&'static str] = &[];
    const TOP: &'static [&'static str] = &[];

    fn misfits(&self) -> Vec<load::Misfit> {
        let problems = self.problems().into_iter();
        problems.map(|problem| load::Misfit { key: problem.key, what: problem.what, remedy: problem.remedy }).collect()
    }
}

impl File {
    /// Returns the process's settings.
    pub fn common(&self) -> Common {
        let gateway = &self.router.gateway;
        Common {
            role: Role::Router,
            name: self.router.name.clone(),
            logging: self.logging.clone(),
            traces: self.traces.clone(),
            region: None,
            workers: self.workers.clone(),
            shutdown: self.shutdown.clone(),
            tls: self.tls.clone(),
            descriptors: Needs {
                // Each request in flight has a connection to a door.
                own: sections::DESCRIPTORS_OF_EVERY_NODE
                    .saturating_add(gateway.requests_max as u64)
                    .saturating_add(self.router.dns.connections_max as u64),
                peers: None,
                clients: Bound {
                    key: "router.gateway.connections_max",
                    connections: gateway.connections_max as u64,
                    reserve: littoral_router::gateway::CONNECTIONS_RESERVE as u64,
                },
            },
        }
    }
}
