//! Versions of the formats on disk and between nodes.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A format with the versions that this build knows. It reads every version from `reads_from` to `writes`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Format {
    /// What has the format.
    pub name: &'static str,
    /// The version that this build writes or sends.
    pub writes: u32,
    /// The oldest version that it reads.
    pub reads_from: u32,
}

/// A version of the protocol between nodes: of the feed, of calls, and of the records of a log, which members copy. A
/// build speaks its own version and the previous one. So nodes of two consecutive releases work together, in any order
/// of upgrade.
///
/// A node may be held at the previous version. It then sends and logs only what a node of the previous release can
/// read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u16", into = "u16")]
pub struct ProtocolVersion(u16);

/// A protocol version that this build does not speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "this build speaks protocol versions {} and {}, not {number}",
    ProtocolVersion::PREVIOUS,
    ProtocolVersion::NEWEST
)]
pub struct UnknownVersion {
    number: u16,
}

impl ProtocolVersion {
    /// The version of the previous release, the oldest that this build speaks.
    pub const PREVIOUS: Self = Self(4);
    /// The version of this release, the newest that this build speaks.
    pub const NEWEST: Self = Self(5);

    /// Returns the number.
    #[must_use]
    pub const fn number(self) -> u16 {
        self.0
    }

    /// Returns the newest version that two nodes speak: this one, up to this version, and another one, which speaks the
    /// versions `min..=max`. `None` if they share none.
    #[must_use]
    pub fn agree(self, min: u16, max: u16) -> Option<Self> {
        let agreed = max.min(self.0);
        (agreed >= min.max(Self::PREVIOUS.0)).then_some(Self(agreed))
    }
}

impl Default for ProtocolVersion {
    fn default() -> Self {
        Self::NEWEST
    }
}

impl fmt::Display for ProtocolVersion {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(out)
    }
}

impl TryFrom<u16> for ProtocolVersion {
    type Error = UnknownVersion;

    fn try_from(number: u16) -> Result<Self, UnknownVersion> {
        let known = (Self::PREVIOUS.0..=Self::NEWEST.0).contains(&number);
        if known { Ok(Self(number)) } else { Err(UnknownVersion { number }) }
    }
}

impl From<ProtocolVersion> for u16 {
    fn from(version: ProtocolVersion) -> Self {
        version.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_nodes_agree_on_the_newest_version_that_both_speak() {
        let (previous, newest) = (ProtocolVersion::PREVIOUS, ProtocolVersion::NEWEST);
        let (old, new) = (previous.number(), newest.number());
        assert_eq!(newest.agree(old, new), Some(newest));
        assert_eq!(newest.agree(old, new + 1), Some(newest), "a later release");
        assert_eq!(
            newest.agree(new, new + 1),
            Some(newest),
            "a later release that no longer speaks the previous version"
        );
        assert_eq!(newest.agree(old - 1, old), Some(previous), "the previous release");
        assert_eq!(newest.agree(old - 2, old - 1), None, "the release before it");
        assert_eq!(newest.agree(new + 1, new + 2), None);
        assert_eq!(previous.agree(old, new), Some(previous), "held");
        assert_eq!(previous.agree(new, new + 1), None);
        assert_eq!(newest.agree(new, old), None, "an empty range");
    }

    #[test]
    fn only_versions_that_this_build_speaks_are_valid() {
        for number in [ProtocolVersion::PREVIOUS.number(), ProtocolVersion::NEWEST.number()] {
            assert_eq!(ProtocolVersion::try_from(number).map(ProtocolVersion::number), Ok(number));
        }
        let text = ProtocolVersion::try_from(ProtocolVersion::NEWEST.number() + 1).unwrap_err().to_string();
        assert_eq!(text, "this build speaks protocol versions 4 and 5, not 6");
        assert!(ProtocolVersion::try_from(3).is_err());
    }
}
