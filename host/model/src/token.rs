//! Watermarks and freshness tokens.

use crate::{
    position::{Incarnation, Lsn},
    region::Region,
};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fmt, str::FromStr};

/// For each origin region, the position up to which its records are applied.
///
/// In text form it is the freshness token that a write returns and a read may demand. At any edge
/// of any region, a read with the token sees the write.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Watermark(BTreeMap<Region, (Incarnation, Lsn)>);

/// The error for a text that is not a freshness token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a freshness token; send the token exactly as a write returned it")]
pub struct InvalidToken;

/// The maximum length of a token's text, in bytes.
const TEXT_LEN_MAX: usize = 4_096;

impl Watermark {
    /// Creates a watermark with one region's position.
    #[must_use]
    pub fn at(region: Region, incarnation: Incarnation, lsn: Lsn) -> Self {
        Self(BTreeMap::from([(region, (incarnation, lsn))]))
    }

    /// Returns the position up to which this region's records are applied.
    #[must_use]
    pub fn get(&self, region: Region) -> Option<(Incarnation, Lsn)> {
        self.0.get(&region).copied()
    }

    /// Sets one region's position.
    pub fn set(&mut self, region: Region, incarnation: Incarnation, lsn: Lsn) {
        self.0.insert(region, (incarnation, lsn));
    }

    /// Sets one region's position, unless it is already further in the same life of its log.
    pub fn raise(&mut self, region: Region, incarnation: Incarnation, lsn: Lsn) {
        let further = self.get(region).is_some_and(|(here, applied)| here == incarnation && applied >= lsn);
        if !further {
            self.set(region, incarnation, lsn);
        }
    }

    /// Returns those positions of this watermark that `other` does not cover.
    #[must_use]
    pub fn beyond(&self, other: &Watermark) -> Watermark {
        let lacks = |region: &Region, at: &(Incarnation, Lsn)| !other.covers(&Watermark::at(*region, at.0, at.1));
        Self(self.0.iter().filter(|(region, at)| lacks(region, at)).map(|(region, at)| (*region, *at)).collect())
    }

    /// Returns whether the watermark contains no region.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns whether everything that `demand` requires is applied here. A position in another
    /// incarnation of a log is never covered, because its records cannot be compared.
    #[must_use]
    pub fn covers(&self, demand: &Watermark) -> bool {
        demand.0.iter().all(|(region, (incarnation, lsn))| {
            *lsn == Lsn::NONE
                || self.get(*region).is_some_and(|(here, applied)| here == *incarnation && applied >= *lsn)
        })
    }

    /// Iterates over the regions and their positions.
    pub fn iter(&self) -> impl Iterator<Item = (Region, Incarnation, Lsn)> {
        self.0.iter().map(|(region, (incarnation, lsn))| (*region, *incarnation, *lsn))
    }
}

/// Formats as `region@incarnation:lsn`, joined by commas. Readable on purpose, but clients must
/// treat it as opaque.
impl fmt::Display for Watermark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (region, incarnation, lsn)) in self.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(f, "{comma}{region}@{incarnation}:{lsn}")?;
        }
        Ok(())
    }
}

impl FromStr for Watermark {
    type Err = InvalidToken;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.len() > TEXT_LEN_MAX {
            return Err(InvalidToken);
        }
        let mut watermark = Watermark::default();
        for part in text.split(',').filter(|part| !part.is_empty()) {
            let (region, position) = part.split_once('@').ok_or(InvalidToken)?;
            let (incarnation, lsn) = position.split_once(':').ok_or(InvalidToken)?;
            watermark.set(
                region.parse().map_err(|_| InvalidToken)?,
                incarnation.parse().map_err(|_| InvalidToken)?,
                Lsn(lsn.parse().map_err(|_| InvalidToken)?),
            );
        }
        Ok(watermark)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watermark(text: &str) -> Watermark {
        text.parse().unwrap()
    }

    #[test]
    fn a_token_round_trips_and_garbage_is_rejected() {
        let text = "eu@00000000000000ff:7,us@0000000000000001:9";
        assert_eq!(watermark(text).to_string(), text);
        for bad in ["x", "eu@1:2", "eu@00000000000000ff:", "eu@00000000000000ff:-1", &"a".repeat(5_000)] {
            assert_eq!(bad.parse::<Watermark>(), Err(InvalidToken), "{bad}");
        }
    }

    #[test]
    fn a_demand_is_covered_only_within_its_incarnation() {
        let here = watermark("us@0000000000000001:9");
        assert!(here.covers(&watermark("us@0000000000000001:9")));
        assert!(!here.covers(&watermark("us@0000000000000001:10")));
        assert!(!here.covers(&watermark("us@0000000000000002:1")));
        assert!(!here.covers(&watermark("eu@0000000000000001:1")));
        assert!(here.covers(&Watermark::default()));
    }
}
