//! The name of a region.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::{fmt, str::FromStr};

/// A region's name: 1 to 16 characters of `a-z`, `0-9` and `-`. Stored inline, because every row's
/// version contains one. Regions order by name, which breaks ties between equal clock readings.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Region([u8; Region::LEN_MAX]);

/// Why a text is not a region's name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not a region name: use 1 to 16 characters of a-z, 0-9 and '-'")]
pub struct InvalidRegion(String);

impl Region {
    /// The maximum length of a name, in bytes.
    pub const LEN_MAX: usize = 16;

    /// No region. Orders before every other, and is never a node's own. Written as empty text.
    pub const NONE: Region = Region([0; Self::LEN_MAX]);

    /// Returns the name, padded with zeros.
    #[inline]
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; Self::LEN_MAX] {
        &self.0
    }

    /// Returns the name as text.
    pub fn as_str(&self) -> &str {
        // Only ASCII is ever stored.
        std::str::from_utf8(self.name_bytes()).unwrap_or_default()
    }

    /// Returns the name's bytes, which are ASCII.
    pub fn name_bytes(&self) -> &[u8] {
        let len = self.0.iter().position(|b| *b == 0).unwrap_or(Self::LEN_MAX);
        &self.0[..len]
    }
}

impl FromStr for Region {
    type Err = InvalidRegion;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let valid = (1..=Self::LEN_MAX).contains(&name.len())
            && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if !valid {
            return Err(InvalidRegion(name.chars().take(64).collect()));
        }
        let mut bytes = [0; Self::LEN_MAX];
        bytes[..name.len()].copy_from_slice(name.as_bytes());
        Ok(Self(bytes))
    }
}

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Region {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Region {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = Region;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a region name")
            }
            fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<Region, E> {
                if name.is_empty() { Ok(Region::NONE) } else { name.parse().map_err(E::custom) }
            }
        }
        deserializer.deserialize_str(Visitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_short_and_lowercase() {
        assert_eq!("us-east-1".parse::<Region>().unwrap().as_str(), "us-east-1");
        assert_eq!("a".repeat(16).parse::<Region>().unwrap().as_str().len(), 16);
        for bad in ["", "US", "a b", "ä", &"a".repeat(17)] {
            assert!(bad.parse::<Region>().is_err(), "{bad:?}");
        }
    }
}
