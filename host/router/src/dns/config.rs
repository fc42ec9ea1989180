//! What can be set for the DNS responder.

use serde::Deserialize;
use std::net::{IpAddr, SocketAddr};

/// The DNS responder.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where it listens, over UDP and TCP. Default: nowhere, there is no responder.
    pub listen: Option<SocketAddr>,
    /// The zone that it is authoritative for. Default "features.example.".
    pub zone: String,
    /// How long resolvers may keep an address, in seconds: also how long clients go on to a region that was lost.
    /// Default 20.
    pub ttl_s: u32,
    /// How long they may keep that there is nothing, in seconds. Default 5.
    pub negative_ttl_s: u32,
    /// Addresses in one answer. A count. Default 4.
    pub addresses_max: usize,
    /// The zone's name servers: this router and others like it. Default: "ns1" below the zone, without an address.
    pub nameservers: Vec<Nameserver>,
    /// The mailbox of who is responsible, as a name. Default "hostmaster" below the zone.
    pub contact: String,
    /// TCP connections at once. A count. Default 256.
    pub connections_max: usize,
    /// How long a TCP connection may be idle, in milliseconds. Default 5,000.
    pub idle_ms: u64,
}

/// A name server of the zone.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Nameserver {
    /// Its name; one below the zone gets the addresses here.
    pub name: String,
    /// Its addresses.
    #[serde(default)]
    pub addresses: Vec<IpAddr>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: None,
            zone: "features.example.".to_owned(),
            ttl_s: 20,
            negative_ttl_s: 5,
            addresses_max: 4,
            nameservers: Vec::new(),
            contact: String::new(),
            connections_max: 256,
            idle_ms: 5_000,
        }
    }
}
