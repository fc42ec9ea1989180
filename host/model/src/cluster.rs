//! Clusters: which cluster a log belongs to.

use crate::position::Incarnation;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Identifies a cluster: all regions that replicate to each other, and their edges. Drawn at
/// random once; written as 16 hexadecimal digits. A node uses it to check that an address leads to
/// its own cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct ClusterId(pub u64);

impl fmt::Display for ClusterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// The cluster that a log belongs to, and its place there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Affiliation {
    /// The cluster.
    pub cluster: ClusterId,
    /// The log that this one replaces, by the name under which other regions knew it.
    pub succeeds: Option<Incarnation>,
    /// Whether this log holds everything that the other regions have. Until it does, no node that
    /// holds rows may follow it, and it states its cluster to no other node.
    pub healed: bool,
}

impl Affiliation {
    /// Returns the affiliation of a log that founds a cluster, which is identified by the log's
    /// name. Only two kinds of log found one: that of the catalogue home, and one that knows no
    /// other regions.
    #[must_use]
    pub const fn founder(log: Incarnation) -> Self {
        Self { cluster: ClusterId(log.0), succeeds: None, healed: true }
    }
}
