//! The plan of an import: a registry's definitions, before they are compared with a leader's.

use crate::{
    Error,
    about::about,
    binding::{self, Binding},
    proto,
    report::Kind,
    services, sources, views,
};
use littoral_model::details::{PushSourceDefinition, ServiceDefinition, ViewDefinition};
use prost::Message as _;
use serde::Serialize;
use std::collections::BTreeSet;

/// The largest registry that is accepted. Feast rewrites the file as a whole, so real ones are far smaller.
const REGISTRY_BYTES_MAX: usize = 256 << 20;

/// The first bytes of a SQLite database.
const SQLITE_MAGIC: &[u8] = b"SQLite format 3\0";

/// Something that is left out, or that differs from Feast.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Note {
    /// Its kind.
    pub kind: Kind,
    /// Its name.
    pub name: String,
    /// Whether it is left out.
    pub left_out: bool,
    /// The reason, or the difference.
    pub reason: String,
}

/// The definitions of a registry.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Feast's project.
    pub project: String,
    /// Feature views.
    pub views: Vec<ViewDefinition>,
    /// Push sources for these views.
    pub push_sources: Vec<PushSourceDefinition>,
    /// Modules that the project needs.
    pub bindings: Vec<Binding>,
    /// Feature services with these views and modules.
    pub services: Vec<ServiceDefinition>,
    /// Notes on what is left out or differs.
    pub notes: Vec<Note>,
}

impl Plan {
    /// Reads a registry file. `project` chooses one of several.
    ///
    /// # Errors
    /// [`Error`] when the bytes are not a registry, or contain several projects and none is chosen.
    pub fn read(bytes: &[u8], project: Option<&str>) -> Result<Self, Error> {
        let registry = decode(bytes)?;
        let project = choose(&registry, project)?;
        let mut notes = Vec::new();
        let views = views::views(&registry, &project, &mut notes);
        let push_sources = sources::push_sources(&registry, &project, &views, &mut notes);
        let bindings = binding::bindings(&registry, &project, &mut notes);
        let services = services::services(&registry, &project, &views, &bindings, &mut notes);
        sources::note_batch_sources(&registry, &project, &views, &mut notes);
        note_entities(&registry, &project, &views, &mut notes);
        note_the_rest(&registry, &project, &mut notes);
        Ok(Self { project, views, push_sources, bindings, services, notes })
    }
}

/// Returns whether something belongs to a project. Registries of older Feasts do not state the project.
pub(crate) fn in_project(of: &str, project: &str) -> bool {
    of.is_empty() || of == project
}

/// Returns why a name is invalid.
pub(crate) fn bad_name() -> String {
    "its name cannot be told apart here; names are 1 to 128 letters, digits, '_' or '-', without '__'".to_owned()
}

fn decode(bytes: &[u8]) -> Result<proto::Registry, Error> {
    if bytes.is_empty() {
        return Err(Error::Empty);
    }
    if bytes.starts_with(SQLITE_MAGIC) {
        return Err(Error::Sqlite);
    }
    if bytes.len() > REGISTRY_BYTES_MAX {
        return Err(Error::TooLarge { bytes: bytes.len(), max: REGISTRY_BYTES_MAX });
    }
    let registry = proto::Registry::decode(bytes).map_err(|error| Error::NotARegistry(error.to_string()))?;
    match registry.registry_schema_version.as_str() {
        "1" => Ok(registry),
        // Almost any bytes decode as an empty message; a registry has a schema version.
        "" => Err(Error::NotARegistry("it states no schema version".to_owned())),
        other => Err(Error::SchemaVersion(other.chars().take(40).collect())),
    }
}

fn choose(registry: &proto::Registry, wanted: Option<&str>) -> Result<String, Error> {
    let listed = registry.projects.iter().filter_map(|project| project.spec.as_ref()).map(|spec| spec.name.as_str());
    let views = registry.feature_views.iter().filter_map(|view| view.spec.as_ref()).map(|spec| spec.project.as_str());
    let projects: BTreeSet<&str> = listed.chain(views).filter(|name| !name.is_empty()).collect();
    let there = || projects.iter().copied().collect::<Vec<_>>().join(", ");
    match wanted {
        Some(wanted) if projects.contains(wanted) || projects.is_empty() => Ok(wanted.to_owned()),
        Some(wanted) => Err(Error::UnknownProject { wanted: wanted.to_owned(), there: there() }),
        None if projects.len() > 1 => Err(Error::Projects(there())),
        None => Ok(there()),
    }
}

/// Notes the entities that no imported view uses. Here, an entity exists only within a view.
fn note_entities(registry: &proto::Registry, project: &str, views: &[ViewDefinition], notes: &mut Vec<Note>) {
    let entities = registry.entities.iter().filter_map(|entity| entity.spec.as_ref());
    for entity in entities.filter(|entity| in_project(&entity.project, project) && entity.name != views::DUMMY_ENTITY) {
        if !views.iter().any(|definition| definition.view.join_keys.iter().any(|key| key.entity == entity.name)) {
            let reason = "no imported feature view has it; entities are parts of views here".to_owned();
            notes.push(Note { kind: Kind::Entity, name: entity.name.clone(), left_out: true, reason });
        }
    }
}

/// Notes objects of kinds that have no counterpart here.
fn note_the_rest(registry: &proto::Registry, project: &str, notes: &mut Vec<Note>) {
    let mut note = |kind: &str, name: String, reason: &str| {
        let reason = format!("{kind}: {reason}");
        notes.push(Note { kind: Kind::Other, name, left_out: true, reason });
    };
    let named = |items: &[proto::Named]| -> Vec<String> {
        items.iter().filter_map(|item| item.spec.as_ref()).map(|spec| spec.name.clone()).collect()
    };
    for spec in registry.projects.iter().filter_map(|there| there.spec.as_ref()).filter(|spec| spec.name == project) {
        if !about(&spec.description, &spec.tags, &spec.owner).is_empty() {
            note(
                "project",
                spec.name.clone(),
                "its description, tags and owner are not kept; there are no projects here",
            );
        }
    }
    for table in registry.feature_tables.iter().filter_map(|table| table.spec.as_ref()) {
        note("feature table", table.name.clone(), "Feast itself has replaced these by feature views");
    }
    for name in named(&registry.label_views) {
        note("label view", name, "labels are for training, not for serving");
    }
    for name in named(&registry.saved_datasets) {
        note("saved dataset", name, "data sets are for training, not for serving");
    }
    let counted = |count: usize, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
    match registry.validation_references.len() {
        0 => {}
        count => note("validation reference", counted(count, "validation reference"), "used in training only"),
    }
    match registry.permissions.len() {
        0 => {}
        count => {
            note("permission", counted(count, "permission"), "access rules are not imported; set them up here anew")
        }
    }
}
