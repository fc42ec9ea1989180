//! An edge's file.

use crate::{
    config::{
        load,
        sections::{self, Shutdown},
    },
    node::process::Common,
};
use littoral_feed::server as feed;
use littoral_model::format::ProtocolVersion;
use littoral_runtime::{descriptors::Needs, logging, metrics::table::Role, workers};
use serde::Deserialize;
use std::net::SocketAddr;

/// All settings of an edge.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// `edge`; checked before the rest is read.
    #[serde(rename = "role")]
    _role: String,
    /// Where clients connect.
    #[serde(default = "listen")]
    pub listen: SocketAddr,
    /// Where operators connect: metrics, status and administration. Default: the door itself if it has no
    /// authentication; otherwise 127.0.0.1, at the door's port plus 1,000.
    #[serde(default)]
    pub admin_listen: Option<SocketAddr>,
    /// Where edges connect that follow this one; without it, the edge is not a relay.
    #[serde(default)]
    pub peer_listen: Option<SocketAddr>,
    /// The newest protocol version that the node speaks and logs.
    #[serde(default)]
    pub protocol_version: ProtocolVersion,
    /// The replica: its name, its leader, its memory.
    #[serde(default)]
    pub edge: littoral_edge::Config,
    /// The peer listener's bounds.
    #[serde(default)]
    pub feed: feed::Config,
    /// The door's bounds.
    #[serde(default)]
    pub door: littoral_doors::Config,
    /// Who may send requests.
    #[serde(default)]
    pub auth: littoral_auth::Config,
    /// The sandbox's bounds.
    #[serde(default)]
    pub modules: littoral_sandbox::Config,
    /// The certificate, and the roots that it trusts.
    #[serde(default)]
    pub tls: littoral_tls::Config,
    /// How stored files are encrypted.
    #[serde(default)]
    pub at_rest: littoral_at_rest::Config,
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
    SocketAddr::from(([127, 0, 0, 1], 6566))
}

impl load::File for File {
    const ROLE: &'static str = "edge";
    const SECTIONS: &'static [&'static str] = &[
        "edge",
        "edge.leader",
        "feed",
        "door",
        "auth",
        "auth.trust",
        "modules",
        "tls",
        "at_rest",
        "shutdown",
        "workers",
        "logging",
        "traces",
    ];
    const TOP: &'static [&'static str] = &["listen", "peer_listen", "admin_listen", "protocol_version"];

    fn misfits(&self) -> Vec<load::Misfit> {
        let relay = self.peer_listen.iter().flat_map(|_| self.edge.problems_of_relay());
        let edge = self.edge.problems().into_iter().chain(relay);
        let at_rest = self.at_rest.problems().into_iter();
        edge.map(|problem| load::Misfit::of("edge", problem.key, problem.reason))
            .chain(at_rest.map(|problem| load::Misfit::of("at_rest", problem.key, problem.reason)))
            .chain(sections::misfits(&self.feed, &self.door, &self.modules, &self.auth))
            .chain(sections::tls_misfits(&self.tls, false))
            .chain(sections::grants_misfit(&self.feed, &self.tls))
            .chain(sections::traces_misfits(&self.traces))
            .collect()
    }
}

impl File {
    /// Returns the settings of the peer listener, including those at the top of the file.
    pub fn feed(&self) -> feed::Config {
        feed::Config { version: self.protocol_version, ..self.feed.clone() }
    }

    /// Returns the process's settings.
    pub fn common(&self) -> Common {
        Common {
            role: Role::Edge,
            name: self.edge.name.clone(),
            logging: self.logging.clone(),
            traces: self.traces.clone(),
            region: self.edge.region.map(|region| region.to_string()),
            workers: self.workers.clone(),
            shutdown: self.shutdown.clone(),
            tls: self.tls.clone(),
            descriptors: Needs {
                own: sections::DESCRIPTORS_OF_EVERY_NODE,
                peers: self.peer_listen.map(|_| sections::peers(&self.feed)),
                clients: sections::clients(&self.door),
            },
        }
    }
}
