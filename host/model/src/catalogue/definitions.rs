//! Definitions with their details, in a catalogue and as catalogue changes.

use super::{Catalogue, CatalogueChange, InvalidChange};
use crate::{
    details::{self, About, PushSourceDefinition, ServiceDefinition, ViewDefinition, ViewDetails},
    view::FeatureView,
};

impl Catalogue {
    /// Returns the details of the view's definition; `None` if there are none.
    #[must_use]
    pub fn view_details(&self, name: &str) -> Option<&ViewDetails> {
        self.details.views.get(name)
    }

    /// Returns the view with this name, with its details.
    #[must_use]
    pub fn view_definition(&self, name: &str) -> Option<ViewDefinition> {
        let details = || self.view_details(name).cloned().unwrap_or_default();
        self.views.get(name).map(|view| ViewDefinition { view: view.clone(), details: details() })
    }

    /// Returns the feature service with this name, with its details.
    #[must_use]
    pub fn service_definition(&self, name: &str) -> Option<ServiceDefinition> {
        let about = || self.details.services.get(name).cloned().unwrap_or_default();
        self.services.get(name).map(|service| ServiceDefinition { service: service.clone(), about: about() })
    }

    /// Returns the push source with this name, with its details.
    #[must_use]
    pub fn push_source_definition(&self, name: &str) -> Option<PushSourceDefinition> {
        let about = || self.details.push_sources.get(name).cloned().unwrap_or_default();
        self.push_sources.get(name).map(|source| PushSourceDefinition { push_source: source.clone(), about: about() })
    }

    /// Iterates over the views with their details, sorted by name.
    pub fn view_definitions(&self) -> impl Iterator<Item = ViewDefinition> {
        self.views.keys().filter_map(|name| self.view_definition(name))
    }

    /// Iterates over the feature services with their details, sorted by name.
    pub fn service_definitions(&self) -> impl Iterator<Item = ServiceDefinition> {
        self.services.keys().filter_map(|name| self.service_definition(name))
    }

    /// Iterates over the push sources with their details, sorted by name.
    pub fn push_source_definitions(&self) -> impl Iterator<Item = PushSourceDefinition> {
        self.push_sources.keys().filter_map(|name| self.push_source_definition(name))
    }

    /// Applies a change to the details. A change replaces a definition whole: one without details
    /// clears the existing ones.
    pub(super) fn apply_details(&mut self, change: &CatalogueChange) {
        let details = &mut self.details;
        match change {
            CatalogueChange::DefineView(next) => {
                details.views.insert(next.view.name.clone(), next.details.clone());
            }
            CatalogueChange::DefineService(next) => {
                details.services.insert(next.service.name.clone(), next.about.clone());
            }
            CatalogueChange::DefinePushSource(next) => {
                details.push_sources.insert(next.push_source.name.clone(), next.about.clone());
            }
            CatalogueChange::PutView(FeatureView { name, .. }) | CatalogueChange::DropView(name) => {
                details.views.remove(name);
            }
            CatalogueChange::PutService(service) => drop(details.services.remove(&service.name)),
            CatalogueChange::DropService(name) => drop(details.services.remove(name)),
            CatalogueChange::PutPushSource(source) => drop(details.push_sources.remove(&source.name)),
            CatalogueChange::DropPushSource(name) => drop(details.push_sources.remove(name)),
            CatalogueChange::PutModule(_)
            | CatalogueChange::DropModule(_)
            | CatalogueChange::NumberedBelow(_)
            | CatalogueChange::PutProject(_)
            | CatalogueChange::DropProject(_)
            | CatalogueChange::Restrict(_) => {}
        }
    }
}

impl CatalogueChange {
    /// Returns the view that the change creates or evolves.
    #[must_use]
    pub fn defined_view(&self) -> Option<&FeatureView> {
        match self {
            Self::PutView(view) => Some(view),
            Self::DefineView(definition) => Some(&definition.view),
            _ => None,
        }
    }
}

impl From<ViewDefinition> for CatalogueChange {
    fn from(definition: ViewDefinition) -> Self {
        if definition.details.is_empty() {
            Self::PutView(definition.view)
        } else {
            Self::DefineView(Box::new(definition))
        }
    }
}

impl From<ServiceDefinition> for CatalogueChange {
    fn from(definition: ServiceDefinition) -> Self {
        if definition.about.is_empty() {
            Self::PutService(definition.service)
        } else {
            Self::DefineService(Box::new(definition))
        }
    }
}

impl From<PushSourceDefinition> for CatalogueChange {
    fn from(definition: PushSourceDefinition) -> Self {
        if definition.about.is_empty() {
            Self::PutPushSource(definition.push_source)
        } else {
            Self::DefinePushSource(Box::new(definition))
        }
    }
}

/// Checks that the details of a definition are not too large.
pub(super) fn check_about(name: &str, about: &About) -> Result<(), InvalidChange> {
    details::check_len(about).map_err(|reason| InvalidChange::Details { name: name.to_owned(), reason })
}
