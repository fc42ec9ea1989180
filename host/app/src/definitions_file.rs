//! Files that define feature views, feature services and push sources, in TOML.

use crate::config::{Problem, problem::Place};
use littoral_model::{
    merge::MergePolicy,
    service::{FeatureService, PushSource},
    value::ValueType,
    view::{Feature, FeatureView, JoinKey, ViewId},
};
use serde::Deserialize;
use std::path::Path;

/// The keys by which such a file is known.
const KINDS: [&str; 3] = ["view", "service", "push_source"];

/// What a file defines.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Definitions {
    /// Feature views.
    pub views: Vec<FeatureView>,
    /// Feature services.
    pub services: Vec<FeatureService>,
    /// Push sources.
    pub push_sources: Vec<PushSource>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    view: Vec<View>,
    #[serde(default)]
    service: Vec<Service>,
    #[serde(default)]
    push_source: Vec<Push>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct View {
    name: String,
    #[serde(default)]
    entities: Vec<Entity>,
    features: Vec<Column>,
    ttl_seconds: Option<u64>,
    ttl_ms: Option<u64>,
    #[serde(default)]
    merge: MergePolicy,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entity {
    name: String,
    join_key: Option<String>,
    value_type: ValueType,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Column {
    name: String,
    value_type: ValueType,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Service {
    name: String,
    projections: Vec<Projection>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Projection {
    view: String,
    alias: Option<String>,
    features: Vec<String>,
    #[serde(default)]
    join_key_map: std::collections::BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Push {
    name: String,
    views: Vec<String>,
}

/// Whether a file is one of definitions.
pub fn is_one(table: &toml::Table) -> bool {
    KINDS.iter().any(|kind| table.contains_key(*kind))
}

/// Reads and parses a file.
///
/// # Errors
/// [`Problem`]: the first thing that is wrong with it.
pub fn read(path: &Path) -> Result<Definitions, Problem> {
    let text = std::fs::read_to_string(path).map_err(|error| Problem::unreadable(path, &error))?;
    parse(path, &text)
}

/// Parses a file's text. Each view is checked by itself; what refers to others is checked by the leader.
///
/// # Errors
/// [`Problem`]: the first thing that is wrong with it.
pub fn parse(path: &Path, text: &str) -> Result<Definitions, Problem> {
    let file: File = toml::from_str(text).map_err(|error| Problem::in_file(path, text, &error))?;
    let views = file.view.into_iter().map(|view| {
        let place = Place::File { path: path.to_owned(), line: line_of_name(text, &view.name) };
        let key = format!("view.{}", view.name);
        let bad = |what: String, remedy: &str| Problem { place, key, what, remedy: remedy.to_owned() };
        let ttl_ms = match (view.ttl_seconds, view.ttl_ms) {
            (Some(_), Some(_)) => {
                return Err(bad("it has both 'ttl_seconds' and 'ttl_ms'".to_owned(), "keep one of them"));
            }
            (Some(seconds), None) => match seconds.checked_mul(1_000) {
                Some(ms) => Some(ms),
                None => {
                    return Err(bad(format!("a 'ttl_seconds' of {seconds} is too long"), "leave it out for any age"));
                }
            },
            (None, ms) => ms,
        };
        let view = FeatureView {
            id: ViewId::default(),
            name: view.name,
            join_keys: view.entities.into_iter().map(Entity::join_key).collect(),
            features: view.features.into_iter().map(|f| Feature { name: f.name, value_type: f.value_type }).collect(),
            ttl_ms,
            merge: view.merge,
        };
        view.normalize().map_err(|error| bad(error.to_string(), ""))
    });
    Ok(Definitions {
        views: views.collect::<Result<_, _>>()?,
        services: file.service.into_iter().map(Service::into_model).collect(),
        push_sources: file.push_source.into_iter().map(|p| PushSource { name: p.name, views: p.views }).collect(),
    })
}

fn line_of_name(text: &str, name: &str) -> Option<usize> {
    let wanted = format!("\"{name}\"");
    let at = text.lines().position(|line| line.trim_start().starts_with("name") && line.contains(&wanted))?;
    Some(at + 1)
}

impl Entity {
    fn join_key(self) -> JoinKey {
        JoinKey {
            name: self.join_key.unwrap_or_else(|| self.name.clone()),
            entity: self.name,
            value_type: self.value_type,
        }
    }
}

impl Service {
    fn into_model(self) -> FeatureService {
        let part = |part: Projection| littoral_model::service::Projection {
            view: part.view,
            alias: part.alias,
            features: part.features,
            join_key_map: part.join_key_map.into_iter().collect(),
        };
        FeatureService { name: self.name, projections: self.projections.into_iter().map(part).collect() }
    }
}

impl Definitions {
    /// What there is, in words.
    pub fn describe(&self) -> String {
        let count = |number: usize, one: &str, many: &str| match number {
            0 => None,
            1 => Some(format!("1 {one}")),
            _ => Some(format!("{number} {many}")),
        };
        let parts = [
            count(self.views.len(), "feature view", "feature views"),
            count(self.services.len(), "feature service", "feature services"),
            count(self.push_sources.len(), "push source", "push sources"),
        ];
        parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
    }
}
