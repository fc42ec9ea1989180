//! A feature view as the API writes it.

use littoral_model::{
    merge::MergePolicy,
    value::ValueType,
    view::{Feature, FeatureView, JoinKey, ViewId},
};
use serde::{Deserialize, Serialize};

/// One entity of a view.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Entity {
    /// The entity's name.
    name: String,
    /// The join key's name; the entity's when left out.
    #[serde(default)]
    join_key: Option<String>,
    value_type: ValueType,
}

/// A feature view as the API writes it. The name stands in the path, too; the number is given by the leader.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WireView {
    #[serde(default)]
    id: ViewId,
    #[serde(default)]
    pub(super) name: String,
    #[serde(default)]
    entities: Vec<Entity>,
    features: Vec<Feature>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ttl_ms: Option<u64>,
    #[serde(default, skip_serializing)]
    ttl_seconds: Option<u64>,
    #[serde(default)]
    merge: MergePolicy,
}

impl From<&FeatureView> for WireView {
    fn from(view: &FeatureView) -> Self {
        let entities = view.join_keys.iter().map(|key| Entity {
            name: key.entity.clone(),
            join_key: Some(key.name.clone()),
            value_type: key.value_type,
        });
        Self {
            id: view.id,
            name: view.name.clone(),
            entities: entities.collect(),
            features: view.features.clone(),
            ttl_ms: view.ttl_ms,
            ttl_seconds: None,
            merge: view.merge,
        }
    }
}

impl WireView {
    /// The view under the name that its path gives it.
    pub(super) fn named(self, name: &str) -> FeatureView {
        let join_keys = self.entities.into_iter().map(|entity| JoinKey {
            name: entity.join_key.unwrap_or_else(|| entity.name.clone()),
            entity: entity.name,
            value_type: entity.value_type,
        });
        FeatureView {
            id: ViewId::default(),
            name: name.to_owned(),
            join_keys: join_keys.collect(),
            features: self.features,
            ttl_ms: self.ttl_ms.or(self.ttl_seconds.map(|seconds| seconds.saturating_mul(1_000))),
            merge: self.merge,
        }
    }
}
