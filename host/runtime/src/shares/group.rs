//! The clients that share a bound.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

/// The clients that share a bound: those of one IPv4 address, or of one IPv6 network of 56 bits. A host can use every
/// address of its network of 64 bits, and a site has at least 256 of those.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Group {
    address: IpAddr,
    /// Whether the group is this single address, of either version.
    is_alone: bool,
}

/// The bits of an IPv6 address that name the network of its site.
const NETWORK_BITS: u32 = 56;
const NETWORK: u128 = !0 << (128 - NETWORK_BITS);

/// The network `64:ff9b::/96`: the last 32 bits of its addresses are an IPv4 address (NAT64, RFC 6052).
const NAT64: u128 = 0x64_ff9b << 96;
const NAT64_HOST: u128 = u32::MAX as u128;

impl Group {
    /// Returns the group of an address.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        let address = match address.to_canonical() {
            IpAddr::V6(address) if address.to_bits() & !NAT64_HOST == NAT64 => {
                Ipv4Addr::from_bits((address.to_bits() & NAT64_HOST) as u32).into()
            }
            IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & NETWORK).into(),
            address => address,
        };
        Self { address, is_alone: false }
    }

    /// Returns the group of a single address, apart from its network.
    #[must_use]
    pub fn alone(address: IpAddr) -> Self {
        Self { address: address.to_canonical(), is_alone: true }
    }
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.address {
            IpAddr::V6(network) if !self.is_alone => write!(f, "{network}/{NETWORK_BITS}"),
            address => address.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv4_address_is_a_group_and_so_is_an_ipv6_network() {
        let group = |address: &str| Group::of(address.parse().unwrap()).to_string();
        assert_eq!(group("203.0.113.7"), "203.0.113.7");
        assert_eq!(group("::ffff:203.0.113.7"), "203.0.113.7", "an IPv4 address in IPv6 form");
        assert_eq!(group("64:ff9b::203.0.113.7"), "203.0.113.7", "an IPv4 address behind NAT64");
        assert_eq!(group("2001:db8:1:2:3:4:5:6"), "2001:db8:1::/56");
        assert_eq!(group("2001:db8:1:200::1"), group("2001:db8:1:2ff:ffff::"), "all networks of one site");
        let alone = Group::alone("2001:db8::1".parse().unwrap());
        assert_eq!(alone.to_string(), "2001:db8::1");
        assert_ne!(alone, Group::of("2001:db8::1".parse().unwrap()));
        assert_ne!(group("2001:db8:1:2ff::1"), group("2001:db8:1:300::1"));
    }
}
