//! Which clients may send headers that influence routing and placement.

use ipnet::IpNet;
use serde::Deserialize;
use std::net::IpAddr;

/// The clients whose headers `littoral-tenant` and `littoral-part` are accepted, and at a router also `littoral-place`
/// and `littoral-region`. A request of another client with one of the first two is rejected; the others are ignored.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Trust {
    /// Networks, as "10.0.0.0/8". Default none.
    pub addresses: Vec<IpNet>,
    /// Callers, as "token:NAME", "subject:SUBJECT" or "certificate:NAME". Default none.
    pub identities: Vec<String>,
    /// Whether every client is trusted, as at a loopback door without authentication.
    #[serde(skip)]
    pub everyone: bool,
}

impl Trust {
    /// The trust of a loopback door without authentication: every client is trusted.
    #[must_use]
    pub fn everyone() -> Self {
        Self { everyone: true, ..Self::default() }
    }

    /// Returns whether an address is in the configured networks.
    #[must_use]
    pub fn lists(&self, address: IpAddr) -> bool {
        self.addresses.iter().any(|network| network.contains(&address.to_canonical()))
    }

    /// Returns whether an identity is configured.
    #[must_use]
    pub fn names(&self, identity: &str) -> bool {
        self.identities.iter().any(|known| known == identity)
    }

    /// Returns whether these headers of a client are accepted.
    #[must_use]
    pub fn believes(&self, address: IpAddr, identity: Option<&str>) -> bool {
        self.everyone || self.lists(address) || identity.is_some_and(|identity| self.names(identity))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_believed_by_its_address_or_its_identity() {
        let trust = Trust {
            addresses: vec!["10.0.0.0/8".parse().unwrap()],
            identities: vec!["token:router".to_owned()],
            everyone: false,
        };
        let (inside, outside) = ("10.1.2.3".parse().unwrap(), "203.0.113.5".parse().unwrap());
        assert!(trust.believes(inside, None) && trust.believes(outside, Some("token:router")));
        assert!(!trust.believes(outside, None) && !trust.believes(outside, Some("token:other")));
        assert!(Trust::everyone().believes(outside, None) && !Trust::default().believes(inside, None));
        assert!(trust.believes("::ffff:10.1.2.3".parse().unwrap(), None), "an IPv4 address in IPv6 form");
    }
}
