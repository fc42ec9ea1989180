//! Definitions in the form that people and programs write: JSON in requests, TOML in files.

use crate::{
    details::{About, RowSource, ViewDefinition, ViewDetails},
    merge::MergePolicy,
    value::ValueType,
    view::{Feature, FeatureView, JoinKey, ViewId},
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A feature view's definition.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ViewDocument {
    /// Assigned by the leader; ignored when a definition is written.
    #[serde(default)]
    id: ViewId,
    /// The view's name; optional where the request path contains it.
    #[serde(default)]
    pub name: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    description: String,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    tags: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    owner: String,
    #[serde(default)]
    entities: Vec<EntityDocument>,
    features: Vec<FeatureDocument>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ttl_ms: Option<u64>,
    #[serde(default, skip_serializing)]
    ttl_seconds: Option<u64>,
    #[serde(default)]
    merge: MergePolicy,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    source: Option<SourceDocument>,
}

/// The documentation of a definition, as fields of its object. Empty fields are omitted.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct AboutDocument {
    #[serde(skip_serializing_if = "String::is_empty")]
    description: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    tags: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    owner: String,
}

impl From<About> for AboutDocument {
    fn from(About { description, tags, owner }: About) -> Self {
        Self { description, tags, owner }
    }
}

impl From<AboutDocument> for About {
    fn from(AboutDocument { description, tags, owner }: AboutDocument) -> Self {
        Self { description, tags, owner }
    }
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct EntityDocument {
    /// The entity's name.
    name: String,
    /// The join key's name; defaults to the entity's name.
    #[serde(default)]
    join_key: Option<String>,
    value_type: ValueType,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    description: String,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    tags: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    owner: String,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct FeatureDocument {
    name: String,
    value_type: ValueType,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    description: String,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    tags: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    owner: String,
}

#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
struct SourceDocument {
    #[serde(skip_serializing_if = "String::is_empty")]
    name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    description: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    tags: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    owner: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    event_timestamp: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    created: Option<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    field_mapping: BTreeMap<String, String>,
}

/// Why a document is not a valid definition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidDocument {
    /// Both TTL fields are set.
    #[error("both 'ttl_seconds' and 'ttl_ms' are set; keep one of them")]
    TwoTtls,
    /// The TTL overflows.
    #[error("'ttl_seconds' is {0}, which is too large; omit it to allow any age")]
    TtlTooLong(u64),
}

/// Stores the documentation of an entity or a feature under its name, unless it is empty.
fn keep(documented: &mut BTreeMap<String, About>, name: &str, about: About) {
    if !about.is_empty() {
        documented.insert(name.to_owned(), about);
    }
}

// === impl ViewDocument ===

impl ViewDocument {
    /// Converts the document to a definition.
    ///
    /// # Errors
    /// [`InvalidDocument`]. Only the document is checked here; [`FeatureView::normalize`] and the
    /// catalogue validate the definition.
    pub fn into_definition(self) -> Result<ViewDefinition, InvalidDocument> {
        let ttl_ms = match (self.ttl_seconds, self.ttl_ms) {
            (Some(_), Some(_)) => return Err(InvalidDocument::TwoTtls),
            (Some(seconds), None) => Some(seconds.checked_mul(1_000).ok_or(InvalidDocument::TtlTooLong(seconds))?),
            (None, ttl_ms) => ttl_ms,
        };
        let mut details = ViewDetails {
            about: About { description: self.description, tags: self.tags, owner: self.owner },
            source: self.source.map(RowSource::from),
            ..ViewDetails::default()
        };
        let mut join_keys = Vec::with_capacity(self.entities.len());
        for EntityDocument { name, join_key, value_type, description, tags, owner } in self.entities {
            keep(&mut details.entities, &name, About { description, tags, owner });
            join_keys.push(JoinKey { name: join_key.unwrap_or_else(|| name.clone()), entity: name, value_type });
        }
        let mut features = Vec::with_capacity(self.features.len());
        for FeatureDocument { name, value_type, description, tags, owner } in self.features {
            keep(&mut details.features, &name, About { description, tags, owner });
            features.push(Feature { name, value_type });
        }
        let id = ViewId::default();
        let view = FeatureView { id, name: self.name, join_keys, features, ttl_ms, merge: self.merge };
        Ok(ViewDefinition { view, details })
    }
}

// === impl SourceDocument ===

impl From<SourceDocument> for RowSource {
    fn from(source: SourceDocument) -> Self {
        let SourceDocument { name, description, tags, owner, event_timestamp, created, field_mapping } = source;
        Self { name, about: About { description, tags, owner }, event_timestamp, created, field_mapping }
    }
}
