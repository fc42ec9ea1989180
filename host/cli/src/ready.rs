//! The ready line: what a server prints on standard output once its doors are open.

use std::{fmt, net::SocketAddr, str::FromStr};

/// Where a server listens.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Ready {
    /// `leader`, `edge`, `router` or `dev`.
    pub role: String,
    /// The node's name.
    pub name: String,
    /// Its door: HTTP for clients.
    pub door: SocketAddr,
    /// The peer listener of a leader or relay, to which edges connect.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peer: Option<SocketAddr>,
    /// The listener for administration, if the door does not serve it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub admin: Option<SocketAddr>,
    /// A router's DNS responder, over UDP and TCP.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dns: Option<SocketAddr>,
    /// The leader's door in a `dev` cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub leader: Option<SocketAddr>,
    /// Every edge's door in a `dev` cluster.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub edges: Vec<SocketAddr>,
}

/// A line that is not a ready line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a ready line: '{0}'")]
pub struct NotReady(String);

impl Ready {
    /// Returns a node's ready line; `peer` is for a leader or a relay.
    #[must_use]
    pub fn node(role: &str, name: &str, door: SocketAddr, peer: Option<SocketAddr>) -> Self {
        let (role, name) = (role.to_owned(), name.to_owned());
        Self { role, name, door, peer, admin: None, dns: None, leader: None, edges: Vec::new() }
    }

    /// Adds the address of the listener for administration.
    #[must_use]
    pub fn with_admin(self, admin: Option<SocketAddr>) -> Self {
        Self { admin, ..self }
    }

    /// Prints the line, with `--json` as one line of JSON.
    ///
    /// # Errors
    /// When standard output cannot be written to.
    pub fn announce(&self, json: bool) -> Result<(), crate::Failure> {
        let text = if json { serde_json::to_string(self).unwrap_or_default() } else { self.to_string() };
        crate::output::line(&text)
    }
}

impl fmt::Display for Ready {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ready door={}", self.door)?;
        if let Some(peer) = self.peer {
            write!(f, " peer={peer}")?;
        }
        if let Some(admin) = self.admin {
            write!(f, " admin={admin}")?;
        }
        if let Some(dns) = self.dns {
            write!(f, " dns={dns}")?;
        }
        if let Some(leader) = self.leader {
            write!(f, " leader={leader}")?;
        }
        if !self.edges.is_empty() {
            let edges: Vec<_> = self.edges.iter().map(SocketAddr::to_string).collect();
            write!(f, " edges={}", edges.join(","))?;
        }
        write!(f, " role={} name={}", self.role, self.name)
    }
}

impl FromStr for Ready {
    type Err = NotReady;

    fn from_str(line: &str) -> Result<Self, Self::Err> {
        let bad = || NotReady(line.chars().take(200).collect());
        let rest = line.trim().strip_prefix("ready ").ok_or_else(bad)?;
        let word = |key: &str| rest.split(' ').find_map(|word| word.strip_prefix(key)?.strip_prefix('='));
        let address = |key: &str| word(key).map(|text| text.parse().map_err(|_| bad())).transpose();
        let edges = word("edges").unwrap_or_default().split(',').filter(|text| !text.is_empty());
        Ok(Self {
            role: word("role").ok_or_else(bad)?.to_owned(),
            name: word("name").ok_or_else(bad)?.to_owned(),
            door: address("door")?.ok_or_else(bad)?,
            peer: address("peer")?,
            admin: address("admin")?,
            dns: address("dns")?,
            leader: address("leader")?,
            edges: edges.map(|text| text.parse().map_err(|_| bad())).collect::<Result<_, _>>()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ready_line_reads_back() {
        let line = "ready door=127.0.0.1:6566 peer=127.0.0.1:6570 role=leader name=leader-1";
        assert_eq!(line.parse::<Ready>().unwrap().to_string(), line);
        let line = "ready door=127.0.0.1:1 leader=127.0.0.1:2 edges=127.0.0.1:1,127.0.0.1:3 role=dev name=dev";
        assert_eq!(line.parse::<Ready>().unwrap().to_string(), line);
        let line = "ready door=127.0.0.1:1 peer=127.0.0.1:2 admin=127.0.0.1:3 role=leader name=a";
        assert_eq!(line.parse::<Ready>().unwrap().to_string(), line);
        let line = "ready door=127.0.0.1:1 dns=127.0.0.1:5353 role=router name=router";
        assert_eq!(line.parse::<Ready>().unwrap().to_string(), line);
        assert!("listening".parse::<Ready>().is_err());
    }
}
