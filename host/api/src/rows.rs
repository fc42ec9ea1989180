//! Rows: written, deleted, and listed in pages.

use crate::Object;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A row to write.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RowDocument {
    /// Join key -> value.
    pub key: Object,
    /// Feature -> value. A feature that is left out is null.
    #[serde(default)]
    pub values: Object,
    /// When the event happened. Defaults to the time of the write.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<Time>"))]
    pub event_timestamp: Option<String>,
}

/// A row to delete.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RowDelete {
    /// Join key -> value.
    pub key: Object,
    /// When the row ceased to exist. Defaults to the time of the write.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<Time>"))]
    pub event_timestamp: Option<String>,
}

/// Rows to write into one view, and rows to delete from it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ViewRows {
    /// The view.
    pub view: String,
    /// Rows to write.
    #[serde(default)]
    pub rows: Vec<RowDocument>,
    /// Rows to delete.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub deletes: Vec<RowDelete>,
}

/// The body of `POST /v1/views/{name}/rows`: rows to write into the view of the path, and rows to delete from it.
#[derive(Clone, Copy, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Rows<'a> {
    /// Rows to write.
    #[serde(default)]
    pub rows: &'a [RowDocument],
    /// Rows to delete.
    #[serde(default, skip_serializing_if = "<[RowDelete]>::is_empty")]
    pub deletes: &'a [RowDelete],
}

/// The body of `POST /v1/rows`: rows of several views.
#[derive(Clone, Copy, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Writes<'a> {
    /// The rows of each view.
    pub writes: &'a [ViewRows],
}

/// A row that a node holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct HeldRow {
    /// Join key -> value.
    pub key: Object,
    /// Feature -> value.
    pub values: Object,
    /// When the event happened, as RFC 3339.
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub event_timestamp: Value,
    /// The version of the row. Rows of one write have one version everywhere.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(with = "RowVersion"))]
    pub version: Value,
    /// The record that wrote it.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(with = "u64"))]
    pub lsn: Value,
}

/// The version of a row: when and where a leader accepted its write.
#[cfg(feature = "schema")]
#[derive(schemars::JsonSchema)]
#[allow(dead_code)] // Only its schema is used: nodes write versions by hand.
struct RowVersion {
    /// The reading of the hybrid logical clock, a whole number of 64 bits.
    hlc: String,
    /// The region.
    region: String,
}

/// The schema of a time: text or a number.
#[cfg(feature = "schema")]
struct Time;

#[cfg(feature = "schema")]
impl schemars::JsonSchema for Time {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Time".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "description": "A point in time.",
            "anyOf": [
                { "type": "string", "description": "RFC 3339. A time without an offset is UTC." },
                { "type": "number", "description": "Seconds since 1970." },
            ],
        })
    }
}

/// A page of the rows that a node holds, ordered by entity key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RowPage {
    /// The rows.
    pub rows: Vec<HeldRow>,
    /// Where the next page begins. `None` after the last page.
    pub cursor: Option<String>,
}
