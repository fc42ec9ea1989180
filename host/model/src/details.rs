//! What a definition says beyond its schema: what people should know about it, and which columns the rows of its source have.

use crate::{
    service::{FeatureService, PushSource},
    view::{FeatureView, InvalidView},
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The largest details of one definition, in encoded bytes: every replica holds them, and they travel with the catalogue.
pub const DETAILS_LEN_MAX: usize = 64 << 10;

/// What people should know about a definition. Nothing is derived from it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    /// What it is, in words.
    pub description: String,
    /// Labels.
    pub tags: BTreeMap<String, String>,
    /// Who answers for it.
    pub owner: String,
}

/// Where a view's rows come from, and how they name what the view needs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowSource {
    /// The source's name.
    pub name: String,
    /// What people should know about it.
    pub about: About,
    /// The column of the event's time. Rows that are pushed must bring it; `None` dates rows without one with the time of
    /// the write.
    pub event_timestamp: Option<String>,
    /// The column that says when a row was made: of two rows of equal event times in one load, the later made one stays.
    pub created: Option<String>,
    /// Columns that are named otherwise than in the view: (the source's column, what the view or this source calls it).
    pub field_mapping: BTreeMap<String, String>,
}

/// What a view's definition says beyond its schema.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ViewDetails {
    /// Of the view itself.
    pub about: About,
    /// Of its entities, by name.
    pub entities: BTreeMap<String, About>,
    /// Of its features, by name.
    pub features: BTreeMap<String, About>,
    /// Where its rows come from.
    pub source: Option<RowSource>,
}

/// A view with its details.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ViewDefinition {
    /// The view.
    pub view: FeatureView,
    /// Its details.
    pub details: ViewDetails,
}

/// A feature service with its details.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceDefinition {
    /// The service.
    pub service: FeatureService,
    /// What people should know about it.
    pub about: About,
}

/// A push source with its details.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PushSourceDefinition {
    /// The push source.
    pub push_source: PushSource,
    /// What people should know about it.
    pub about: About,
}

/// The details of every definition that has some, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Details {
    pub(crate) views: BTreeMap<String, ViewDetails>,
    pub(crate) services: BTreeMap<String, About>,
    pub(crate) push_sources: BTreeMap<String, About>,
}

// === impl About ===

impl About {
    /// Whether it says nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

// === impl RowSource ===

impl RowSource {
    /// What the view or this source calls a column of its rows.
    #[must_use]
    pub fn renamed<'a>(&'a self, column: &'a str) -> &'a str {
        self.field_mapping.get(column).map_or(column, String::as_str)
    }
}

// === impl ViewDetails ===

impl ViewDetails {
    /// Whether they say nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Checks them against their view, and leaves out what says nothing.
    ///
    /// # Errors
    /// [`InvalidView::Details`].
    pub(crate) fn normalize(mut self, view: &FeatureView) -> Result<Self, InvalidView> {
        let refuse = |reason: String| Err(InvalidView::Details { view: view.name.clone(), reason });
        if let Some(feature) = self.features.keys().find(|name| view.feature(name).is_none()) {
            return refuse(format!("they describe feature '{feature}', which it does not have"));
        }
        if let Some(entity) = self.entities.keys().find(|name| !view.join_keys.iter().any(|key| key.entity == **name)) {
            return refuse(format!("they describe entity '{entity}', which it does not have"));
        }
        self.features.retain(|_, about| !about.is_empty());
        self.entities.retain(|_, about| !about.is_empty());
        if let Some(source) = &self.source {
            let times = [source.event_timestamp.as_deref(), source.created.as_deref()];
            if times.contains(&Some("")) {
                return refuse("a time column without a name; leave it out where there is none".into());
            }
            if let [Some(event), Some(created)] = times
                && event == created
            {
                return refuse(format!("'{event}' cannot be both the event's time and the time of creation"));
            }
            if *source == RowSource::default() {
                self.source = None;
            }
        }
        match check_len(&self) {
            Ok(()) => Ok(self),
            Err(reason) => refuse(reason),
        }
    }
}

/// Checks that details are not too large.
pub(crate) fn check_len(details: &impl Serialize) -> Result<(), String> {
    let len = postcard::experimental::serialized_size(details).unwrap_or(usize::MAX);
    if len <= DETAILS_LEN_MAX {
        Ok(())
    } else {
        Err(format!("descriptions, tags and columns take {len} bytes; at most {DETAILS_LEN_MAX} are kept"))
    }
}

// === impl definitions ===

impl From<FeatureView> for ViewDefinition {
    fn from(view: FeatureView) -> Self {
        Self { view, details: ViewDetails::default() }
    }
}

impl From<FeatureService> for ServiceDefinition {
    fn from(service: FeatureService) -> Self {
        Self { service, about: About::default() }
    }
}

impl From<PushSource> for PushSourceDefinition {
    fn from(push_source: PushSource) -> Self {
        Self { push_source, about: About::default() }
    }
}

// === impl Details ===

impl Details {
    pub(crate) fn is_empty(&self) -> bool {
        self.views.is_empty() && self.services.is_empty() && self.push_sources.is_empty()
    }
}
