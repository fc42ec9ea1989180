//! On-demand feature views as module bindings: the module that each needs, and its name.

use crate::{
    about::about,
    plan::{Note, in_project},
    proto::{self, OnDemandFeatureViewSpec},
    report::Kind,
    types::value_type,
};
use littoral_client::ProjectName;
use littoral_model::module::{Field, Input, ModuleManifest};
use serde::Serialize;

/// The module that a Feast on-demand feature view needs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Binding {
    /// The name under which it must be uploaded: the on-demand view's.
    pub name: String,
    /// Its inputs, parameters and outputs. Its lookups are not prescribed.
    pub manifest: ModuleManifest,
    /// The mode in which Feast ran it: `pandas`, `python` or `substrait`.
    pub mode: String,
    /// The Python source that Feast ran, for the author of the module; empty if the registry has none.
    pub python: String,
}

impl Binding {
    /// Returns the command that uploads the module, with a placeholder for its file.
    #[must_use]
    pub fn command(&self, leader: &str, project: Option<&ProjectName>) -> String {
        let project = project.map(|project| format!(" --project {project}")).unwrap_or_default();
        format!("littoral module push COMPONENT.wasm --name {} --release 1.0.0 --to {leader}{project}", self.name)
    }

    /// Returns what an uploaded module lacks to replace the on-demand view; `None` when it lacks nothing.
    #[must_use]
    pub fn mismatch(&self, manifest: &ModuleManifest) -> Option<String> {
        for wanted in &self.manifest.outputs {
            match manifest.outputs.iter().find(|output| output.name == wanted.name) {
                None => return Some(format!("it does not make '{}'", wanted.name)),
                Some(output) if output.value_type != wanted.value_type => {
                    let (made, asked) = (output.value_type, wanted.value_type);
                    return Some(format!("it makes '{}' as {made}, Feast as {asked}", wanted.name));
                }
                Some(_) => {}
            }
        }
        let unknown = manifest.params.iter().find(|param| !self.manifest.params.iter().any(|p| p.name == param.name));
        unknown.map(|param| format!("it needs request parameter '{}', which Feast's requests do not bring", param.name))
    }
}

/// Returns the bindings of a project, by name.
pub(crate) fn bindings(registry: &proto::Registry, project: &str, notes: &mut Vec<Note>) -> Vec<Binding> {
    let specs = registry.on_demand_feature_views.iter().filter_map(|view| view.spec.as_ref());
    let specs = specs.filter(|spec| in_project(&spec.project, project));
    let mut bindings: Vec<Binding> = specs.filter_map(|spec| binding(spec, notes)).collect();
    bindings.sort_by(|a, b| a.name.cmp(&b.name));
    bindings
}

fn binding(spec: &OnDemandFeatureViewSpec, notes: &mut Vec<Note>) -> Option<Binding> {
    let mut note = |left_out: bool, reason: String| {
        notes.push(Note { kind: Kind::Module, name: spec.name.clone(), left_out, reason });
    };
    if spec.disabled {
        note(true, "it is disabled in Feast".to_owned());
        return None;
    }
    if !littoral_model::view::is_name(&spec.name) {
        note(true, crate::plan::bad_name());
        return None;
    }
    let mut manifest = ModuleManifest::default();
    for feature in &spec.features {
        match value_type(feature.value_type) {
            Ok(value_type) => manifest.outputs.push(Field { name: feature.name.clone(), value_type }),
            Err(name) => {
                note(
                    true,
                    format!("its output '{}' is of Feast's type {name}, which modules do not make", feature.name),
                );
                return None;
            }
        }
    }
    // A map has no order; sorting by name makes it stable.
    let mut sources: Vec<_> = spec.sources.iter().collect();
    sources.sort_by(|a, b| a.0.cmp(b.0));
    for (_, source) in sources {
        let request = source.request_data_source.iter().filter_map(|source| source.request_data_options.as_ref());
        for param in request.flat_map(|options| &options.schema) {
            match value_type(param.value_type) {
                Ok(value_type) => manifest.params.push(Field { name: param.name.clone(), value_type }),
                Err(name) => note(false, format!("request field '{}' is of Feast's type {name}", param.name)),
            }
        }
        let (view, features, join_key_map) = match (&source.feature_view_projection, &source.feature_view) {
            (Some(part), _) => {
                (&part.feature_view_name, &part.feature_columns, crate::services::join_key_map(&part.join_key_map))
            }
            (None, Some(proto::FeatureView { spec: Some(view) })) => (&view.name, &view.features, Vec::new()),
            _ => continue,
        };
        for feature in features {
            match value_type(feature.value_type) {
                Ok(value_type) => manifest.inputs.push(Input {
                    view: view.clone(),
                    feature: feature.name.clone(),
                    value_type,
                    join_key_map: join_key_map.clone(),
                }),
                Err(name) => note(false, format!("input '{view}:{}' is of Feast's type {name}", feature.name)),
            }
        }
    }
    let says = |(description, tags, owner)| !about(description, tags, owner).is_empty();
    let of_outputs = spec.features.iter().map(|output| (output.description.as_str(), &output.tags, ""));
    if std::iter::once((spec.description.as_str(), &spec.tags, spec.owner.as_str())).chain(of_outputs).any(says) {
        note(false, "its descriptions, tags and owner are not kept; a module has none".to_owned());
    }
    if spec.write_to_online_store {
        note(false, "Feast computes it when rows are written; here its module computes when rows are read".to_owned());
    }
    if !spec.aggregations.is_empty() {
        note(false, "its aggregations are not imported; compute them before rows are written".to_owned());
    }
    let function = spec.feature_transformation.as_ref().and_then(|t| t.user_defined_function.as_ref());
    let python = function.map(|function| function.body_text.clone()).unwrap_or_default();
    Some(Binding { name: spec.name.clone(), manifest, mode: spec.mode.clone(), python })
}
