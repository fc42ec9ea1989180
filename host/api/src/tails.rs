//! Detached tails: records that a member of a region's log had alone and had to detach, or rows that an edge holds and
//! its leader's log has lost.

use littoral_model::tail::TailStatus;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A detached tail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Tail {
    /// Its name.
    pub name: String,
    /// The log that it belongs to, as 16 hexadecimal digits.
    pub incarnation: String,
    /// The epoch of its last record.
    pub epoch: u64,
    /// Its first record.
    pub first: u64,
    /// Its last record.
    pub last: u64,
    /// The size of its records in bytes.
    pub bytes: u64,
}

/// The answer of `GET /v1/tails`: the oldest tail first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Tails {
    /// The tails that the node keeps.
    pub tails: Vec<Tail>,
}

impl From<&TailStatus> for Tail {
    fn from(tail: &TailStatus) -> Self {
        Self {
            name: tail.name.clone(),
            incarnation: tail.incarnation.to_string(),
            epoch: tail.epoch.0,
            first: tail.first.0,
            last: tail.last.0,
            bytes: tail.bytes,
        }
    }
}

/// A row or a deletion of a detached tail.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TailRecord {
    /// The number of the record.
    pub lsn: u64,
    /// The view. `None` if no view has its number any more.
    pub view: Option<String>,
    /// The entity key, by join key.
    pub key: Map<String, Value>,
    /// Whether the row was deleted.
    pub deleted: bool,
    /// The region that accepted the write.
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
    /// Its values by feature. `None` for a deletion, and if the view is unknown.
    pub values: Option<Map<String, Value>>,
}

/// The answer of `GET /v1/tails/{name}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TailPage {
    /// The tail.
    pub tail: Tail,
    /// Its rows and deletions, in order.
    pub records: Vec<TailRecord>,
    /// The record to continue from. `None` if there are no more.
    pub next: Option<u64>,
}
