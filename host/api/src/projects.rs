//! Projects.

use littoral_model::{
    project::{Project as Record, Quotas},
    region::Region,
};
use serde::{Deserialize, Serialize};

/// The prefix of paths that name a project: `/p/PROJECT/v1/views`.
const PATH_PREFIX: &str = "/p/";

/// Splits a request's path into the project that it names, if any, and the path inside the project.
#[must_use]
pub fn split_path(path: &str) -> (Option<&str>, &str) {
    let Some(rest) = path.strip_prefix(PATH_PREFIX) else { return (None, path) };
    let (project, _) = rest.split_once('/').unwrap_or((rest, ""));
    (Some(project), &rest[project.len()..])
}

/// The definition of a project without its name, which is in the path.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct ProjectBody {
    /// A description in prose.
    pub description: String,
    /// The regions that may hold its rows. Empty for all.
    pub regions: Vec<Region>,
    /// Its limits. A missing one sets no limit.
    pub quotas: Quotas,
}

/// A project.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Project {
    /// Its name.
    #[serde(default)]
    pub name: String,
    /// Its definition.
    #[serde(flatten)]
    pub body: ProjectBody,
}

/// The answer of `GET /v1/projects`, by name.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Projects {
    /// Every project that has a record.
    pub projects: Vec<Project>,
}

impl From<Record> for Project {
    fn from(Record { name, description, regions, quotas }: Record) -> Self {
        Self { name, body: ProjectBody { description, regions, quotas } }
    }
}

impl From<Project> for Record {
    fn from(Project { name, body: ProjectBody { description, regions, quotas } }: Project) -> Self {
        Self { name, description, regions, quotas }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_is_split_into_the_project_and_the_path_inside_it() {
        assert_eq!(split_path("/p/fraud/v1/views"), (Some("fraud"), "/v1/views"));
        assert_eq!(split_path("/p/fraud"), (Some("fraud"), ""));
        assert_eq!(split_path("/v1/views/p/x"), (None, "/v1/views/p/x"));
        assert_eq!(split_path("/push"), (None, "/push"));
    }
}
