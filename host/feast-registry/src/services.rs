//! Feature services.

use crate::{
    about::about,
    binding::Binding,
    plan::{Note, in_project},
    proto::{self, FeatureServiceSpec},
    report::Kind,
};
use littoral_model::{
    details::{ServiceDefinition, ViewDefinition},
    service::{FeatureService, Projection},
    view::is_name,
};
use std::collections::HashMap;

/// Returns the renamed join keys in a stable order.
pub(crate) fn join_key_map(map: &HashMap<String, String>) -> Vec<(String, String)> {
    let mut pairs: Vec<_> = map.iter().map(|(key, request)| (key.clone(), request.clone())).collect();
    pairs.sort();
    pairs
}

/// Returns the services of a project, by name.
pub(crate) fn services(
    registry: &proto::Registry,
    project: &str,
    views: &[ViewDefinition],
    bindings: &[Binding],
    notes: &mut Vec<Note>,
) -> Vec<ServiceDefinition> {
    let specs = registry.feature_services.iter().filter_map(|service| service.spec.as_ref());
    let mut services = Vec::new();
    for spec in specs.filter(|spec| in_project(&spec.project, project)) {
        match service(spec, views, bindings) {
            Ok(service) => {
                if spec.logging_config.is_some() {
                    let reason =
                        "what it served is not logged here; Feast's logging_config has no counterpart".to_owned();
                    notes.push(Note { kind: Kind::Service, name: spec.name.clone(), left_out: false, reason });
                }
                services.push(ServiceDefinition { service, about: about(&spec.description, &spec.tags, &spec.owner) });
            }
            Err(reason) => notes.push(Note { kind: Kind::Service, name: spec.name.clone(), left_out: true, reason }),
        }
    }
    services.sort_by(|a, b| a.service.name.cmp(&b.service.name));
    services
}

/// Converts a service completely or not at all, because a model that reads it needs all of its columns.
fn service(
    spec: &FeatureServiceSpec,
    views: &[ViewDefinition],
    bindings: &[Binding],
) -> Result<FeatureService, String> {
    if !is_name(&spec.name) {
        return Err(crate::plan::bad_name());
    }
    let mut projections = Vec::new();
    for part in &spec.features {
        let view = &part.feature_view_name;
        if let Some(version) = part.version_tag {
            return Err(format!("it pins '{view}' to version {version}; only the latest version is served"));
        }
        let held = views.iter().map(|imported| &imported.view).find(|imported| imported.name == *view);
        let bound = bindings.iter().find(|binding| binding.name == *view);
        for column in &part.feature_columns {
            let there = match (held, bound) {
                (Some(held), _) => held.feature(&column.name).is_some(),
                (None, Some(bound)) => bound.manifest.outputs.iter().any(|output| output.name == column.name),
                (None, None) => return Err(format!("it needs '{view}', which is not imported")),
            };
            if !there {
                return Err(format!("it needs '{view}:{}', which is not imported", column.name));
            }
        }
        projections.push(Projection {
            view: view.clone(),
            alias: Some(part.feature_view_name_alias.clone()).filter(|alias| !alias.is_empty() && alias != view),
            features: part.feature_columns.iter().map(|column| column.name.clone()).collect(),
            join_key_map: join_key_map(&part.join_key_map),
        });
    }
    Ok(FeatureService { name: spec.name.clone(), projections })
}
