//! Conflicts between regions.

use crate::{Client, Error, RowsReceipt, address::escape, call::Call};
use http::Method;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A write that lost against another region's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Conflict {
    /// The same in every region where the two writes have met.
    pub id: String,
    /// The view; `None` when it was dropped since.
    pub view: Option<String>,
    /// The entity key, by join key.
    pub key: Map<String, Value>,
    /// What readers see.
    pub kept: ConflictSide,
    /// What they do not.
    pub lost: ConflictSide,
    /// The record of the region's log by which the two met.
    pub lsn: u64,
}

/// One of the two writes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ConflictSide {
    /// Where it was taken.
    pub region: String,
    /// The hybrid logical clock's reading.
    #[serde(with = "crate::whole")]
    pub hlc: u64,
    /// When it was taken, in milliseconds since 1970.
    pub written_at_ms: i64,
    /// When its event happened.
    pub event_timestamp: String,
    /// Its values by feature; `None` for a deletion.
    pub values: Option<Map<String, Value>>,
}

/// The newest conflicts, and how many are remembered in all.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Conflicts {
    /// The newest first.
    pub conflicts: Vec<Conflict>,
    /// How many are remembered.
    pub known: u64,
}

impl Client {
    /// The newest conflicts that a leader remembers.
    ///
    /// # Errors
    /// [`Error`], also when the node is no leader.
    pub async fn conflicts(&self, limit: usize) -> Result<Conflicts, Error> {
        self.send(Call::get(format!("/v1/conflicts?limit={limit}"))).await?.json()
    }

    /// Writes the value that lost again, so that it wins.
    ///
    /// # Errors
    /// [`Error`], also when no such conflict is known.
    pub async fn replay_conflict(&self, id: &str) -> Result<RowsReceipt, Error> {
        self.send(Call::new(Method::POST, format!("/v1/conflicts/{}/replay", escape(id)))).await?.json()
    }
}
