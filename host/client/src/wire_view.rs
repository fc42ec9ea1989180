//! A feature view as the API writes it. Members that are not known here are left out: the node may be of a later release.

use littoral_model::{
    details::{About, RowSource, ViewDefinition, ViewDetails},
    document::AboutDocument,
    merge::MergePolicy,
    value::ValueType,
    view::{Feature, FeatureView, JoinKey, ViewId},
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

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
    #[serde(flatten)]
    about: AboutDocument,
}

/// One feature of a view.
#[derive(Clone, Debug, Deserialize, Serialize)]
struct WireFeature {
    name: String,
    value_type: ValueType,
    #[serde(flatten)]
    about: AboutDocument,
}

/// Where a view's rows come from.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
struct Source {
    #[serde(skip_serializing_if = "String::is_empty")]
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    event_timestamp: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    created: Option<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    field_mapping: BTreeMap<String, String>,
    #[serde(flatten)]
    about: AboutDocument,
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
    features: Vec<WireFeature>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ttl_ms: Option<u64>,
    #[serde(default, skip_serializing)]
    ttl_seconds: Option<u64>,
    #[serde(default)]
    merge: MergePolicy,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    source: Option<Source>,
    #[serde(flatten)]
    about: AboutDocument,
}

impl From<&ViewDefinition> for WireView {
    fn from(ViewDefinition { view, details }: &ViewDefinition) -> Self {
        let about = |parts: &BTreeMap<String, About>, name: &str| parts.get(name).cloned().unwrap_or_default().into();
        let entities = view.join_keys.iter().map(|key| Entity {
            name: key.entity.clone(),
            join_key: Some(key.name.clone()),
            entity: None,
            value_type: key.value_type,
            about: about(&details.entities, &key.entity),
        });
        let features = view.features.iter().map(|feature| WireFeature {
            name: feature.name.clone(),
            value_type: feature.value_type,
            about: about(&details.features, &feature.name),
        });
        Self {
            id: view.id,
            name: view.name.clone(),
            entities: entities.collect(),
            features: features.collect(),
            ttl_ms: view.ttl_ms(),
            ttl_seconds: None,
            merge: view.merge,
            source: details.source.clone().map(Source::from),
            about: details.about.clone().into(),
        }
    }
}

impl From<WireView> for ViewDefinition {
    fn from(wire: WireView) -> Self {
        let mut details = ViewDetails {
            about: wire.about.into(),
            source: wire.source.map(RowSource::from),
            ..ViewDetails::default()
        };
        let mut join_keys = Vec::with_capacity(wire.entities.len());
        for Entity { name, join_key, entity, value_type, about } in wire.entities {
            let (name, entity) = match (join_key, entity) {
                (Some(join_key), _) => (join_key, name),
                (None, Some(entity)) => (name, entity),
                (None, None) => (name.clone(), name),
            };
            keep(&mut details.entities, &entity, about);
            join_keys.push(JoinKey { name, entity, value_type });
        }
        let mut features = Vec::with_capacity(wire.features.len());
        for WireFeature { name, value_type, about } in wire.features {
            keep(&mut details.features, &name, about);
            features.push(Feature { name, value_type });
        }
        let ttl_ms = wire.ttl_ms.or(wire.ttl_seconds.map(|seconds| seconds.saturating_mul(1_000)));
        let view = FeatureView { id: wire.id, name: wire.name, join_keys, features, ttl_ms, merge: wire.merge };
        Self { view, details }
    }
}

impl From<WireView> for FeatureView {
    fn from(wire: WireView) -> Self {
        ViewDefinition::from(wire).view
    }
}

fn keep(parts: &mut BTreeMap<String, About>, name: &str, about: AboutDocument) {
    let about = About::from(about);
    if !about.is_empty() {
        parts.insert(name.to_owned(), about);
    }
}

impl From<RowSource> for Source {
    fn from(RowSource { name, about, event_timestamp, created, field_mapping }: RowSource) -> Self {
        Self { name, event_timestamp, created, field_mapping, about: about.into() }
    }
}

impl From<Source> for RowSource {
    fn from(Source { name, event_timestamp, created, field_mapping, about }: Source) -> Self {
        Self { name, about: about.into(), event_timestamp, created, field_mapping }
    }
}
