//! Rows: written, deleted, and listed in pages.

use crate::Object;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A row to write.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RowDocument {
    /// Join key -> value.
    pub key: Object,
    /// Feature -> value. A feature that is left out is null.
    pub values: Object,
    /// When the event happened, as RFC 3339. Defaults to the time of the write.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_timestamp: Option<String>,
}

/// A row to delete.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RowDelete {
    /// Join key -> value.
    pub key: Object,
    /// When the row ceased to exist, as RFC 3339. Defaults to the time of the write.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_timestamp: Option<String>,
}

/// Rows to write into one view, and rows to delete from it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ViewRows {
    /// The view.
    pub view: String,
    /// Rows to write.
    pub rows: Vec<RowDocument>,
    /// Rows to delete.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub deletes: Vec<RowDelete>,
}

/// A row that a node holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HeldRow {
    /// Join key -> value.
    pub key: Object,
    /// Feature -> value.
    pub values: Object,
    /// When the event happened.
    pub event_timestamp: Value,
    /// The version of the row. Rows of one write have one version everywhere.
    #[serde(default)]
    pub version: Value,
    /// The record that wrote it.
    #[serde(default)]
    pub lsn: Value,
}

/// A page of the rows that a node holds, ordered by entity key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RowPage {
    /// The rows.
    pub rows: Vec<HeldRow>,
    /// Where the next page begins. `None` after the last page.
    pub cursor: Option<String>,
}
