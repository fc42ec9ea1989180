//! Compares what a caller may do with what a request changes or reads.

use crate::{Access, Scope, scope::shown};
use littoral_model::{
    catalogue::{Catalogue, CatalogueChange},
    view::ViewId,
    write::RowBatch,
};
use std::sync::Arc;

/// The project of names without one.
pub const DEFAULT_PROJECT: &str = "default";

/// The caller lacks a scope.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{who}' lacks the scope '{scope}' for {what}; grant it in the policy file, or use a credential that has it")]
pub struct Forbidden {
    who: Arc<str>,
    scope: Scope,
    what: String,
}

/// Returns the project and the name within it of a name that may be qualified as `PROJECT/NAME`.
#[must_use]
pub fn split(name: &str) -> (&str, &str) {
    name.split_once('/').unwrap_or((DEFAULT_PROJECT, name))
}

impl Access {
    /// Checks that the caller has a scope for a name of a project.
    ///
    /// # Errors
    /// [`Forbidden`].
    pub fn require(&self, scope: Scope, project: &str, name: &str) -> Result<(), Forbidden> {
        if self.may(scope, project, name) {
            return Ok(());
        }
        Err(self.forbidden(scope, format!("'{}' of project '{}'", shown(name), shown(project))))
    }

    /// Checks that the caller has a scope for at least one name of a project.
    ///
    /// # Errors
    /// [`Forbidden`].
    pub fn require_some(&self, scope: Scope, project: &str) -> Result<(), Forbidden> {
        if self.may_some(scope, project) {
            return Ok(());
        }
        Err(self.forbidden(scope, format!("anything in project '{}'", shown(project))))
    }

    /// Checks that the caller has a scope in every project.
    ///
    /// # Errors
    /// [`Forbidden`].
    pub fn require_everywhere(&self, scope: Scope) -> Result<(), Forbidden> {
        if self.may_everywhere(scope) {
            Ok(())
        } else {
            Err(self.forbidden(scope, "the node (project '*')".to_owned()))
        }
    }

    /// Checks that the caller has a scope for views of a catalogue, by id. Only a grant for every project and name
    /// covers an unknown id.
    ///
    /// # Errors
    /// [`Forbidden`].
    pub fn require_views(
        &self,
        scope: Scope,
        catalogue: &Catalogue,
        views: impl IntoIterator<Item = ViewId>,
    ) -> Result<(), Forbidden> {
        let mut last = None;
        for view in views {
            // Rows of one view usually follow each other.
            if last.replace(view) == Some(view) {
                continue;
            }
            let (project, name) = catalogue.view_by_id(view).map_or(("", ""), |view| split(&view.name));
            self.require(scope, project, name)?;
        }
        Ok(())
    }

    /// Checks that the caller may write these rows.
    ///
    /// # Errors
    /// [`Forbidden`].
    pub fn require_rows(&self, catalogue: &Catalogue, rows: &RowBatch) -> Result<(), Forbidden> {
        self.require_views(Scope::Write, catalogue, rows.pieces().map(|row| row.view))
    }

    /// Checks that the caller may make a change of the catalogue.
    ///
    /// # Errors
    /// [`Forbidden`].
    pub fn require_change(&self, change: &CatalogueChange) -> Result<(), Forbidden> {
        let (scope, name) = match change {
            CatalogueChange::PutView(view) => (Scope::Define, &view.name),
            CatalogueChange::DefineView(definition) => (Scope::Define, &definition.view.name),
            CatalogueChange::DropView(name)
            | CatalogueChange::DropService(name)
            | CatalogueChange::DropPushSource(name) => (Scope::Define, name),
            CatalogueChange::PutService(service) => (Scope::Define, &service.name),
            CatalogueChange::DefineService(definition) => (Scope::Define, &definition.service.name),
            CatalogueChange::PutPushSource(source) => (Scope::Define, &source.name),
            CatalogueChange::DefinePushSource(definition) => (Scope::Define, &definition.push_source.name),
            CatalogueChange::PutModule(release) => (Scope::Module, &release.name),
            CatalogueChange::DropModule(name) => (Scope::Module, name),
            CatalogueChange::NumberedBelow(_) => return self.require_everywhere(Scope::Admin),
        };
        let (project, name) = split(name);
        self.require(scope, project, name)
    }

    fn forbidden(&self, scope: Scope, what: String) -> Forbidden {
        Forbidden { who: self.who.clone(), scope, what }
    }
}
