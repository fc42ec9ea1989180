//! Derives from a node's configuration what is to be checked around the node.

use super::{
    at_rest::{self, Stored},
    disk,
    finding::Finding,
    host,
    peers::{self, Neighbour, Service},
};
use crate::{
    commands::node::environment,
    config::{Problem, edge, leader, load, overrides, router},
    failure::Failure,
    node::{door, process::Common, tls},
};
use littoral_router::watch::read_topology;
use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

/// The surroundings of a node.
pub struct Surroundings {
    /// The settings of its process.
    common: Common,
    /// The addresses of its listeners, with their keys.
    listeners: Vec<(&'static str, SocketAddr)>,
    /// Its data directory, with its key.
    data_dir: Option<(&'static str, PathBuf)>,
    /// Its stored files, if they may be encrypted.
    stored: Option<Stored>,
    /// The most memory that its rows may take, in bytes, and the keys that set it.
    rows: Option<(&'static str, u64)>,
    /// The nodes that it connects to.
    neighbours: Vec<Neighbour>,
}

impl Surroundings {
    /// Loads a node's configuration.
    ///
    /// # Errors
    /// If it is invalid, or not that of a leader, an edge or a router.
    pub fn load(path: &Path) -> Result<Self, Failure> {
        let text = std::fs::read_to_string(path).map_err(|error| Problem::unreadable(path, &error))?;
        let table = toml::from_str(&text).map_err(|error| Problem::in_file(path, &text, &error))?;
        match load::role_of(path, &table)?.as_str() {
            "leader" => Ok(Self::of_leader(&loaded(path)?)),
            "edge" => Ok(Self::of_edge(&loaded(path)?)),
            "router" => Self::of_router(&loaded(path)?),
            role => Err(Failure::usage(format!(
                "{}: its role is '{role}'; name the configuration of a leader, an edge or a router",
                path.display()
            ))),
        }
    }

    fn of_leader(file: &leader::File) -> Self {
        let leader = file.leader();
        let members = leader.members.iter().filter(|member| member.name != leader.name);
        let members = members.map(|member| Neighbour::peer(format!("member '{}'", member.name), &member.peer));
        let regions = leader.regions.iter().flat_map(|region| {
            region.peers.iter().map(|peer| Neighbour::peer(format!("region '{}'", region.name), peer))
        });
        Self {
            common: file.common(),
            listeners: listeners([("listen", file.listen), ("peer_listen", file.peer_listen)], file.admin_listen),
            data_dir: Some(("leader.data_dir", leader.data_dir.clone())),
            stored: None,
            rows: Some(("leader.rows_bytes_max", leader.rows_bytes_max())),
            neighbours: members.chain(regions).collect(),
        }
    }

    fn of_edge(file: &edge::File) -> Self {
        let edge = &file.edge;
        let door = [Some(("listen", file.listen)), file.peer_listen.map(|address| ("peer_listen", address))];
        let rows = edge.full_bytes_max.saturating_add(edge.resident_bytes_max);
        Self {
            common: file.common(),
            listeners: listeners(door.into_iter().flatten(), file.admin_listen),
            data_dir: edge.data_dir.clone().map(|path| ("edge.data_dir", path)),
            stored: Some(Stored {
                config: file.at_rest.clone(),
                data_dir: edge.data_dir.clone(),
                compiled: door::compiled(&file.modules, edge.data_dir.as_deref()),
            }),
            rows: Some(("edge.full_bytes_max and edge.resident_bytes_max", rows)),
            neighbours: edge.leader.leader.iter().map(|peer| Neighbour::peer("leader", peer)).collect(),
        }
    }

    fn of_router(file: &router::File) -> Result<Self, Failure> {
        let topology = read_topology(&file.router.topology).map_err(Failure::usage)?;
        let neighbours = topology.regions.iter().flat_map(|region| {
            let door = move |name: &str, address: &str| Neighbour {
                name: format!("'{name}' of region '{}'", region.name),
                address: address.to_owned(),
                service: Service::Door { region: region.name.to_string() },
            };
            let leaders = region.leaders().map(move |(name, address)| door(name, address));
            leaders.chain(region.edges.iter().map(move |edge| door(&edge.name, &edge.door)))
        });
        Ok(Self {
            common: file.common(),
            listeners: listeners([("listen", file.listen)], file.admin_listen),
            data_dir: None,
            stored: None,
            rows: None,
            neighbours: neighbours.collect(),
        })
    }

    /// Checks everything.
    pub async fn check(&self) -> Vec<Finding> {
        let mut findings = vec![host::descriptors(&self.common.descriptors)];
        findings.extend(self.listeners.iter().map(|(key, address)| host::listener(key, *address)));
        findings.extend(self.rows.map(|(keys, bytes)| host::memory(keys, bytes)));
        if let Some((key, path)) = &self.data_dir {
            findings.extend(disk::check(key, path));
        }
        findings.extend(self.stored.iter().flat_map(at_rest::check));
        let tls = match tls::load(&self.common.tls) {
            Ok(tls) => tls,
            Err(failure) => {
                findings.push(Finding::problem("certificate", failure.message, ""));
                return findings;
            }
        };
        findings.extend(tls.as_ref().map(host::certificate));
        let checks = self.neighbours.iter().map(|neighbour| peers::check(neighbour, tls.as_ref()));
        findings.extend(futures_util::future::join_all(checks).await.into_iter().flatten());
        findings
    }
}

fn loaded<F: load::File>(path: &Path) -> Result<F, Problem> {
    load::load(Some(path), &overrides::from_environment(environment(), F::SECTIONS, F::TOP))
}

fn listeners(
    own: impl IntoIterator<Item = (&'static str, SocketAddr)>,
    admin: Option<SocketAddr>,
) -> Vec<(&'static str, SocketAddr)> {
    own.into_iter().chain(admin.map(|address| ("admin_listen", address))).collect()
}
