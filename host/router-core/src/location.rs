//! The client's location: as the client states it, otherwise by its address, otherwise a default.

use crate::{coordinates::Coordinates, subnets::Subnets};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use std::{net::IpAddr, path::PathBuf};

/// How a client's location is found.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The proxies whose `x-forwarded-for` is trusted, as networks. Default: none; the connection's address counts.
    pub trusted_proxies: Vec<IpNet>,
    /// Networks and their locations, searched before the database. The longest prefix counts. Default: none.
    pub subnets: Vec<Subnet>,
    /// A MaxMind database (City, or any with `location`), read at the start and when it changes. Default: none.
    pub database: Option<PathBuf>,
    /// A location that is assumed for clients without another. Default: none; distance then does not count.
    pub fallback: Option<Coordinates>,
}

/// A network and its location.
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

/// The source of a location.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// The client sent its coordinates.
    PlaceHeader,
    /// The client named a region.
    RegionHeader,
    /// The table of networks.
    Subnet,
    /// The database.
    Database,
    /// The default.
    Fallback,
    /// The location is unknown.
    Nowhere,
}

/// A client's location.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Location {
    /// The coordinates; `None` if unknown.
    pub coordinates: Option<Coordinates>,
    /// The source.
    pub source: Source,
    /// The length of the prefix of the client's address to which the location applies; `None` if it is not from an
    /// address.
    pub prefix: Option<u8>,
}

/// Finds the location of addresses.
pub trait Lookup {
    /// Returns the location of an address, and the length of the prefix to which it applies.
    fn lookup(&self, address: IpAddr) -> Option<(Coordinates, u8)>;

    /// Returns how many bits of an address a lookup uses, even if it finds nothing.
    fn bits(&self, address: IpAddr) -> Option<u8> {
        self.lookup(address).map(|(_, bits)| bits)
    }
}

/// Everything that determines the location of an address.
#[derive(Clone, Debug, Default)]
pub struct Locations<D> {
    /// Networks and their locations.
    pub subnets: Subnets<Coordinates>,
    /// The database, if there is one.
    pub database: Option<D>,
    /// The default location.
    pub fallback: Option<Coordinates>,
}

// === impl Source ===

impl Source {
    /// Returns the source as a word.
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

// === impl Location ===

impl Location {
    /// Creates the location that a client stated itself.
    #[must_use]
    pub fn stated(coordinates: Coordinates, source: Source) -> Self {
        Self { coordinates: Some(coordinates), source, prefix: None }
    }
}

// === impl Locations ===

impl<D: Lookup> Locations<D> {
    /// Returns the location of an address.
    #[must_use]
    pub fn of(&self, address: IpAddr) -> Location {
        let address = address.to_canonical();
        if let Some((coordinates, prefix)) = self.subnets.get(address) {
            return Location { coordinates: Some(*coordinates), source: Source::Subnet, prefix: Some(prefix) };
        }
        if let Some((coordinates, prefix)) = self.database.as_ref().and_then(|database| database.lookup(address)) {
            return Location { coordinates: Some(coordinates), source: Source::Database, prefix: Some(prefix) };
        }
        let source = if self.fallback.is_some() { Source::Fallback } else { Source::Nowhere };
        Location { coordinates: self.fallback, source, prefix: None }
    }

    /// Returns how many bits of a network's address clients must share to have the location of that address.
    pub fn scope_of(&self, network: IpNet, place: &Location) -> u8 {
        if !self.depend_on_addresses() {
            return 0;
        }
        if let Some(known) = place.prefix {
            return self.subnets.bits_of_the_same(network, known);
        }
        // No location was found; the scope is then no longer than the query's.
        let queried = self.database.as_ref().and_then(|database| database.bits(network.network())).unwrap_or(0);
        self.subnets.bits_of_the_same(network, queried).max(network.prefix_len())
    }

    /// Returns whether locations depend on addresses.
    #[must_use]
    pub fn depend_on_addresses(&self) -> bool {
        !self.subnets.is_empty() || self.database.is_some()
    }
}

/// Returns the client's address: the connection's, unless that is a trusted proxy's; then the last address in
/// `x-forwarded-for` that is not. Entries before that one are not trustworthy.
#[must_use]
pub fn client_address(connection: IpAddr, forwarded_for: &[&str], trusted: &Subnets<()>) -> IpAddr {
    let mut address = connection.to_canonical();
    for hop in forwarded_for.iter().rev().flat_map(|line| line.rsplit(',')) {
        if !trusted.contains(address) {
            break;
        }
        let hop = hop.trim();
        let parsed = hop.parse::<IpAddr>().or_else(|_| hop.parse().map(|socket: std::net::SocketAddr| socket.ip()));
        // An invalid address ends the chain: the addresses before it are unknown.
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
    fn the_table_is_searched_before_the_database_and_the_fallback_last() {
        let home = Coordinates::new(50.0, 8.0).unwrap();
        let subnets = [("10.0.0.0/8".parse().unwrap(), home)].into_iter().collect();
        let mut places = Locations { subnets, database: Some(Everywhere), fallback: Some(home) };
        let source = |places: &Locations<Everywhere>, text: &str| places.of(text.parse().unwrap()).source;
        assert_eq!(source(&places, "10.2.3.4"), Source::Subnet);
        assert_eq!(source(&places, "192.0.2.1"), Source::Database);
        assert_eq!(source(&places, "2001:db8::1"), Source::Fallback);
        assert_eq!(places.of("192.0.2.1".parse().unwrap()).prefix, Some(20));
        (places.fallback, places.database) = (None, None);
        assert_eq!(source(&places, "192.0.2.1"), Source::Nowhere);
    }

    #[test]
    fn only_trusted_proxies_are_trusted_with_forwarded_addresses() {
        let trusted: Subnets<()> = [("10.0.0.0/8".parse().unwrap(), ())].into_iter().collect();
        let client = |connection: &str, forwarded: &[&str]| {
            client_address(connection.parse().unwrap(), forwarded, &trusted).to_string()
        };
        assert_eq!(client("192.0.2.9", &["203.0.113.5"]), "192.0.2.9", "an untrusted client");
        assert_eq!(client("10.0.0.1", &["203.0.113.5"]), "203.0.113.5");
        assert_eq!(
            client("10.0.0.1", &["198.51.100.1, 203.0.113.5, 10.0.0.2"]),
            "203.0.113.5",
            "the rest is untrusted"
        );
        assert_eq!(client("10.0.0.1", &["203.0.113.5", "10.0.0.3"]), "203.0.113.5", "several headers are one list");
        assert_eq!(client("10.0.0.1", &["unknown"]), "10.0.0.1");
        assert_eq!(client("10.0.0.1", &["203.0.113.5:4711"]), "203.0.113.5");
        assert_eq!(client("10.0.0.1", &[]), "10.0.0.1");
    }
}
