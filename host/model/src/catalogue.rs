//! The catalogue: the projects, and every view, module, service and push source of each.
//!
//! It changes only through log records, so every replica holds the catalogue of its own position.

mod definitions;
mod encoding;
mod projects;

use crate::{
    details::{Details, PushSourceDefinition, ServiceDefinition, ViewDefinition},
    module::ModuleRelease,
    project::{self, Project, ProjectName},
    region::Region,
    service::{FeatureService, PushSource},
    view::{self, FeatureView, InvalidView, ViewId},
};
use projects::Projects;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A change to the catalogue, as logged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CatalogueChange {
    /// Creates or evolves a view.
    PutView(FeatureView),
    /// Drops a view and all its rows.
    DropView(String),
    /// Makes a release the current one of its module.
    PutModule(ModuleRelease),
    /// Drops a module.
    DropModule(String),
    /// Creates or replaces a feature service.
    PutService(FeatureService),
    /// Drops a feature service.
    DropService(String),
    /// Creates or replaces a push source.
    PutPushSource(PushSource),
    /// Drops a push source.
    DropPushSource(String),
    /// Reserves all view IDs below this one. Sent with a whole catalogue, because views that used
    /// some of these IDs may have been dropped.
    NumberedBelow(u32),
    /// Creates or evolves a view with details. A view without details is logged as
    /// [`Self::PutView`], which older nodes can read.
    DefineView(Box<ViewDefinition>),
    /// Creates or replaces a feature service with details.
    DefineService(Box<ServiceDefinition>),
    /// Creates or replaces a push source with details.
    DefinePushSource(Box<PushSourceDefinition>),
    /// Creates or replaces a project's record. Nodes from before projects existed cannot read this and
    /// the following changes.
    PutProject(Box<Project>),
    /// Drops a project's record.
    DropProject(String),
    /// Names the only regions that may hold rows of these views. Sent with a whole catalogue, because
    /// some of the views may have been dropped.
    Restrict(Vec<(ViewId, Vec<Region>)>),
}

/// Why a catalogue change is rejected. The catalogue is unchanged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidChange {
    /// The view's definition is invalid.
    #[error(transparent)]
    View(#[from] InvalidView),
    /// A view and a module cannot share a name.
    #[error("'{0}' already names a {1}")]
    NameTaken(String, &'static str),
    /// The item to drop or refer to does not exist.
    #[error("there is no {kind} named '{name}'")]
    Unknown {
        /// The kind of item: view, module, service, push source or project.
        kind: &'static str,
        /// Its name.
        name: String,
    },
    /// The change refers to a feature that its view or module does not have.
    #[error("'{view}' has no feature '{feature}'")]
    UnknownFeature {
        /// The view or module.
        view: String,
        /// The feature.
        feature: String,
    },
    /// A module's input or lookup does not match the current views.
    #[error("module '{module}' does not fit the catalogue: {reason}")]
    ModuleInput {
        /// The module.
        module: String,
        /// What does not fit.
        reason: String,
    },
    /// The release name already belongs to another component. A release never changes its
    /// component.
    #[error("release '{version}' of module '{module}' already exists with different contents; use a new release name")]
    ReleaseTaken {
        /// The module.
        module: String,
        /// The release's name.
        version: String,
    },
    /// A definition's details are too large.
    #[error("'{name}': {reason}")]
    Details {
        /// The definition's name.
        name: String,
        /// What is wrong with the details.
        reason: String,
    },
    /// The item to drop is still in use.
    #[error("'{name}' is still used by {user}; drop that first")]
    InUse {
        /// The item to drop.
        name: String,
        /// The item that uses it.
        user: String,
    },
    /// The project's record is invalid, or cannot change in this way.
    #[error("project '{project}': {reason}")]
    Project {
        /// The project.
        project: String,
        /// What is wrong.
        reason: String,
    },
    /// The change would exceed a quota of the project.
    #[error("project '{project}' has a quota of {max} {what}; drop some, or raise the quota")]
    OverQuota {
        /// The project.
        project: String,
        /// What the quota limits.
        what: &'static str,
        /// The quota.
        max: u64,
    },
}

/// All projects, views, modules, services and push sources, by stored name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Catalogue {
    /// The number of changes applied. Two catalogues of one log with equal generations are equal.
    pub generation: u64,
    views: BTreeMap<String, FeatureView>,
    modules: BTreeMap<String, ModuleRelease>,
    services: BTreeMap<String, FeatureService>,
    push_sources: BTreeMap<String, PushSource>,
    next_view: u32,
    details: Details,
    projects: Projects,
    /// The project to which this catalogue is reduced; `default` for a whole one, whose names are the stored ones.
    scope: ProjectName,
}

impl Catalogue {
    /// Returns whether nothing has ever been defined here.
    #[must_use]
    pub fn is_blank(&self) -> bool {
        *self == Self::default()
    }

    /// Returns the view with this name.
    #[must_use]
    pub fn view(&self, name: &str) -> Option<&FeatureView> {
        self.views.get(name)
    }

    /// Returns the view with this ID.
    #[must_use]
    pub fn view_by_id(&self, id: ViewId) -> Option<&FeatureView> {
        self.views.values().find(|view| view.id == id)
    }

    /// Returns whether this ID has ever been assigned to a view here. The view may have been
    /// dropped since. IDs only grow.
    #[must_use]
    pub fn has_numbered(&self, id: ViewId) -> bool {
        id.0 < self.next_view
    }

    /// Returns the module with this name.
    #[must_use]
    pub fn module(&self, name: &str) -> Option<&ModuleRelease> {
        self.modules.get(name)
    }

    /// Returns the feature service with this name.
    #[must_use]
    pub fn service(&self, name: &str) -> Option<&FeatureService> {
        self.services.get(name)
    }

    /// Returns the push source with this name.
    #[must_use]
    pub fn push_source(&self, name: &str) -> Option<&PushSource> {
        self.push_sources.get(name)
    }

    /// Iterates over the views, sorted by name.
    pub fn views(&self) -> impl ExactSizeIterator<Item = &FeatureView> {
        self.views.values()
    }

    /// Iterates over the modules, sorted by name.
    pub fn modules(&self) -> impl ExactSizeIterator<Item = &ModuleRelease> {
        self.modules.values()
    }

    /// Iterates over the feature services, sorted by name.
    pub fn services(&self) -> impl ExactSizeIterator<Item = &FeatureService> {
        self.services.values()
    }

    /// Iterates over the push sources, sorted by name.
    pub fn push_sources(&self) -> impl ExactSizeIterator<Item = &PushSource> {
        self.push_sources.values()
    }

    /// Validates a change and completes it for logging: a view gets its ID and its feature order.
    /// Returns `None` when the change would have no effect and need not be logged.
    ///
    /// # Errors
    /// [`InvalidChange`], for the caller that requested the change.
    pub fn prepare(&self, change: CatalogueChange) -> Result<Option<CatalogueChange>, InvalidChange> {
        let prepared = match change {
            CatalogueChange::PutView(next) => CatalogueChange::PutView(self.prepare_view(next)?),
            CatalogueChange::DefineView(next) => {
                let view = self.prepare_view(next.view)?;
                let details = next.details.normalize(&view)?;
                ViewDefinition { view, details }.into()
            }
            CatalogueChange::PutModule(module) => {
                self.check_module(&module)?;
                CatalogueChange::PutModule(module)
            }
            CatalogueChange::PutService(service) => {
                self.check_service(&service)?;
                CatalogueChange::PutService(service)
            }
            CatalogueChange::DefineService(next) => {
                self.check_service(&next.service)?;
                definitions::check_about(&next.service.name, &next.about)?;
                (*next).into()
            }
            CatalogueChange::PutPushSource(source) => {
                self.check_push_source(&source)?;
                CatalogueChange::PutPushSource(source)
            }
            CatalogueChange::DefinePushSource(next) => {
                self.check_push_source(&next.push_source)?;
                definitions::check_about(&next.push_source.name, &next.about)?;
                (*next).into()
            }
            CatalogueChange::DropView(name) => {
                known(&self.views, "view", &name)?;
                self.check_unused(&name)?;
                CatalogueChange::DropView(name)
            }
            CatalogueChange::DropModule(name) => {
                known(&self.modules, "module", &name)?;
                self.check_unused(&name)?;
                CatalogueChange::DropModule(name)
            }
            CatalogueChange::DropService(name) => {
                known(&self.services, "feature service", &name)?;
                CatalogueChange::DropService(name)
            }
            CatalogueChange::DropPushSource(name) => {
                known(&self.push_sources, "push source", &name)?;
                CatalogueChange::DropPushSource(name)
            }
            CatalogueChange::PutProject(project) => {
                CatalogueChange::PutProject(Box::new(self.prepare_project(*project)?))
            }
            CatalogueChange::DropProject(name) => {
                self.check_project_unused(&name)?;
                CatalogueChange::DropProject(name)
            }
            CatalogueChange::NumberedBelow(_) | CatalogueChange::Restrict(_) => return Ok(None),
        };
        let mut after = self.clone();
        after.apply(&prepared);
        let unchanged = Catalogue { generation: self.generation, ..after } == *self;
        Ok((!unchanged).then_some(prepared))
    }

    /// Applies a change that a leader has prepared and logged. Cannot fail: replicas apply what is
    /// in the log.
    pub fn apply(&mut self, change: &CatalogueChange) {
        self.generation += 1;
        self.apply_details(change);
        match change {
            CatalogueChange::PutView(view) => self.insert_view(view),
            CatalogueChange::DefineView(definition) => self.insert_view(&definition.view),
            CatalogueChange::DropView(name) => drop(self.views.remove(name)),
            CatalogueChange::PutModule(module) => drop(self.modules.insert(module.name.clone(), module.clone())),
            CatalogueChange::DropModule(name) => drop(self.modules.remove(name)),
            CatalogueChange::PutService(service) => self.insert_service(service),
            CatalogueChange::DefineService(definition) => self.insert_service(&definition.service),
            CatalogueChange::DropService(name) => drop(self.services.remove(name)),
            CatalogueChange::PutPushSource(source) => self.insert_push_source(source),
            CatalogueChange::DefinePushSource(definition) => self.insert_push_source(&definition.push_source),
            CatalogueChange::DropPushSource(name) => drop(self.push_sources.remove(name)),
            CatalogueChange::NumberedBelow(next) => self.next_view = self.next_view.max(*next),
            CatalogueChange::PutProject(project) => self.projects.put(project),
            CatalogueChange::DropProject(name) => self.projects.drop_record(name),
            CatalogueChange::Restrict(views) => {
                views.iter().for_each(|(view, regions)| self.projects.restrict(*view, regions))
            }
        }
    }

    /// Returns the changes that turn this catalogue into `other`, in an order in which they apply.
    #[must_use]
    pub fn changes_to(&self, other: &Self) -> Vec<CatalogueChange> {
        let mut changes = Vec::new();
        let gone = |name: &&String, there: bool| (!there).then(|| (*name).clone());
        changes.extend(self.push_sources.keys().filter_map(|name| {
            gone(&name, other.push_sources.contains_key(name)).map(CatalogueChange::DropPushSource)
        }));
        changes.extend(
            self.services
                .keys()
                .filter_map(|name| gone(&name, other.services.contains_key(name)).map(CatalogueChange::DropService)),
        );
        changes.extend(
            self.modules
                .keys()
                .filter_map(|name| gone(&name, other.modules.contains_key(name)).map(CatalogueChange::DropModule)),
        );
        // A view that was dropped and recreated has a new ID; its old rows must go.
        changes.extend(self.views.iter().filter_map(|(name, view)| {
            gone(&name, other.view(name).is_some_and(|there| there.id == view.id)).map(CatalogueChange::DropView)
        }));
        if other.next_view > self.next_view {
            changes.push(CatalogueChange::NumberedBelow(other.next_view));
        }
        // Before the views: a view takes over the rule that its project has when the view is created.
        changes.extend(self.projects.puts_to(&other.projects));
        let differs = |there: &ViewDefinition| self.view_definition(&there.view.name).as_ref() != Some(there);
        changes.extend(other.view_definitions().filter(differs).map(CatalogueChange::from));
        let differs = |module: &&ModuleRelease| self.modules.get(&module.name) != Some(*module);
        changes.extend(other.modules().filter(differs).cloned().map(CatalogueChange::PutModule));
        let differs = |there: &ServiceDefinition| self.service_definition(&there.service.name).as_ref() != Some(there);
        changes.extend(other.service_definitions().filter(differs).map(CatalogueChange::from));
        let differs =
            |there: &PushSourceDefinition| self.push_source_definition(&there.push_source.name).as_ref() != Some(there);
        changes.extend(other.push_source_definitions().filter(differs).map(CatalogueChange::from));
        // After the definitions: a project is dropped once it has none.
        changes.extend(self.projects.drops_to(&other.projects));
        changes
    }

    fn insert_view(&mut self, view: &FeatureView) {
        self.next_view = self.next_view.max(view.id.0 + 1);
        self.projects.restrict_view(view);
        self.views.insert(view.name.clone(), view.clone());
    }

    fn insert_service(&mut self, service: &FeatureService) {
        self.services.insert(service.name.clone(), service.clone());
    }

    fn insert_push_source(&mut self, source: &PushSource) {
        self.push_sources.insert(source.name.clone(), source.clone());
    }

    fn prepare_view(&self, next: FeatureView) -> Result<FeatureView, InvalidChange> {
        let next = next.normalize()?;
        self.check_project(&next.name)?;
        self.check_free(&next.name, &self.modules, "module")?;
        match self.views.get(&next.name) {
            Some(current) => Ok(current.evolve(&next)?),
            None => Ok(FeatureView { id: ViewId(self.next_view.max(1)), ..next }),
        }
    }

    fn check_service(&self, service: &FeatureService) -> Result<(), InvalidChange> {
        self.check_project(&service.name)?;
        for part in &service.projections {
            part.features.iter().try_for_each(|feature| self.check_feature(&service.name, &part.view, feature))?;
        }
        Ok(())
    }

    fn check_push_source(&self, source: &PushSource) -> Result<(), InvalidChange> {
        self.check_project(&source.name)?;
        source.views.iter().try_for_each(|view| match self.view_of(&source.name, view) {
            Some(_) => Ok(()),
            None => Err(InvalidChange::Unknown { kind: "view", name: view.clone() }),
        })
    }

    fn check_free<T>(&self, name: &str, others: &BTreeMap<String, T>, kind: &'static str) -> Result<(), InvalidChange> {
        if others.contains_key(name) { Err(InvalidChange::NameTaken(name.to_owned(), kind)) } else { Ok(()) }
    }

    /// Returns the view to which the definition `owner` refers as `reference`.
    fn view_of(&self, owner: &str, reference: &str) -> Option<&FeatureView> {
        self.views.get(&*project::resolve(owner, reference)?)
    }

    fn check_feature(&self, owner: &str, view: &str, feature: &str) -> Result<(), InvalidChange> {
        let module = project::resolve(owner, view).and_then(|name| self.modules.get(&*name));
        let has = match (self.view_of(owner, view), module) {
            (Some(view), _) => view.feature(feature).is_some(),
            (None, Some(module)) => module.manifest.outputs.iter().any(|output| output.name == feature),
            (None, None) => {
                return Err(InvalidChange::Unknown { kind: "view or module", name: view.to_owned() });
            }
        };
        if has {
            Ok(())
        } else {
            Err(InvalidChange::UnknownFeature { view: view.to_owned(), feature: feature.to_owned() })
        }
    }

    fn check_module(&self, module: &ModuleRelease) -> Result<(), InvalidChange> {
        let reject = |reason: String| Err(InvalidChange::ModuleInput { module: module.name.clone(), reason });
        let manifest = &module.manifest;
        self.check_project(&module.name)?;
        self.check_modules_quota(&module.name)?;
        self.check_free(&module.name, &self.views, "view")?;
        if let Some(current) = self.modules.get(&module.name)
            && current.version == module.version
            && current.digest != module.digest
        {
            return Err(InvalidChange::ReleaseTaken { module: module.name.clone(), version: module.version.clone() });
        }
        for field in manifest.params.iter().chain(&manifest.outputs) {
            check_name(&field.name)?;
        }
        if manifest.outputs.is_empty() {
            return reject("it declares no output".into());
        }
        for (index, output) in manifest.outputs.iter().enumerate() {
            if manifest.outputs[..index].iter().any(|earlier| earlier.name == output.name) {
                return reject(format!("it declares output '{}' twice", output.name));
            }
        }
        for input in &manifest.inputs {
            let Some(view) = self.view_of(&module.name, &input.view) else {
                return reject(format!("it reads view '{}', which does not exist", input.view));
            };
            match view.feature(&input.feature) {
                None => return reject(format!("it reads '{}:{}', which does not exist", input.view, input.feature)),
                Some((_, feature)) if feature.value_type != input.value_type => {
                    return reject(format!(
                        "it reads '{}:{}' as {}, which is {}",
                        input.view, input.feature, input.value_type, feature.value_type
                    ));
                }
                Some(_) => {}
            }
            if let Some((key, _)) =
                input.join_key_map.iter().find(|(key, _)| !view.join_keys.iter().any(|k| k.name == *key))
            {
                return reject(format!("it maps join key '{key}', which view '{}' does not have", input.view));
            }
        }
        match manifest.lookups.iter().find(|name| self.view_of(&module.name, name).is_none()) {
            Some(missing) => reject(format!("it looks up view '{missing}', which does not exist")),
            None => Ok(()),
        }
    }

    fn check_unused(&self, name: &str) -> Result<(), InvalidChange> {
        let (project, plain) = project::split(name);
        let here = |owner: &str| project::split(owner).0 == project;
        let module = self.modules.values().find(|module| {
            here(&module.name)
                && (module.manifest.inputs.iter().any(|input| input.view == plain)
                    || module.manifest.lookups.iter().any(|view| view == plain))
        });
        let uses = |service: &&FeatureService| {
            here(&service.name) && service.projections.iter().any(|part| part.view == plain)
        };
        let service = self.services.values().find(uses);
        let uses = |source: &&PushSource| here(&source.name) && source.views.iter().any(|view| view == plain);
        let source = self.push_sources.values().find(uses);
        let user = (module.map(|m| format!("module '{}'", m.name)))
            .or(service.map(|s| format!("feature service '{}'", s.name)))
            .or(source.map(|s| format!("push source '{}'", s.name)));
        match user {
            Some(user) => Err(InvalidChange::InUse { name: name.to_owned(), user }),
            None => Ok(()),
        }
    }
}

fn check_name(name: &str) -> Result<(), InvalidChange> {
    if view::is_name(name) { Ok(()) } else { Err(InvalidView::Name(name.chars().take(160).collect()).into()) }
}

fn check_stored_name(name: &str) -> Result<(), InvalidChange> {
    match project::is_stored_name(name) {
        true => Ok(()),
        false => Err(InvalidView::Name(name.chars().take(160).collect()).into()),
    }
}

fn known<T>(map: &BTreeMap<String, T>, kind: &'static str, name: &str) -> Result<(), InvalidChange> {
    if map.contains_key(name) { Ok(()) } else { Err(InvalidChange::Unknown { kind, name: name.to_owned() }) }
}
