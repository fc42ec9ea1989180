//! The addresses of nodes that are not started yet.

use crate::failure::Failure;
use littoral_router::Topology;
use std::net::{SocketAddr, TcpListener};

/// Assigns free addresses on this machine to all nodes. Another process may bind one before its node does; then the
/// node reports it.
pub fn choose(topology: &mut Topology) -> Result<(), Failure> {
    let mut held = Vec::new();
    let mut free = || -> Result<String, Failure> {
        let cannot = |error: std::io::Error| Failure::rejected(format!("no free address on this machine: {error}"));
        let listener = TcpListener::bind("127.0.0.1:0").map_err(cannot)?;
        let address = listener.local_addr().map_err(cannot)?.to_string();
        // Held until all are chosen, so that none is chosen twice.
        held.push(listener);
        Ok(address)
    };
    for region in &mut topology.regions {
        if region.members.is_empty() {
            region.leader = Some(free()?);
            region.peer = Some(free()?);
        }
        for member in &mut region.members {
            member.door = free()?;
            member.peer = free()?;
        }
        for edge in &mut region.edges {
            edge.door = free()?;
        }
    }
    Ok(())
}

/// Parses an address of a topology, which must be one of this machine.
pub fn of(address: Option<&str>) -> Result<SocketAddr, Failure> {
    let text = address.unwrap_or_default();
    text.parse().map_err(|_| {
        Failure::usage(format!(
            "'{text}' cannot be used here: give an IP address of this machine and a port, such as 127.0.0.1:7165"
        ))
    })
}
