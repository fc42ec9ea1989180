//! Compares what a caller may do with what a request changes or reads.

use crate::{Access, Scope, scope::shown};
use littoral_model::{
    catalogue::{Catalogue, CatalogueChange},
    project::split,
    view::ViewId,
    write::RowBatch,
};
use std::sync::Arc;

/// The caller lacks a scope.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{who}' lacks the scope '{scope}' for {what}; grant it in the policy file, or use a credential that has it")]
pub struct Forbidden {
    who: Arc<str>,
    scope: Scope,
    what: String,
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

    /// Checks that the caller has some scope in a project.
    ///
    /// # Errors
    /// [`Forbidden`].
    pub fn require_entry(&self, project: &str) -> Result<(), Forbidden> {
        if self.may_enter(project) {
            return Ok(());
        }
        Err(self.forbidden(Scope::Read, format!("anything in project '{}'", shown(project))))
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

    /// Checks that the caller has a scope for views, by id. `named` returns the project of a view and its name in the
    /// project. Only a grant for every project and name covers a view that it does not know.
    ///
    /// # Errors
    /// [`Forbidden`].
    pub fn require_views<'a>(
        &self,
        scope: Scope,
        named: impl Fn(ViewId) -> Option<(&'a str, &'a str)>,
        views: impl IntoIterator<Item = ViewId>,
    ) -> Result<(), Forbidden> {
        let mut last = None;
        for view in views {
            // Rows of one view usually follow each other.
            if last.replace(view) == Some(view) {
                continue;
            }
            let (project, name) = named(view).unwrap_or_default();
            self.require(scope, project, name)?;
        }
        Ok(())
    }

    /// Checks that the caller may write these rows. The catalogue is the node's, with stored names.
    ///
    /// # Errors
    /// [`Forbidden`].
    pub fn require_rows(&self, catalogue: &Catalogue, rows: &RowBatch) -> Result<(), Forbidden> {
        let named = |view| catalogue.view_by_id(view).map(|view| split(&view.name));
        self.require_views(Scope::Write, named, rows.pieces().map(|row| row.view))
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
            // The record of a project contains its limits, so the project's own definers must not change it.
            CatalogueChange::NumberedBelow(_)
            | CatalogueChange::PutProject(_)
            | CatalogueChange::DropProject(_)
            | CatalogueChange::Restrict(_) => return self.require_everywhere(Scope::Admin),
        };
        let (project, name) = split(name);
        self.require(scope, project, name)
    }

    fn forbidden(&self, scope: Scope, what: String) -> Forbidden {
        Forbidden { who: self.who.clone(), scope, what }
    }
}
