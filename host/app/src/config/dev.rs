//! The file of `littoral dev`.

use crate::config::load;
use serde::Deserialize;
use std::{net::SocketAddr, path::PathBuf};

/// The maximum number of edges: each is a process with its own threads on this machine.
const EDGES_MAX: usize = 32;

/// All settings of a local cluster.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct File {
    /// `dev`; checked before the rest is read.
    #[serde(rename = "role")]
    _role: String,
    /// How many edges.
    pub edges: usize,
    /// Where the nodes keep their data and logs.
    pub data_dir: PathBuf,
    /// The first edge's door; the others listen on ports that the system chooses.
    pub listen: SocketAddr,
    /// The leader's door.
    pub leader_listen: SocketAddr,
    /// The leader's configuration file, relative to the working directory.
    pub leader_config: Option<PathBuf>,
    /// The edges' configuration file, relative to the working directory.
    pub edge_config: Option<PathBuf>,
    /// Files of definitions that are applied at the start.
    pub definitions: Vec<PathBuf>,
}

impl Default for File {
    fn default() -> Self {
        Self {
            _role: "dev".to_owned(),
            edges: 2,
            data_dir: PathBuf::from(".littoral/dev"),
            listen: SocketAddr::from(([127, 0, 0, 1], 6566)),
            leader_listen: SocketAddr::from(([127, 0, 0, 1], 6565)),
            leader_config: None,
            edge_config: None,
            definitions: Vec::new(),
        }
    }
}

impl load::File for File {
    const ROLE: &'static str = "dev";
    const SECTIONS: &'static [&'static str] = &[];
    const TOP: &'static [&'static str] =
        &["edges", "data_dir", "listen", "leader_listen", "leader_config", "edge_config", "definitions"];

    fn misfits(&self) -> Vec<load::Misfit> {
        if (1..=EDGES_MAX).contains(&self.edges) {
            return Vec::new();
        }
        vec![load::Misfit {
            key: "edges".to_owned(),
            what: format!("{} edges cannot run here", self.edges),
            remedy: format!("use 1 to {EDGES_MAX}"),
        }]
    }
}
