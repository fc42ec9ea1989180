//! Reads of features, with what they demand and what the answer states of its freshness.

use crate::{Client, Error, call::Call, receipt::position};
use http::Method;
use littoral_model::{
    column::Status,
    freshness::{Consistency, Degraded, OnUnmet, Source},
    position::Position,
    region::Region,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// What is read.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Read {
    /// `view:feature` or `module:output`, in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub features: Vec<String>,
    /// A feature service in the place of single features.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub feature_service: Option<String>,
    /// Join key -> values, one a row.
    pub entities: BTreeMap<String, Vec<Value>>,
    /// Request parameter -> values, one a row.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub params: BTreeMap<String, Vec<Value>>,
    /// Whether columns are named `view__feature`.
    pub full_feature_names: bool,
    /// How fresh the answer must be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub demand: Option<Demand>,
}

/// How fresh an answer must be.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Demand {
    /// The answer may be at most this far behind the leader.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_staleness_ms: Option<u64>,
    /// The answer must include the write that returned this token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at_least: Option<String>,
    /// Who may answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub consistency: Option<Consistency>,
    /// What to do when that is not met yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_unmet: Option<OnUnmet>,
    /// How long to wait where the read waits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wait_ms: Option<u64>,
}

impl Read {
    /// A read of these features; entities are added by [`Read::entity`].
    pub fn features<S: Into<String>>(features: impl IntoIterator<Item = S>) -> Self {
        Self { features: features.into_iter().map(Into::into).collect(), ..Self::default() }
    }

    /// A read of a feature service.
    pub fn service(name: impl Into<String>) -> Self {
        Self { feature_service: Some(name.into()), ..Self::default() }
    }

    /// Adds a join key's column.
    #[must_use]
    pub fn entity<V: Into<Value>>(mut self, join_key: &str, values: impl IntoIterator<Item = V>) -> Self {
        self.entities.insert(join_key.to_owned(), values.into_iter().map(Into::into).collect());
        self
    }

    /// Adds a request parameter's column.
    #[must_use]
    pub fn param<V: Into<Value>>(mut self, name: &str, values: impl IntoIterator<Item = V>) -> Self {
        self.params.insert(name.to_owned(), values.into_iter().map(Into::into).collect());
        self
    }

    /// Demands freshness.
    #[must_use]
    pub fn demand(mut self, demand: Demand) -> Self {
        self.demand = Some(demand);
        self
    }
}

/// What a read answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReadAnswer {
    /// The columns, in the order asked for.
    pub columns: Vec<ReadColumn>,
    /// What is known of the answer's freshness.
    pub freshness: Freshness,
    /// Module -> digest of the release that was called.
    #[serde(default)]
    pub modules: BTreeMap<String, String>,
}

/// One column of an answer; every list has one element a row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReadColumn {
    /// Its name.
    pub name: String,
    /// The values; null where the status is not present.
    pub values: Vec<Value>,
    /// What is known of each value.
    pub statuses: Vec<Status>,
    /// When the event behind each value happened, as RFC 3339.
    #[serde(default)]
    pub event_timestamps: Vec<Option<String>>,
    /// How long ago that was, in milliseconds.
    #[serde(default)]
    pub ages_ms: Vec<Option<f64>>,
}

/// What an answer states of its freshness.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Freshness {
    /// Every record up to here is in the answer.
    #[serde(deserialize_with = "position")]
    pub position: Position,
    /// The token to demand for monotonic reads.
    #[serde(default)]
    pub token: String,
    /// Upper bound of how far behind the leader the answer is, in milliseconds; `None` when no leader was ever heard.
    #[serde(default)]
    pub staleness_ms: Option<f64>,
    /// Who answered.
    pub source: Source,
    /// The regions whose leaders answered, where a quorum did.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub regions: Vec<Region>,
    /// Why the answer is less than was configured or demanded.
    #[serde(default)]
    pub degraded: Option<Degraded>,
}

impl ReadAnswer {
    /// The column of this name.
    #[must_use]
    pub fn column(&self, name: &str) -> Option<&ReadColumn> {
        self.columns.iter().find(|column| column.name == name)
    }
}

impl Client {
    /// Reads features. Repeated when the node is busy or not to be reached.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn read(&self, read: &Read) -> Result<ReadAnswer, Error> {
        let call = Call::new(Method::POST, "/v1/read".to_owned()).json(read)?.idempotent();
        self.send(call).await?.json()
    }
}
