//! Feast's read, as a Feast client sends it.

use crate::{Client, Error, Read, call::Call};
use http::Method;
use littoral_model::column::Status;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// What Feast's door answers.
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
    /// What is known of each.
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
    /// The column of this name.
    #[must_use]
    pub fn column(&self, name: &str) -> Option<&FeastColumn> {
        let at = self.metadata.feature_names.iter().position(|column| column == name)?;
        self.results.get(at)
    }
}

impl Client {
    /// Reads through Feast's door. Request parameters go among the entities, as Feast has it; a demand is left out.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn get_online_features(&self, read: &Read) -> Result<FeastAnswer, Error> {
        let mut entities = read.entities.clone();
        entities.extend(read.params.clone());
        let body = Read { entities, params: BTreeMap::new(), demand: None, ..read.clone() };
        let call = Call::new(Method::POST, "/get-online-features".to_owned()).json(&body)?.idempotent();
        let answer = self.send(call).await?;
        let mut feast: FeastAnswer = answer.json()?;
        let ours = answer.headers.keys().map(http::HeaderName::as_str).filter(|name| name.starts_with("littoral-"));
        feast.freshness = ours.filter_map(|name| Some((name.to_owned(), answer.header(name)?.to_owned()))).collect();
        Ok(feast)
    }
}
