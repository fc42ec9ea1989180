//! A table of networks with values; the longest prefix that contains an address counts.

use ipnet::IpNet;
use std::{collections::HashMap, net::IpAddr};

/// Networks with one value each.
#[derive(Clone, Debug)]
pub struct Subnets<T> {
    /// The prefix lengths that occur, longest first, and the networks of each.
    v4: Vec<(u8, HashMap<IpAddr, T>)>,
    v6: Vec<(u8, HashMap<IpAddr, T>)>,
}

impl<T> Default for Subnets<T> {
    fn default() -> Self {
        Self { v4: Vec::new(), v6: Vec::new() }
    }
}

// === impl Subnets ===

impl<T> Subnets<T> {
    /// Adds a network; bits beyond its prefix are ignored. An IPv4 network in IPv6-mapped form becomes the IPv4
    /// network, like addresses.
    pub fn insert(&mut self, network: IpNet, value: T) {
        let network = canonical(network);
        let table = if network.addr().is_ipv4() { &mut self.v4 } else { &mut self.v6 };
        let length = network.prefix_len();
        let at = match table.binary_search_by(|(other, _)| length.cmp(other)) {
            Ok(at) => at,
            Err(at) => {
                table.insert(at, (length, HashMap::new()));
                at
            }
        };
        if let Some((_, networks)) = table.get_mut(at) {
            networks.insert(network.network(), value);
        }
    }

    /// Returns the value of an address, and the length of the prefix that has it.
    #[must_use]
    pub fn get(&self, address: IpAddr) -> Option<(&T, u8)> {
        let address = address.to_canonical();
        let table = if address.is_ipv4() { &self.v4 } else { &self.v6 };
        table.iter().find_map(|(length, networks)| {
            let network = IpNet::new(address, *length).ok()?.network();
            Some((networks.get(&network)?, *length))
        })
    }

    /// Returns how many bits an address must share with `network` to have the same value, which was found for a prefix
    /// of `known` bits: enough to exclude every network with a more specific value.
    #[must_use]
    pub fn bits_of_the_same(&self, network: IpNet, known: u8) -> u8 {
        let address = network.network();
        let around = IpNet::new(address, known).unwrap_or(network);
        let table = if address.is_ipv4() { &self.v4 } else { &self.v6 };
        let longer = table.iter().take_while(|(length, _)| *length > known);
        let own = longer.flat_map(|(_, networks)| networks.keys()).copied();
        // An IPv6 network around the mapped addresses contains every IPv4 network.
        let mapped = self.v4.iter().flat_map(|(_, networks)| networks.keys());
        let mapped = mapped.filter_map(|other| match other {
            IpAddr::V4(other) if address.is_ipv6() => Some(IpAddr::V6(other.to_ipv6_mapped())),
            _ => None,
        });
        own.chain(mapped)
            .filter(|other| around.contains(other))
            .map(|other| common_bits(address, other).saturating_add(1))
            .fold(known, u8::max)
            .min(network.max_prefix_len())
    }

    /// Returns whether an address is in one of the networks.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        self.get(address).is_some()
    }

    /// Returns whether there are no networks.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.v4.is_empty() && self.v6.is_empty()
    }
}

/// Converts an IPv4 network in IPv6-mapped form to the IPv4 network.
pub fn canonical(network: IpNet) -> IpNet {
    const MAPPED_BITS: u8 = 96;
    let address = network.network().to_canonical();
    let bits = network.prefix_len().checked_sub(MAPPED_BITS).filter(|_| network.addr().is_ipv6() && address.is_ipv4());
    bits.and_then(|bits| IpNet::new(address, bits).ok()).unwrap_or(network)
}

fn common_bits(one: IpAddr, other: IpAddr) -> u8 {
    let bits = match (one, other) {
        (IpAddr::V4(one), IpAddr::V4(other)) => (one.to_bits() ^ other.to_bits()).leading_zeros(),
        (IpAddr::V6(one), IpAddr::V6(other)) => (one.to_bits() ^ other.to_bits()).leading_zeros(),
        _ => 0,
    };
    bits as u8
}

impl<T> FromIterator<(IpNet, T)> for Subnets<T> {
    fn from_iter<I: IntoIterator<Item = (IpNet, T)>>(networks: I) -> Self {
        let mut table = Self::default();
        networks.into_iter().for_each(|(network, value)| table.insert(network, value));
        table
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_longest_prefix_counts() {
        let nets = ["10.0.0.0/8", "10.1.0.0/16", "10.1.2.3/32", "0.0.0.0/0", "2001:db8::/32"];
        let table: Subnets<&str> = nets.iter().map(|net| (net.parse().unwrap(), *net)).collect();
        let find = |address: &str| table.get(address.parse().unwrap()).map(|(net, _)| *net);
        assert_eq!(find("10.1.2.3"), Some("10.1.2.3/32"));
        assert_eq!(find("10.1.2.4"), Some("10.1.0.0/16"));
        assert_eq!(find("::ffff:10.9.9.9"), Some("10.0.0.0/8"), "an IPv4 address in IPv6-mapped form");
        assert_eq!(find("192.0.2.1"), Some("0.0.0.0/0"));
        assert_eq!(find("2001:db8:1::"), Some("2001:db8::/32"));
        assert_eq!(find("2001:db9::"), None);
        let mapped: Subnets<()> = [("::ffff:203.0.113.0/120".parse().unwrap(), ())].into_iter().collect();
        assert!(mapped.contains("203.0.113.9".parse().unwrap()) && !mapped.contains("203.0.114.9".parse().unwrap()));
        assert!(mapped.contains("::ffff:203.0.113.9".parse().unwrap()));
    }

    #[test]
    fn the_scope_of_a_network_excludes_networks_with_a_more_specific_value() {
        let nets = ["10.0.0.0/8", "10.1.0.0/16", "203.0.113.128/25", "2001:db8::/32", "2001:db8:8000::/33"];
        let table: Subnets<()> = nets.iter().map(|net| (net.parse().unwrap(), ())).collect();
        let bits = |network: &str, known| table.bits_of_the_same(network.parse().unwrap(), known);
        assert_eq!(bits("10.0.0.0/8", 8), 16, "it contains 10.1.0.0/16");
        assert_eq!(bits("10.2.0.0/16", 8), 15, "10.2.0.0/15 excludes 10.1.0.0/16");
        assert_eq!(bits("10.1.2.0/24", 16), 16);
        assert_eq!(bits("203.0.113.0/24", 0), 25);
        assert_eq!(bits("192.0.2.0/24", 0), 5, "192.0.0.0/5 excludes 203.0.113.128/25 and 10.0.0.0/8");
        assert_eq!(bits("2001:db8::/48", 32), 33);
        assert_eq!(bits("::/64", 0), 81, "::/81 excludes the mapped addresses of IPv4 networks");
    }

    proptest! {
        #[test]
        fn it_finds_what_a_linear_search_finds(
            nets in proptest::collection::vec((any::<u32>(), 0u8..=32), 0..40), address in any::<u32>(),
        ) {
            let nets: Vec<IpNet> = nets.iter()
                .map(|(bits, length)| IpNet::new(IpAddr::V4((bits & 0xff).wrapping_mul(0x0101_0101).into()), *length).unwrap())
                .collect();
            let address = IpAddr::V4((address & 0xff).wrapping_mul(0x0101_0101).into());
            let table: Subnets<()> = nets.iter().map(|net| (*net, ())).collect();
            let longest = nets.iter().filter(|net| net.contains(&address)).map(IpNet::prefix_len).max();
            prop_assert_eq!(table.get(address).map(|(_, length)| length), longest);
        }
    }
}
