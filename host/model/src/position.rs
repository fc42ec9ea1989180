//! Positions in a region's log.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use std::{borrow::Cow, fmt, str::FromStr};

/// Log sequence number: the dense number of a record in one region's log. The first record has the
/// number 1. Zero precedes every record, so "applied up to 0" means that nothing has been applied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct Lsn(pub u64);

impl Lsn {
    /// The position before every record.
    pub const NONE: Lsn = Lsn(0);
    /// The first record of a log.
    pub const OLDEST: Lsn = Lsn(1);

    /// Returns the LSN of the following record.
    #[must_use]
    pub const fn next(self) -> Lsn {
        Lsn(self.0 + 1)
    }

    /// Returns the LSN `records` further on.
    #[must_use]
    pub const fn advance(self, records: u64) -> Lsn {
        Lsn(self.0 + records)
    }
}

impl fmt::Display for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A number that grows with each change of leader in a region. Messages of an older epoch are
/// rejected (fencing).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct Epoch(pub u64);

impl Epoch {
    /// The epoch of a log's first leader.
    pub const FIRST: Epoch = Epoch(1);

    /// Returns the epoch of the next leader.
    #[must_use]
    pub const fn next(self) -> Epoch {
        Epoch(self.0 + 1)
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Identifies one life of a log ([`crate::lineage`]). Every opening of a log, and every start of a
/// member's leadership, begins another life, so LSNs of two copies of a log are never confused.
/// The ID of the first life is also the log's name, which never changes. Drawn at random; written
/// as 16 hexadecimal digits, also in JSON, because many JSON readers round large numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Incarnation(pub u64);

/// The error for a text that is not an incarnation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an incarnation is 16 hexadecimal digits")]
pub struct InvalidIncarnation;

impl FromStr for Incarnation {
    type Err = InvalidIncarnation;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let value = if digits { u64::from_str_radix(text, 16).ok() } else { None };
        value.map(Self).ok_or(InvalidIncarnation)
    }
}

impl Serialize for Incarnation {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() { serializer.collect_str(self) } else { self.0.serialize(serializer) }
    }
}

impl<'de> Deserialize<'de> for Incarnation {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if !deserializer.is_human_readable() {
            return u64::deserialize(deserializer).map(Self);
        }
        /// Nodes of an older release write a number.
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written<'a> {
            Number(u64),
            Text(#[serde(borrow)] Cow<'a, str>),
        }
        match Written::deserialize(deserializer)? {
            Written::Number(number) => Ok(Self(number)),
            Written::Text(text) => text.parse().map_err(D::Error::custom),
        }
    }
}

impl fmt::Display for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// A point in one life of one region's log. It includes every record up to and including `lsn`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Position {
    /// The life of the log.
    pub incarnation: Incarnation,
    /// The last included record; 0 for none.
    pub lsn: Lsn,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.incarnation, self.lsn)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_readers_that_round_numbers_keep_an_incarnation() {
        let position = Position { incarnation: Incarnation(0xfedc_ba98_7654_3211), lsn: Lsn(7) };
        let json = serde_json::to_string(&position).unwrap();
        assert_eq!(json, r#"{"incarnation":"fedcba9876543211","lsn":7}"#);
        assert_eq!(serde_json::from_str::<Position>(&json).unwrap(), position);
        let older = r#"{"incarnation":18364758544493064721,"lsn":7}"#;
        assert_eq!(serde_json::from_str::<Position>(older).unwrap(), position);
        for wrong in ["\"\"", "\"+edcba9876543211\"", "\"fedcba98765432110\"", "-1", "1.5"] {
            assert!(serde_json::from_str::<Incarnation>(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_incarnation_is_a_number_on_the_wire() {
        let bytes = postcard::to_allocvec(&Incarnation(300)).unwrap();
        assert_eq!(bytes, postcard::to_allocvec(&300_u64).unwrap());
        assert_eq!(postcard::from_bytes::<Incarnation>(&bytes).unwrap(), Incarnation(300));
    }
}
