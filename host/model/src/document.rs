//! Definitions as people and programs write them: JSON at the doors, TOML in files.

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
    /// Given by the leader, and ignored in a definition that is written.
    #[serde(default)]
    id: ViewId,
    /// The view's name; may be left out where the request's path has it.
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

/// What is said about a definition, as members of its object; those that say nothing are left out.
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
    /// The join key's name; the entity's when left out.
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

/// Why a document is no definition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidDocument {
    /// Two times to live.
    #[error("it has both 'ttl_seconds' and 'ttl_ms'; keep one of them")]
    TwoTtls,
    /// A time to live that does not fit.
    #[error("a 'ttl_seconds' of {0} is too long; leave it out for any age")]
    TtlTooLong(u64),
}

/// Takes what is said about one of several parts, under its name.
fn keep(parts: &mut BTreeMap<String, About>, name: &str, about: About) {
    if !about.is_empty() {
        parts.insert(name.to_owned(), about);
    }
}

// === impl ViewDocument ===

impl ViewDocument {
    /// The definition.
    ///
    /// # Errors
    /// [`InvalidDocument`]. Whether the definition is sound, [`FeatureView::normalize`] and the catalogue say.
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
