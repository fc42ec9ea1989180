//! Reads of features, with the freshness that they demand and the freshness of the answer.

use crate::position;
use littoral_model::{
    column::Status,
    freshness::{Consistency, Degraded, OnUnmet, Source},
    position::Position,
    region::Region,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// The request of `POST /v1/read`.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Read {
    /// The features: `view:feature` or `module:output`, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub features: Vec<String>,
    /// A feature service. It takes precedence over `features`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub feature_service: Option<String>,
    /// Join key -> one value per row.
    pub entities: BTreeMap<String, Vec<Value>>,
    /// Request parameter -> one value per row.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub params: BTreeMap<String, Vec<Value>>,
    /// Whether columns are named `view__feature`.
    #[serde(default)]
    pub full_feature_names: bool,
    /// How fresh the answer must be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub demand: Option<Demand>,
}

/// How fresh an answer must be.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Demand {
    /// The answer may be at most this far behind the leader.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_staleness_ms: Option<u64>,
    /// The answer must include the write that returned this token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at_least: Option<String>,
    /// Which nodes may answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub consistency: Option<Consistency>,
    /// What to do while the demand is not met.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_unmet: Option<OnUnmet>,
    /// How long to wait, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wait_ms: Option<u64>,
}

impl Read {
    /// Creates a read of these features. Add entities with [`Read::entity`].
    pub fn features<S: Into<String>>(features: impl IntoIterator<Item = S>) -> Self {
        Self { features: features.into_iter().map(Into::into).collect(), ..Self::default() }
    }

    /// Creates a read of a feature service.
    pub fn service(name: impl Into<String>) -> Self {
        Self { feature_service: Some(name.into()), ..Self::default() }
    }

    /// Adds the column of a join key.
    #[must_use]
    pub fn entity<V: Into<Value>>(mut self, join_key: &str, values: impl IntoIterator<Item = V>) -> Self {
        self.entities.insert(join_key.to_owned(), values.into_iter().map(Into::into).collect());
        self
    }

    /// Adds the column of a request parameter.
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

/// The answer of `POST /v1/read`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ReadAnswer {
    /// The columns, in the order of the request.
    pub columns: Vec<ReadColumn>,
    /// How fresh the answer is.
    pub freshness: Freshness,
    /// Module -> digest of the release that was called.
    #[serde(default)]
    pub modules: BTreeMap<String, String>,
}

/// One column of an answer. Every list has one element per row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ReadColumn {
    /// Its name.
    pub name: String,
    /// The values. Null where the status is not `PRESENT`.
    pub values: Vec<Value>,
    /// The status of each value.
    pub statuses: Vec<Status>,
    /// When the event behind each value happened, as RFC 3339.
    #[serde(default)]
    pub event_timestamps: Vec<Option<String>>,
    /// How long ago that was, in milliseconds.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(with = "Vec<Option<i64>>"))]
    pub ages_ms: Vec<Option<f64>>,
}

/// How fresh an answer is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Freshness {
    /// The answer includes every record up to this position.
    #[serde(with = "position")]
    #[cfg_attr(feature = "schema", schemars(with = "position::Text"))]
    pub position: Position,
    /// The token to demand for monotonic reads.
    #[serde(default)]
    pub token: String,
    /// Upper bound of how far the answer is behind the leader, in milliseconds. `None` if the node never had contact
    /// with a leader.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(with = "Option<u64>"))]
    pub staleness_ms: Option<f64>,
    /// Which node answered.
    pub source: Source,
    /// The regions whose leaders answered a read of a quorum.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub regions: Vec<Region>,
    /// Why the answer falls short of the configuration or the demand.
    #[serde(default)]
    pub degraded: Option<Degraded>,
}

impl ReadAnswer {
    /// Returns the column of this name.
    #[must_use]
    pub fn column(&self, name: &str) -> Option<&ReadColumn> {
        self.columns.iter().find(|column| column.name == name)
    }
}
