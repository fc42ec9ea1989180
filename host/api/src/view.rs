//! Feature views. A client ignores unknown members, because the node may be of a later release. What a door accepts as
//! a definition is stricter: [`littoral_model::document::ViewDocument`].

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
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "ViewEntity"))]
struct Entity {
    /// The name of the entity.
    name: String,
    /// The join key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    join_key: Option<String>,
    /// Only in a former form: the name of the entity, while `name` is that of the join key.
    #[serde(default, skip_serializing)]
    entity: Option<String>,
    /// The type of the join key.
    value_type: ValueType,
    #[serde(flatten)]
    about: AboutDocument,
}

/// One feature of a view.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
struct ViewFeature {
    /// The name of the feature.
    name: String,
    /// The type of its values.
    value_type: ValueType,
    #[serde(flatten)]
    about: AboutDocument,
}

/// Where a view's rows come from, and which of their columns map to the view. Feast's doors and
/// `littoral ingest` use it.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "ViewSource"))]
#[serde(default)]
struct Source {
    /// The name of the source.
    #[serde(skip_serializing_if = "String::is_empty")]
    name: String,
    /// The column with the time of the event. Pushed rows must have it.
    #[serde(skip_serializing_if = "Option::is_none")]
    event_timestamp: Option<String>,
    /// The column with the time at which a row was created. Of rows with equal event times in one load,
    /// the one created last is kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    created: Option<String>,
    /// Column of the source -> join key, feature or time column of the view.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    field_mapping: BTreeMap<String, String>,
    #[serde(flatten)]
    about: AboutDocument,
}

/// A feature view with its details.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct View {
    /// The identifier in the log. Left out of a definition that is sent.
    #[serde(default, skip_serializing_if = "is_default")]
    #[cfg_attr(feature = "schema", schemars(extend("readOnly" = true)))]
    id: ViewId,
    /// The name.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    name: String,
    /// The entities, in the order of the entity key.
    #[serde(default, alias = "join_keys")]
    entities: Vec<Entity>,
    /// The features, in order.
    features: Vec<ViewFeature>,
    /// How old an event may be to be served as `PRESENT`, in milliseconds. Any age if it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ttl_ms: Option<u64>,
    /// Only in a former form: the TTL in seconds.
    #[serde(default, skip_serializing)]
    ttl_seconds: Option<u64>,
    /// How two versions of a row become one.
    #[serde(default)]
    merge: MergePolicy,
    /// Where the rows come from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    source: Option<Source>,
    #[serde(flatten)]
    about: AboutDocument,
}

impl View {
    /// Returns the definition to send to `PUT /v1/views/{name}`: without the name, which is in the path, and without
    /// the identifier, which the leader assigns.
    #[must_use]
    pub fn unnamed(mut self) -> Self {
        self.id = ViewId::default();
        self.name.clear();
        self
    }
}

fn is_default(id: &ViewId) -> bool {
    *id == ViewId::default()
}

impl From<ViewDefinition> for View {
    fn from(ViewDefinition { view, details }: ViewDefinition) -> Self {
        let about = |parts: &BTreeMap<String, About>, name: &str| parts.get(name).cloned().unwrap_or_default().into();
        let ttl_ms = view.ttl_ms();
        let entity = |key: JoinKey| Entity {
            about: about(&details.entities, &key.entity),
            name: key.entity,
            join_key: Some(key.name),
            entity: None,
            value_type: key.value_type,
        };
        let feature = |Feature { name, value_type }: Feature| {
            let about = about(&details.features, &name);
            ViewFeature { name, value_type, about }
        };
        Self {
            id: view.id,
            name: view.name,
            entities: view.join_keys.into_iter().map(entity).collect(),
            features: view.features.into_iter().map(feature).collect(),
            ttl_ms,
            ttl_seconds: None,
            merge: view.merge,
            source: details.source.map(Source::from),
            about: details.about.into(),
        }
    }
}

impl From<View> for ViewDefinition {
    fn from(wire: View) -> Self {
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
        for ViewFeature { name, value_type, about } in wire.features {
            keep(&mut details.features, &name, about);
            features.push(Feature { name, value_type });
        }
        let ttl_ms = wire.ttl_ms.or(wire.ttl_seconds.map(|seconds| seconds.saturating_mul(1_000)));
        let view = FeatureView { id: wire.id, name: wire.name, join_keys, features, ttl_ms, merge: wire.merge };
        Self { view, details }
    }
}

impl From<View> for FeatureView {
    fn from(wire: View) -> Self {
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
