//! Conflicts between regions.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Two writes of different regions that did not know of each other.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Conflict {
    /// Names the conflict, equally in every region that has both writes.
    pub id: String,
    /// The view. `None` if it was dropped since.
    pub view: Option<String>,
    /// The entity key, by join key.
    pub key: Map<String, Value>,
    /// The write that readers see.
    pub kept: ConflictSide,
    /// The write that they do not see.
    pub lost: ConflictSide,
    /// The record of the region's log that found the conflict.
    pub lsn: u64,
}

/// One of the two writes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ConflictSide {
    /// The region that accepted it.
    pub region: String,
    /// The reading of the hybrid logical clock.
    #[serde(with = "crate::whole")]
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub hlc: u64,
    /// When it was accepted, in milliseconds since 1970.
    pub written_at_ms: i64,
    /// When its event happened.
    #[cfg_attr(feature = "schema", schemars(extend("format" = "date-time")))]
    pub event_timestamp: String,
    /// Its values by feature. `None` for a deletion.
    pub values: Option<Map<String, Value>>,
}

/// The answer of `GET /v1/conflicts`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Conflicts {
    /// The newest conflicts, the newest first.
    pub conflicts: Vec<Conflict>,
    /// The number of conflicts in the ledger.
    pub known: u64,
}
