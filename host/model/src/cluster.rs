//! The name of a cluster: what tells a node that an address leads to its own.

use crate::position::Incarnation;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Names a cluster: all regions that take each other's records, and their edges. Drawn at random once; written as 16 hexadecimal
/// digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ClusterId(pub u64);

impl fmt::Display for ClusterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// Where a log belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Belonging {
    /// Its cluster.
    pub cluster: ClusterId,
    /// The log in whose place it was begun, by the name under which other regions knew that.
    pub succeeds: Option<Incarnation>,
    /// Whether it holds what the other regions have. Until then nobody who holds rows may follow it, and it states nothing of this.
    pub healed: bool,
}

impl Belonging {
    /// Of the log that founds a cluster, whose name the cluster bears. Only the catalogue's home founds one, and a log that knows
    /// no other regions.
    #[must_use]
    pub const fn founder(log: Incarnation) -> Self {
        Self { cluster: ClusterId(log.0), succeeds: None, healed: true }
    }
}
