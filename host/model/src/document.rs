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
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ViewDocument {
    /// Assigned by the leader; ignored when a definition is written.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(extend("readOnly" = true)))]
    id: ViewId,
    /// The view's name; optional where the request path contains it.
    #[serde(default)]
    pub name: String,
    /// A description in prose.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    description: String,
    /// Tags: name -> value.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    tags: BTreeMap<String, String>,
    /// The owner.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    owner: String,
    /// The entities, in the order of the entity key.
    #[serde(default)]
    entities: Vec<EntityDocument>,
    /// The features, in order.
    features: Vec<FeatureDocument>,
    /// How old an event may be to be served as `PRESENT`, in milliseconds. Zero, or left out: any age.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ttl_ms: Option<u64>,
    /// The TTL in seconds, in place of `ttl_ms`.
    #[serde(default, skip_serializing)]
    ttl_seconds: Option<u64>,
    /// How two versions of a row become one.
    #[serde(default)]
    merge: MergePolicy,
    /// Where the rows come from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    source: Option<SourceDocument>,
}

/// The documentation of a definition, as fields of its object. Empty fields are omitted.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct AboutDocument {
    /// A description in prose.
    #[serde(skip_serializing_if = "String::is_empty")]
    description: String,
    /// Tags: name -> value.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    tags: BTreeMap<String, String>,
    /// The owner.
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

/// An entity of a view.
#[derive(Debug, Deserialize, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
struct EntityDocument {
    /// The entity's name.
    name: String,
    /// The join key's name; defaults to the entity's name.
    #[serde(default)]
    join_key: Option<String>,
    /// The type of the join key.
    value_type: ValueType,
    /// A description in prose.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    description: String,
    /// Tags: name -> value.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    tags: BTreeMap<String, String>,
    /// The owner.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    owner: String,
}

/// A feature of a view.
#[derive(Debug, Deserialize, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
struct FeatureDocument {
    /// The name of the feature.
    name: String,
    /// The type of its values.
    value_type: ValueType,
    /// A description in prose.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    description: String,
    /// Tags: name -> value.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    tags: BTreeMap<String, String>,
    /// The owner.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    owner: String,
}

/// Where a view's rows come from, and which of their columns map to the view. Feast's doors and
/// `littoral ingest` use it.
#[derive(Debug, Default, Deserialize, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
struct SourceDocument {
    /// The name of the source.
    #[serde(skip_serializing_if = "String::is_empty")]
    name: String,
    /// A description in prose.
    #[serde(skip_serializing_if = "String::is_empty")]
    description: String,
    /// Tags: name -> value.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    tags: BTreeMap<String, String>,
    /// The owner.
    #[serde(skip_serializing_if = "String::is_empty")]
    owner: String,
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
    pub fn into_definition(mut self) -> Result<ViewDefinition, InvalidDocument> {
        let ttl_ms = self.take_ttl_ms()?;
        Ok(self.with_ttl_ms(ttl_ms))
    }

    /// Takes the TTL out of the document.
    ///
    /// # Errors
    /// [`InvalidDocument`].
    pub fn take_ttl_ms(&mut self) -> Result<Option<u64>, InvalidDocument> {
        match (self.ttl_seconds.take(), self.ttl_ms.take()) {
            (Some(_), Some(_)) => Err(InvalidDocument::TwoTtls),
            (Some(seconds), None) => seconds.checked_mul(1_000).map(Some).ok_or(InvalidDocument::TtlTooLong(seconds)),
            (None, ttl_ms) => Ok(ttl_ms),
        }
    }

    /// Converts the document to a definition with this TTL, whatever TTL the document has.
    #[must_use]
    pub fn with_ttl_ms(self, ttl_ms: Option<u64>) -> ViewDefinition {
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
        ViewDefinition { view, details }
    }
}

// === impl SourceDocument ===

impl From<SourceDocument> for RowSource {
    fn from(source: SourceDocument) -> Self {
        let SourceDocument { name, description, tags, owner, event_timestamp, created, field_mapping } = source;
        Self { name, about: About { description, tags, owner }, event_timestamp, created, field_mapping }
    }
}
