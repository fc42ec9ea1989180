//! The answer of Feast's door to a read.

use littoral_model::column::Status;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// The answer of `POST /get-online-features`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FeastAnswer {
    /// The columns, in the order of [`FeastMetadata::feature_names`].
    pub results: Vec<FeastColumn>,
    /// Their names.
    pub metadata: FeastMetadata,
    /// The freshness headers that Littoral adds, by name (`littoral-position`, `littoral-staleness-ms`, ...).
    #[serde(default, skip_deserializing)]
    pub freshness: BTreeMap<String, String>,
}

/// One column.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FeastColumn {
    /// The values.
    pub values: Vec<Value>,
    /// The status of each value.
    pub statuses: Vec<Status>,
    /// When each event happened.
    pub event_timestamps: Vec<String>,
}

/// The names of columns.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeastMetadata {
    /// Join keys, features, outputs of modules.
    pub feature_names: Vec<String>,
}

impl FeastAnswer {
    /// Returns the column of this name.
    #[must_use]
    pub fn column(&self, name: &str) -> Option<&FeastColumn> {
        let at = self.metadata.feature_names.iter().position(|column| column == name)?;
        self.results.get(at)
    }
}
