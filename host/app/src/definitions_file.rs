//! Files that define projects, feature views, feature services and push sources, in TOML.

use crate::config::{
    Problem,
    check::{Checked, check},
    places::Places,
    problem::Place,
};
use littoral_model::{
    details::{About, PushSourceDefinition, ServiceDefinition, ViewDefinition},
    document::ViewDocument,
    project::{Project, Quotas},
    region::Region,
    service::{FeatureService, PushSource},
    view::InvalidView,
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
    parse(path, &text).map_err(|mut problems| problems.swap_remove(0))
}

/// Parses a file's text, and checks each view by itself. The leader checks references between definitions.
///
/// # Errors
/// All problems, at least one.
pub fn parse(path: &Path, text: &str) -> Result<Definitions, Vec<Problem>> {
    let Checked { value, mut problems, rejected, .. } = check::<File>(path, text);
    let Some(file) = value else { return Err(problems) };
    let places = Places::of(text);
    let mut views = Vec::with_capacity(file.view.len());
    for mut document in file.view {
        let name = document.name.clone();
        let line = places.line_of(&format!("view '{name}'"));
        let place = Place::File { path: path.to_owned(), line };
        let mut wrong = |what: String| {
            let (place, key) = (place.clone(), format!("view.{name}"));
            problems.push(Problem { place, key, what, remedy: String::new() });
        };
        let ttl_ms = document.take_ttl_ms().unwrap_or_else(|error| {
            wrong(error.to_string());
            None
        });
        let ViewDefinition { view, details } = document.with_ttl_ms(ttl_ms);
        // A rejected name or feature is missing here, which is no further problem.
        let is_partial = rejected.iter().any(|entry| entry.is_in("view", &name));
        let is_consequence = |problem: &InvalidView| match problem {
            InvalidView::Name(name) => is_partial && name.is_empty(),
            InvalidView::FeatureCount { count, .. } => is_partial && *count == 0,
            _ => false,
        };
        let found: Vec<_> = view.problems().into_iter().filter(|problem| !is_consequence(problem)).collect();
        found.iter().for_each(|problem| wrong(problem.to_string()));
        if let (true, Ok(view)) = (found.is_empty(), view.normalize()) {
            views.push(ViewDefinition { view, details });
        }
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    let project = |ProjectEntry { name, description, regions, quotas }: ProjectEntry| Project {
        name,
        description,
        regions,
        quotas,
    };
    Ok(Definitions {
        projects: file.project.into_iter().map(project).collect(),
        views,
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

#[cfg(test)]
mod tests {
    use super::*;

    const FINE: &str = "[[view]]\nname = \"a\"\nttl_ms = 5\n[[view.entities]]\nname = \"id\"\nvalue_type = \"int64\"\n\
                        [[view.features]]\nname = \"x\"\nvalue_type = \"double\"\n\
                        [[push_source]]\nname = \"p\"\nviews = [\"a\"]\n";

    fn problems(text: &str) -> Vec<String> {
        let problems = parse(Path::new("f"), text).unwrap_err();
        problems.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn every_fault_is_reported_once() {
        assert_eq!(parse(Path::new("f"), FINE).unwrap().views.len(), 1);
        for (right, wrong, line) in [
            ("name = \"a\"", "name = 5", 2),
            ("name = \"x\"", "name = 5", 8),
            ("value_type = \"double\"", "value_type = \"dubble\"", 9),
            ("value_type = \"double\"", "value_typ = \"double\"", 9),
            ("value_type = \"int64\"", "value_type = \"float\"", 2),
            ("ttl_ms = 5", "ttl_ms = 5\nttl_seconds = 5", 2),
            ("views = [\"a\"]", "views = 5", 12),
        ] {
            let text = FINE.replace(right, wrong);
            assert_ne!(text, FINE, "{right}");
            let found = problems(&text);
            assert!(found.len() == 1 && found[0].starts_with(&format!("f:{line}: ")), "{wrong}: {found:#?}");
        }
    }

    #[test]
    fn all_faults_are_reported() {
        let text = "[[view]]\nname = \"a!b\"\nttl_ms = 1\nttl_seconds = 1\nmerge = \"some\"\n\
                    [[view.entities]]\nname = \"id\"\nvalue_type = \"float\"\n\
                    [[view.features]]\nname = \"x y\"\nvalue_type = \"double\"\n\
                    [[view]]\nname = \"b\"\nfeatures = []\n\
                    [[service]]\nname = 5\nprojections = []\n\
                    [[push_source]]\nname = \"p\"\nviews = [\"a\", 5]\nview = \"b\"\n";
        let found = problems(text);
        for expected in [
            "f:2: key 'view.a!b': both 'ttl_seconds' and 'ttl_ms' are set",
            "f:2: key 'view.a!b': 'a!b' is not a valid name",
            "f:2: key 'view.a!b': 'x y' is not a valid name",
            "f:2: key 'view.a!b': view 'a!b': join key 'id' cannot be a float",
            "f:5: key 'view.merge': ",
            "f:13: key 'view.b': view 'b' has 0 features",
            "f:16: key 'service.name': ",
            "f:20: key 'push_source.views': ",
            "f:21: key 'push_source.view': there is no key 'view'",
        ] {
            assert!(found.iter().any(|problem| problem.starts_with(expected)), "{expected}: {found:#?}");
        }
        assert_eq!(found.len(), 9, "{found:#?}");
    }
}
