//! Where a client is: what it says, else what its address says, else where it is assumed to be.

use crate::{coordinates::Coordinates, subnets::Subnets};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use std::{net::IpAddr, path::PathBuf};

/// How a client's place is found.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Proxies whose `x-forwarded-for` is believed, as networks. Default: none, the connection's address counts.
    pub trusted_proxies: Vec<IpNet>,
    /// Networks and where they are; looked at before the database. The longest prefix counts. Default: none.
    pub subnets: Vec<Subnet>,
    /// A MaxMind database (City, or any with `location`), read at the start and when it changes. Default: none.
    pub database: Option<PathBuf>,
    /// Where a client is assumed to be of whom nothing is known. Default: nowhere, then distance does not count.
    pub fallback: Option<Coordinates>,
}

/// A network's place: coordinates, or a region.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Subnet {
    /// The network, as "203.0.113.0/24".
    pub network: IpNet,
    /// Degrees north.
    pub latitude: f64,
    /// Degrees east.
    pub longitude: f64,
}

/// How a place came to be known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// The client said its coordinates.
    PlaceHeader,
    /// The client named a region.
    RegionHeader,
    /// The table of networks.
    Subnet,
    /// The database.
    Database,
    /// It is assumed.
    Fallback,
    /// It is not known.
    Nowhere,
}

/// A client's place.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Place {
    /// Where; `None` when it is not known.
    pub coordinates: Option<Coordinates>,
    /// How it came to be known.
    pub source: Source,
    /// How long the prefix of the client's address is that the place holds for; `None` when it is not from an address.
    pub prefix: Option<u8>,
}

/// Looks addresses up.
pub trait Lookup {
    /// Where an address is, and for how long a prefix of it that holds.
    fn lookup(&self, address: IpAddr) -> Option<(Coordinates, u8)>;

    /// How many bits of an address a lookup goes by, also when nothing is found.
    fn bits(&self, address: IpAddr) -> Option<u8> {
        self.lookup(address).map(|(_, bits)| bits)
    }
}

/// Everything that tells where an address is.
#[derive(Clone, Debug, Default)]
pub struct Places<D> {
    /// Networks and where they are.
    pub subnets: Subnets<Coordinates>,
    /// The database, if there is one.
    pub database: Option<D>,
    /// Where others are assumed to be.
    pub fallback: Option<Coordinates>,
}

// === impl Source ===

impl Source {
    /// As a word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PlaceHeader => "place_header",
            Self::RegionHeader => "region_header",
            Self::Subnet => "subnet",
            Self::Database => "database",
            Self::Fallback => "fallback",
            Self::Nowhere => "nowhere",
        }
    }
}

// === impl Place ===

impl Place {
    /// What a client said itself.
    #[must_use]
    pub fn said(coordinates: Coordinates, source: Source) -> Self {
        Self { coordinates: Some(coordinates), source, prefix: None }
    }
}

// === impl Places ===

impl<D: Lookup> Places<D> {
    /// Where an address is.
    #[must_use]
    pub fn of(&self, address: IpAddr) -> Place {
        let address = address.to_canonical();
        if let Some((coordinates, prefix)) = self.subnets.get(address) {
            return Place { coordinates: Some(*coordinates), source: Source::Subnet, prefix: Some(prefix) };
        }
        if let Some((coordinates, prefix)) = self.database.as_ref().and_then(|database| database.lookup(address)) {
            return Place { coordinates: Some(coordinates), source: Source::Database, prefix: Some(prefix) };
        }
        let source = if self.fallback.is_some() { Source::Fallback } else { Source::Nowhere };
        Place { coordinates: self.fallback, source, prefix: None }
    }

    /// For clients that share so many bits of a network's address, the place that its address has holds.
    pub fn scope_of(&self, network: IpNet, place: &Place) -> u8 {
        if !self.tell_addresses_apart() {
            return 0;
        }
        if let Some(known) = place.prefix {
            return self.subnets.bits_of_the_same(network, known);
        }
        // Nothing is known of it; no more is promised than was asked about.
        let beside = self.database.as_ref().and_then(|database| database.bits(network.network())).unwrap_or(0);
        self.subnets.bits_of_the_same(network, beside).max(network.prefix_len())
    }

    /// Whether addresses make any difference here.
    #[must_use]
    pub fn tell_addresses_apart(&self) -> bool {
        !self.subnets.is_empty() || self.database.is_some()
    }
}

/// The client's address: the connection's, unless that is a trusted proxy's; then the last one in `x-forwarded-for`
/// that is not. What stands before that could be anyone's word.
#[must_use]
pub fn client_address(connection: IpAddr, forwarded_for: &[&str], trusted: &Subnets<()>) -> IpAddr {
    let mut address = connection.to_canonical();
    for hop in forwarded_for.iter().rev().flat_map(|line| line.rsplit(',')) {
        if !trusted.contains(address) {
            break;
        }
        let hop = hop.trim();
        let parsed = hop.parse::<IpAddr>().or_else(|_| hop.parse().map(|socket: std::net::SocketAddr| socket.ip()));
        // What is no address ends the chain: what it hides is not known.
        let Ok(next) = parsed else { break };
        address = next.to_canonical();
    }
    address
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Everywhere;

    impl Lookup for Everywhere {
        fn lookup(&self, address: IpAddr) -> Option<(Coordinates, u8)> {
            address.is_ipv4().then_some((Coordinates::ZERO, 20))
        }
    }

    #[test]
    fn the_table_comes_before_the_database_and_the_fallback_last() {
        let home = Coordinates::new(50.0, 8.0).unwrap();
        let subnets = [("10.0.0.0/8".parse().unwrap(), home)].into_iter().collect();
        let mut places = Places { subnets, database: Some(Everywhere), fallback: Some(home) };
        let source = |places: &Places<Everywhere>, text: &str| places.of(text.parse().unwrap()).source;
        assert_eq!(source(&places, "10.2.3.4"), Source::Subnet);
        assert_eq!(source(&places, "192.0.2.1"), Source::Database);
        assert_eq!(source(&places, "2001:db8::1"), Source::Fallback);
        assert_eq!(places.of("192.0.2.1".parse().unwrap()).prefix, Some(20));
        (places.fallback, places.database) = (None, None);
        assert_eq!(source(&places, "192.0.2.1"), Source::Nowhere);
    }

    #[test]
    fn only_trusted_proxies_are_believed() {
        let trusted: Subnets<()> = [("10.0.0.0/8".parse().unwrap(), ())].into_iter().collect();
        let client = |connection: &str, forwarded: &[&str]| {
            client_address(connection.parse().unwrap(), forwarded, &trusted).to_string()
        };
        assert_eq!(client("192.0.2.9", &["203.0.113.5"]), "192.0.2.9", "a stranger's word");
        assert_eq!(client("10.0.0.1", &["203.0.113.5"]), "203.0.113.5");
        assert_eq!(client("10.0.0.1", &["198.51.100.1, 203.0.113.5, 10.0.0.2"]), "203.0.113.5", "the rest is its word");
        assert_eq!(client("10.0.0.1", &["203.0.113.5", "10.0.0.3"]), "203.0.113.5", "several headers are one list");
        assert_eq!(client("10.0.0.1", &["unknown"]), "10.0.0.1");
        assert_eq!(client("10.0.0.1", &["203.0.113.5:4711"]), "203.0.113.5");
        assert_eq!(client("10.0.0.1", &[]), "10.0.0.1");
    }
}
