//! Identities: which node of which cluster a certificate belongs to.

use std::{fmt, str::FromStr};

/// The scheme of an identity.
const SCHEME: &str = "littoral://";

/// The longest part of an identity, in bytes.
const PART_LEN_MAX: usize = 128;

/// What a node is, and therefore what it may do at its peers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Keeps a region's log, alone or as one of its members.
    Leader,
    /// Holds a replica and answers reads.
    Edge,
    /// An edge that publishes the feed to further edges.
    Relay,
    /// Sends requests to doors.
    Router,
    /// A person or a program that administers the cluster.
    Operator,
}

/// The identity in a certificate: `littoral://CLUSTER/REGION/ROLE/NAME`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Identity {
    /// The cluster.
    pub cluster: String,
    /// The region.
    pub region: String,
    /// The role.
    pub role: Role,
    /// The node's name.
    pub name: String,
}

/// Why a text is not an identity.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{given}' is not an identity: {reason}; use littoral://CLUSTER/REGION/ROLE/NAME")]
pub struct InvalidIdentity {
    given: String,
    reason: String,
}

impl Role {
    const ALL: [(Self, &'static str); 5] = [
        (Self::Leader, "leader"),
        (Self::Edge, "edge"),
        (Self::Relay, "relay"),
        (Self::Router, "router"),
        (Self::Operator, "operator"),
    ];

    /// Returns the role's name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        Self::ALL.iter().find(|(role, _)| *role == self).map_or("", |(_, name)| name)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Role {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.iter().find(|(_, name)| *name == text);
        found
            .map(|(role, _)| *role)
            .ok_or_else(|| format!("'{text}' is not a role; use 'leader', 'edge', 'relay', 'router' or 'operator'"))
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cluster, region, role, name } = self;
        write!(f, "{SCHEME}{cluster}/{region}/{role}/{name}")
    }
}

impl FromStr for Identity {
    type Err = InvalidIdentity;

    fn from_str(text: &str) -> Result<Self, InvalidIdentity> {
        let invalid = |reason: String| InvalidIdentity { given: text.chars().take(300).collect(), reason };
        let path = text.strip_prefix(SCHEME).ok_or_else(|| invalid("it does not begin with littoral://".to_owned()))?;
        let parts: Vec<_> = path.split('/').collect();
        let [cluster, region, role, name] = parts[..] else {
            return Err(invalid(format!("it has {} parts instead of 4", parts.len())));
        };
        for part in [cluster, region, name] {
            if !is_valid_part(part) {
                return Err(invalid(format!(
                    "'{part}' must have 1 to {PART_LEN_MAX} of the characters a-z, A-Z, 0-9, '.', '_' and '-'"
                )));
            }
        }
        let role = role.parse().map_err(invalid)?;
        Ok(Self { cluster: cluster.to_owned(), region: region.to_owned(), role, name: name.to_owned() })
    }
}

fn is_valid_part(part: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    (1..=PART_LEN_MAX).contains(&part.len()) && part.bytes().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_survives_its_text() {
        let text = "littoral://prod/eu-west/relay/eu_1.a";
        let identity: Identity = text.parse().unwrap();
        assert_eq!((identity.role, &*identity.name), (Role::Relay, "eu_1.a"));
        assert_eq!(identity.to_string(), text);
    }

    #[test]
    fn anything_else_is_rejected_with_the_expected_form() {
        for bad in [
            "",
            "spiffe://prod/eu/edge/a",
            "littoral://prod/eu/edge",
            "littoral://prod/eu/edge/a/b",
            "littoral://prod//edge/a",
            "littoral://prod/eu/chief/a",
            "littoral://prod/eu/Edge/a",
            "littoral://prod/eu/edge/a b",
            "littoral://prod/eu/edge/../leader",
            "littoral://prod/eu/edge/%61",
        ] {
            let error = bad.parse::<Identity>().unwrap_err().to_string();
            assert!(error.contains("littoral://CLUSTER/REGION/ROLE/NAME"), "{error}");
        }
    }
}
