//! Details: what a definition holds beyond its schema, such as descriptions and the columns of its
//! row source.

use crate::{
    service::{FeatureService, PushSource},
    view::{FeatureView, InvalidView},
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The maximum encoded size of one definition's details, in bytes. Every replica holds them, and
/// they travel with the catalogue.
pub const DETAILS_LEN_MAX: usize = 64 << 10;

/// Documentation of a definition. Nothing is derived from it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    /// A description in prose.
    pub description: String,
    /// Labels.
    pub tags: BTreeMap<String, String>,
    /// The owner.
    pub owner: String,
}

/// Where a view's rows come from, and which of their columns map to the view.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowSource {
    /// The source's name.
    pub name: String,
    /// The source's documentation.
    pub about: About,
    /// The column with the event time. Pushed rows must have it. With `None`, a row without a
    /// timestamp gets the time of the write.
    pub event_timestamp: Option<String>,
    /// The column with a row's creation time. Among rows with equal event times in one load, the
    /// row that was created last wins.
    pub created: Option<String>,
    /// Renamed columns: (name in the source, name in the view or in this struct).
    pub field_mapping: BTreeMap<String, String>,
}

/// The details of a view's definition.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ViewDetails {
    /// The view's documentation.
    pub about: About,
    /// The documentation of its entities, by name.
    pub entities: BTreeMap<String, About>,
    /// The documentation of its features, by name.
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
    /// Its documentation.
    pub about: About,
}

/// A push source with its details.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PushSourceDefinition {
    /// The push source.
    pub push_source: PushSource,
    /// Its documentation.
    pub about: About,
}

/// The details of every definition that has any, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Details {
    pub(crate) views: BTreeMap<String, ViewDetails>,
    pub(crate) services: BTreeMap<String, About>,
    pub(crate) push_sources: BTreeMap<String, About>,
}

// === impl About ===

impl About {
    /// Returns whether all fields are empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

// === impl RowSource ===

impl RowSource {
    /// Returns the name of a source column in the view or in this struct.
    #[must_use]
    pub fn renamed<'a>(&'a self, column: &'a str) -> &'a str {
        self.field_mapping.get(column).map_or(column, String::as_str)
    }
}

// === impl ViewDetails ===

impl ViewDetails {
    /// Returns whether all fields are empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Validates the details against their view and removes empty entries.
    pub(crate) fn normalize(mut self, view: &FeatureView) -> Result<Self, InvalidView> {
        let reject = |reason: String| Err(InvalidView::Details { view: view.name.clone(), reason });
        if let Some(feature) = self.features.keys().find(|name| view.feature(name).is_none()) {
            return reject(format!("they describe feature '{feature}', which the view does not have"));
        }
        if let Some(entity) = self.entities.keys().find(|name| !view.join_keys.iter().any(|key| key.entity == **name)) {
            return reject(format!("they describe entity '{entity}', which the view does not have"));
        }
        self.features.retain(|_, about| !about.is_empty());
        self.entities.retain(|_, about| !about.is_empty());
        if let Some(source) = &self.source {
            let times = [source.event_timestamp.as_deref(), source.created.as_deref()];
            if times.contains(&Some("")) {
                return reject("a time column has an empty name; leave the column out if there is none".into());
            }
            if let [Some(event), Some(created)] = times
                && event == created
            {
                return reject(format!("'{event}' cannot be both the event time and the creation time"));
            }
            if *source == RowSource::default() {
                self.source = None;
            }
        }
        match check_len(&self) {
            Ok(()) => Ok(self),
            Err(reason) => reject(reason),
        }
    }
}

/// Checks that encoded details are at most [`DETAILS_LEN_MAX`] bytes.
pub(crate) fn check_len(details: &impl Serialize) -> Result<(), String> {
    let len = postcard::experimental::serialized_size(details).unwrap_or(usize::MAX);
    if len <= DETAILS_LEN_MAX {
        Ok(())
    } else {
        Err(format!("descriptions, tags and columns take {len} bytes; the maximum is {DETAILS_LEN_MAX}"))
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
