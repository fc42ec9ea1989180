//! Parses the client's subnet in a query (RFC 7871) from its bytes: the library rejects a whole query for an unknown
//! family, and accepts options that it should reject.

use crate::decision::subnets::canonical;
use hickory_proto::{
    op::Message,
    rr::rdata::opt::{EdnsCode, EdnsOption},
};
use ipnet::IpNet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The code of the option.
const CODE: u16 = 8;

/// A code for local use (RFC 6891, 9), whose bytes the library does not parse.
const CODE_HIDDEN: u16 = 65_400;

/// The family without an address.
const FAMILY_NONE: u16 = 0;
const FAMILY_V4: u16 = 1;
const FAMILY_V6: u16 = 2;

/// The length of a message's header.
const HEADER_LEN: usize = 12;

/// The record type OPT.
const OPT: u16 = 41;

/// A client's subnet, as its resolver sent it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Subnet {
    family: u16,
    /// The network as sent.
    sent: IpNet,
}

/// The option is not valid in a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

// === impl Subnet ===

impl Subnet {
    /// Returns the subnet in a query that [`hide_subnet`] has processed, if there is one.
    pub(crate) fn of(query: &Message) -> Result<Option<Self>, Malformed> {
        let option = query.edns.as_ref().and_then(|edns| edns.option(EdnsCode::from(CODE_HIDDEN)));
        match option {
            Some(EdnsOption::Unknown(_, bytes)) => Self::read(bytes).map(Some),
            _ => Ok(None),
        }
    }

    fn read(bytes: &[u8]) -> Result<Self, Malformed> {
        let ([family_high, family_low, prefix, scope], address) = bytes.split_first_chunk::<4>().ok_or(Malformed)?;
        let family = u16::from_be_bytes([*family_high, *family_low]);
        // 7.1.2: a query's scope is zero, and the address has as many bytes as its prefix needs.
        if *scope != 0 || address.len() != usize::from(prefix.div_ceil(8)) {
            return Err(Malformed);
        }
        let address = match family {
            FAMILY_NONE if *prefix == 0 => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            FAMILY_V4 => IpAddr::V4(Ipv4Addr::from(padded::<4>(address)?)),
            FAMILY_V6 => IpAddr::V6(Ipv6Addr::from(padded::<16>(address)?)),
            _ => return Err(Malformed),
        };
        // Rejects a prefix longer than the address, and bits beyond the prefix.
        let sent = IpNet::new(address, *prefix).map_err(|_| Malformed)?;
        if sent.network() != address {
            return Err(Malformed);
        }
        Ok(Self { family, sent })
    }

    /// Returns the network of the clients; `None` if it contains all addresses. An IPv4 network in IPv6-mapped form is
    /// returned as the IPv4 network.
    pub(crate) fn network(&self) -> Option<IpNet> {
        Some(canonical(self.sent)).filter(|network| network.prefix_len() > 0)
    }

    /// Returns the option of an answer that applies to the clients that share `scope` bits of the [`Subnet::network`].
    /// A subnet without a family gets none, so the answer applies to all clients: not all clients that send such a
    /// subnet can read one.
    pub(crate) fn answered(&self, scope: u8) -> Option<EdnsOption> {
        if self.family == FAMILY_NONE {
            return None;
        }
        let prefix = self.sent.prefix_len();
        // The bits of the prefix that only mark the address as IPv4.
        let mapped_bits = prefix - canonical(self.sent).prefix_len();
        let scope = if prefix == 0 { 0 } else { scope.saturating_add(mapped_bits) };
        let [family_high, family_low] = self.family.to_be_bytes();
        let mut bytes = vec![family_high, family_low, prefix, scope];
        let octets = match self.sent.addr() {
            IpAddr::V4(address) => address.octets().to_vec(),
            IpAddr::V6(address) => address.octets().to_vec(),
        };
        bytes.extend(octets.iter().take(usize::from(prefix.div_ceil(8))));
        Some(EdnsOption::Unknown(CODE, bytes))
    }
}

fn padded<const N: usize>(bytes: &[u8]) -> Result<[u8; N], Malformed> {
    let mut whole = [0; N];
    whole.get_mut(..bytes.len()).ok_or(Malformed)?.copy_from_slice(bytes);
    Ok(whole)
}

/// Gives the subnet option of a query another code, so that the library parses the rest and ignores the option.
pub(crate) fn hide_subnet(query: &[u8]) -> Vec<u8> {
    let mut query = query.to_vec();
    // A truncated query stays unchanged, and the library rejects it.
    let codes = options(&query).unwrap_or_default();
    for (place, code) in codes {
        let other = match code {
            CODE => CODE_HIDDEN,
            // A client that sends this code itself must not be mistaken for one with a subnet.
            CODE_HIDDEN => CODE_HIDDEN + 1,
            _ => continue,
        };
        if let Some(bytes) = query.get_mut(place..place + 2) {
            bytes.copy_from_slice(&other.to_be_bytes());
        }
    }
    query
}

/// Returns the offsets and codes of a message's EDNS options.
fn options(message: &[u8]) -> Option<Vec<(usize, u16)>> {
    let mut at = HEADER_LEN;
    for _ in 0..u16_at(message, 4)? {
        at = after_name(message, at)?.checked_add(4)?;
    }
    let records = [6, 8, 10].iter().map(|count| u16_at(message, *count)).sum::<Option<u16>>()?;
    let mut found = Vec::new();
    for _ in 0..records {
        let fixed = after_name(message, at)?;
        let (kind, data) = (u16_at(message, fixed)?, fixed.checked_add(10)?);
        at = data.checked_add(u16_at(message, fixed + 8)?.into())?;
        let mut option = data;
        while kind == OPT && option < at {
            found.push((option, u16_at(message, option)?));
            option = option.checked_add(4)?.checked_add(u16_at(message, option + 2)?.into())?;
        }
    }
    Some(found)
}

/// Returns the end of the name that starts here: after its root label, or after a pointer to the rest of it.
fn after_name(message: &[u8], mut at: usize) -> Option<usize> {
    loop {
        let length = *message.get(at)?;
        match length {
            0 => return Some(at + 1),
            0xc0.. => return Some(at + 2),
            _ => at += usize::from(length) + 1,
        }
    }
}

fn u16_at(message: &[u8], at: usize) -> Option<u16> {
    let bytes = message.get(at..)?.first_chunk::<2>()?;
    Some(u16::from_be_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Subnet, Malformed> {
        let bytes: Vec<u8> = text.split(' ').map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect();
        Subnet::read(&bytes)
    }

    #[test]
    fn subnets_are_parsed_and_malformed_ones_are_rejected() {
        let network = |text| read(text).unwrap().network().map(|network| network.to_string());
        assert_eq!(network("0 1 18 0 cb 0 71").as_deref(), Some("203.0.113.0/24"));
        assert_eq!(network("0 2 20 0 20 1 d b8").as_deref(), Some("2001:db8::/32"));
        assert_eq!(network("0 2 78 0 0 0 0 0 0 0 0 0 0 0 ff ff cb 0 71").as_deref(), Some("203.0.113.0/24"), "mapped");
        for all in ["0 0 0 0", "0 1 0 0", "0 2 0 0", "0 2 60 0 0 0 0 0 0 0 0 0 0 0 ff ff"] {
            assert_eq!(network(all), None, "{all}");
        }
        for refused in [
            "0 1 18 0",                                   // no address
            "0 1 18 0 cb 0",                              // too few bytes of it
            "0 1 18 0 cb 0 71 0",                         // too many
            "0 1 21 0 cb 0 71 0 0",                       // a prefix of 33 bits
            "0 2 81 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0", // of 129
            "0 1 14 0 cb 0 71",                           // bits beyond the prefix
            "0 1 18 18 cb 0 71",                          // a scope
            "0 0 8 0 a",                                  // bits of no family
            "0 0 0 1",
            "0 3 0 0", // an unknown family
            "0 1",
        ] {
            assert_eq!(read(refused), Err(Malformed), "{refused}");
        }
    }

    #[test]
    fn the_answers_scope_is_in_the_family_of_the_query() {
        let answered = |text, scope| match read(text).unwrap().answered(scope) {
            Some(EdnsOption::Unknown(8, bytes)) => bytes,
            other => panic!("{other:?}"),
        };
        assert_eq!(answered("0 1 18 0 cb 0 71", 20), [0, 1, 24, 20, 203, 0, 113]);
        let mapped = answered("0 2 78 0 0 0 0 0 0 0 0 0 0 0 ff ff cb 0 71", 24);
        assert_eq!(mapped[..4], [0, 2, 120, 120]);
        assert_eq!(read("0 0 0 0").unwrap().answered(20), None);
        assert_eq!(answered("0 2 0 0", 20), [0, 2, 0, 0]);
        let all_of_v4 = answered("0 2 60 0 0 0 0 0 0 0 0 0 0 0 ff ff", 0);
        assert_eq!(all_of_v4[..4], [0, 2, 96, 96]);
    }
}
