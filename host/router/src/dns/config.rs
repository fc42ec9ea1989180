//! The configuration of the DNS responder.

use serde::Deserialize;
use std::net::{IpAddr, SocketAddr};

/// The configuration of the DNS responder.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The address for UDP and TCP. Default: none, which disables the responder.
    pub listen: Option<SocketAddr>,
    /// The zone for which it is authoritative. Default "features.example.".
    pub zone: String,
    /// How long resolvers may cache an address, in seconds. Clients may use a lost region for as long. Default 20.
    pub ttl_s: u32,
    /// How long resolvers may cache a negative answer, in seconds. Default 5.
    pub negative_ttl_s: u32,
    /// Addresses in one answer. A count. Default 4.
    pub addresses_max: usize,
    /// The zone's name servers: this router and others. Default: "ns1" below the zone, without an address.
    pub nameservers: Vec<Nameserver>,
    /// The mailbox of the zone's administrator, as a name. Default "hostmaster" below the zone.
    pub contact: String,
    /// Concurrent TCP connections. A count. Default 256.
    pub connections_max: usize,
    /// How long a TCP connection may be idle, in milliseconds. Default 5,000.
    pub idle_ms: u64,
}

/// A name server of the zone.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Nameserver {
    /// Its name; for a name below the zone, the responder answers with the addresses here.
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
