//! The requests that Feast's doors accept, and the answer to a read.

use littoral_model::column::Status;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// The request of `POST /get-online-features`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct FeastRead {
    /// The features: `view:feature` or `module:output`, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub features: Vec<String>,
    /// A feature service. It takes precedence over `features`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub feature_service: Option<String>,
    /// Join key or request parameter -> one value per row.
    pub entities: Columns,
    /// Whether columns are named `view__feature`.
    #[serde(default)]
    pub full_feature_names: bool,
    /// Whether the answer lists the views that it was read from.
    #[serde(default)]
    pub include_feature_view_version_metadata: bool,
}

/// The request of `POST /push`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct FeastPush {
    /// The push source.
    pub push_source_name: String,
    /// Column -> one value per row.
    pub df: Columns,
    /// The store that receives the rows. There is no offline store: both values write to the online store.
    #[serde(default)]
    pub to: PushMode,
}

/// The store that receives pushed rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum PushMode {
    /// The online store.
    #[default]
    Online,
    /// Both stores, of which only the online store exists.
    OnlineAndOffline,
}

/// The request of `POST /write-to-online-store`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct FeastWrite {
    /// The view.
    pub feature_view_name: String,
    /// Column -> one value per row.
    pub df: Columns,
}

/// Columns by name. Each has one value per row.
pub type Columns = BTreeMap<String, Vec<Value>>;

/// The answer of `POST /get-online-features`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct FeastAnswer {
    /// The columns, in the order of `metadata.feature_names`.
    pub results: Vec<FeastColumn>,
    /// Their names.
    pub metadata: FeastMetadata,
    /// The freshness headers that Littoral adds, by name (`littoral-position`, `littoral-staleness-ms`, ...).
    #[serde(default, skip_deserializing)]
    #[cfg_attr(feature = "schema", schemars(skip))]
    pub freshness: BTreeMap<String, String>,
}

/// One column.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct FeastColumn {
    /// The values.
    pub values: Vec<Value>,
    /// The status of each value. A row whose existence cannot be determined is an error of the whole request.
    #[cfg_attr(feature = "schema", schemars(schema_with = "known_statuses"))]
    pub statuses: Vec<Status>,
    /// When the event behind each value happened, as RFC 3339. 1970 for a value without an event.
    pub event_timestamps: Vec<String>,
}

/// The names of columns.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct FeastMetadata {
    /// Join keys, features, outputs of modules.
    pub feature_names: Vec<String>,
    /// The views and modules that the answer was read from, if the request includes them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub feature_view_metadata: Option<Vec<FeastView>>,
}

/// A view or a module.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct FeastView {
    /// Its name.
    pub name: String,
}

#[cfg(feature = "schema")]
fn known_statuses(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    let known = [Status::Present, Status::NullValue, Status::NotFound, Status::OutsideMaxAge];
    schemars::json_schema!({ "type": "array", "items": { "type": "string", "enum": known.map(Status::as_str) } })
}

impl FeastAnswer {
    /// Returns the column of this name.
    #[must_use]
    pub fn column(&self, name: &str) -> Option<&FeastColumn> {
        let at = self.metadata.feature_names.iter().position(|column| column == name)?;
        self.results.get(at)
    }
}
