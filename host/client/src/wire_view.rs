//! A feature view as the API writes it.

use littoral_model::{
    merge::MergePolicy,
    value::ValueType,
    view::{Feature, FeatureView, JoinKey, ViewId},
};
use serde::{Deserialize, Serialize};

/// One entity of a view.
#[derive(Clone, Debug, Deserialize, Serialize)]
struct Entity {
    /// The entity's name; in the model's own form it stands under `entity`, and `name` is the join key's.
    name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    join_key: Option<String>,
    #[serde(default, skip_serializing)]
    entity: Option<String>,
    value_type: ValueType,
}

/// A feature view as the API writes it.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct WireView {
    #[serde(default, skip_serializing)]
    id: ViewId,
    #[serde(default, skip_serializing)]
    name: String,
    #[serde(default, alias = "join_keys")]
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
            entity: None,
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

impl From<WireView> for FeatureView {
    fn from(view: WireView) -> Self {
        let join_keys = view.entities.into_iter().map(|entity| match (entity.join_key, entity.entity) {
            (Some(join_key), _) => JoinKey { name: join_key, entity: entity.name, value_type: entity.value_type },
            (None, Some(name)) => JoinKey { name: entity.name, entity: name, value_type: entity.value_type },
            (None, None) => JoinKey { name: entity.name.clone(), entity: entity.name, value_type: entity.value_type },
        });
        Self {
            id: view.id,
            name: view.name,
            join_keys: join_keys.collect(),
            features: view.features,
            ttl_ms: view.ttl_ms.or(view.ttl_seconds.map(|seconds| seconds.saturating_mul(1_000))),
            merge: view.merge,
        }
    }
}
