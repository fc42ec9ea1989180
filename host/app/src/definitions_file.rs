//! Files that define projects, feature views, feature services and push sources, in TOML.

use crate::config::{Problem, places::Places, problem::Place};
use littoral_model::{
    details::{About, PushSourceDefinition, ServiceDefinition, ViewDefinition},
    document::ViewDocument,
    project::{Project, Quotas},
    region::Region,
    service::{FeatureService, PushSource},
};
use serde::Deserialize;
use std::{collections::BTreeMap, path::Path};

/// The keys by which such a file is recognised.
const KINDS: [&str; 4] = ["project", "view", "service", "push_source"];

/// What a file defines.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Definitions {
    /// Projects.
    pub projects: Vec<Project>,
    /// Feature views.
    pub views: Vec<ViewDefinition>,
    /// Feature services.
    pub services: Vec<ServiceDefinition>,
    /// Push sources.
    pub push_sources: Vec<PushSourceDefinition>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    project: Vec<ProjectEntry>,
    #[serde(default)]
    view: Vec<ViewDocument>,
    #[serde(default)]
    service: Vec<Service>,
    #[serde(default)]
    push_source: Vec<Push>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ProjectEntry {
    name: String,
    #[serde(default)]
    description: String,
    #[serde(default)]
    regions: Vec<Region>,
    #[serde(default)]
    quotas: Quotas,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Service {
    name: String,
    projections: Vec<Projection>,
    #[serde(default)]
    description: String,
    #[serde(default)]
    tags: BTreeMap<String, String>,
    #[serde(default)]
    owner: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Projection {
    view: String,
    alias: Option<String>,
    features: Vec<String>,
    #[serde(default)]
    join_key_map: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Push {
    name: String,
    views: Vec<String>,
    #[serde(default)]
    description: String,
    #[serde(default)]
    tags: BTreeMap<String, String>,
    #[serde(default)]
    owner: String,
}

/// Returns whether a file holds definitions.
pub fn is_one(table: &toml::Table) -> bool {
    KINDS.iter().any(|kind| table.contains_key(*kind))
}

/// Reads and parses a file.
///
/// # Errors
/// The first problem.
pub fn read(path: &Path) -> Result<Definitions, Problem> {
    let text = std::fs::read_to_string(path).map_err(|error| Problem::unreadable(path, &error))?;
    parse(path, &text)
}

/// Parses a file's text, and checks each view by itself. The leader checks references between definitions.
///
/// # Errors
/// The first problem.
pub fn parse(path: &Path, text: &str) -> Result<Definitions, Problem> {
    let file: File = toml::from_str(text).map_err(|error| Problem::in_file(path, text, &error))?;
    let places = Places::of(text);
    let views = file.view.into_iter().map(|view| {
        let line = places.line_of(&format!("view '{}'", view.name));
        let place = Place::File { path: path.to_owned(), line };
        let key = format!("view.{}", view.name);
        let bad = |what: String| Problem { place, key, what, remedy: String::new() };
        let ViewDefinition { view, details } = match view.into_definition() {
            Ok(definition) => definition,
            Err(error) => return Err(bad(error.to_string())),
        };
        match view.normalize() {
            Ok(view) => Ok(ViewDefinition { view, details }),
            Err(error) => Err(bad(error.to_string())),
        }
    });
    let project = |ProjectEntry { name, description, regions, quotas }: ProjectEntry| Project {
        name,
        description,
        regions,
        quotas,
    };
    Ok(Definitions {
        projects: file.project.into_iter().map(project).collect(),
        views: views.collect::<Result<_, _>>()?,
        services: file.service.into_iter().map(Service::into_model).collect(),
        push_sources: file.push_source.into_iter().map(Push::into_model).collect(),
    })
}

impl Service {
    fn into_model(self) -> ServiceDefinition {
        let part = |part: Projection| littoral_model::service::Projection {
            view: part.view,
            alias: part.alias,
            features: part.features,
            join_key_map: part.join_key_map.into_iter().collect(),
        };
        let service = FeatureService { name: self.name, projections: self.projections.into_iter().map(part).collect() };
        let about = About { description: self.description, tags: self.tags, owner: self.owner };
        ServiceDefinition { service, about }
    }
}

impl Push {
    fn into_model(self) -> PushSourceDefinition {
        let about = About { description: self.description, tags: self.tags, owner: self.owner };
        PushSourceDefinition { push_source: PushSource { name: self.name, views: self.views }, about }
    }
}

impl Definitions {
    /// Returns the number of definitions of each kind, as text.
    pub fn describe(&self) -> String {
        let count = |number: usize, one: &str, many: &str| match number {
            0 => None,
            1 => Some(format!("1 {one}")),
            _ => Some(format!("{number} {many}")),
        };
        let parts = [
            count(self.projects.len(), "project", "projects"),
            count(self.views.len(), "feature view", "feature views"),
            count(self.services.len(), "feature service", "feature services"),
            count(self.push_sources.len(), "push source", "push sources"),
        ];
        parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
    }
}
