//! Resolves a shape: from names to rows and values under a catalogue.

use super::{Call, FeatureRef, KeyColumn, Lookup, Output, Plan, Shape, Wanted};
use crate::{
    cell::Text,
    error::{Error, Kind},
};
use littoral_model::{
    catalogue::Catalogue,
    module::ModuleRelease,
    row_body::FEATURES_MAX,
    view::{FeatureView, JoinKey},
};
use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

type JoinKeyMap = [(String, String)];

pub(super) fn resolve(catalogue: &Catalogue, shape: &Shape<'_>) -> Result<Plan, Error> {
    let mut resolver = Resolver {
        catalogue,
        columns: shape.columns.iter().enumerate().rev().map(|(at, name)| (*name, at)).collect(),
        echoed: BTreeSet::new(),
        key_columns: HashMap::new(),
        lookups: Vec::new(),
        calls: Vec::new(),
        called: HashMap::new(),
        missing_params: Vec::new(),
        without_key: None,
    };
    let mut outputs = Vec::new();
    let mut names = Vec::new();
    let mut views: Vec<&str> = Vec::new();
    let references;
    match shape.wanted {
        Wanted::Features(json) => {
            references = parse_references(json)?;
            for reference in &references {
                let (view, feature) = split_reference(&reference.0)?;
                outputs.push(resolver.output(view, feature, &[])?);
                names.push(if shape.full_names { format!("{view}__{feature}") } else { feature.to_owned() });
                views.push(view);
            }
        }
        Wanted::Service(name) => {
            let service = catalogue.service(name).ok_or_else(|| {
                Error::request(Kind::UnknownService, format!("Feature service {} does not exist", cut(name)))
            })?;
            for part in &service.projections {
                let shown = part.alias.as_deref().unwrap_or(&part.view);
                for feature in &part.features {
                    outputs.push(resolver.output(&part.view, feature, &part.join_key_map)?);
                    names.push(if shape.full_names { format!("{shown}__{feature}") } else { feature.clone() });
                }
                views.push(shown);
            }
        }
    }
    if outputs.is_empty() {
        return Err(Error::request(Kind::NoFeatures, "No features specified for retrieval"));
    }
    resolver.check_params()?;
    if let Some(missing) = resolver.without_key {
        return Err(missing);
    }
    let keys = resolver.keys(shape.columns);
    let (key_names, key_outputs): (Vec<String>, Vec<Output>) = keys.into_iter().unzip();
    let names: Vec<String> = key_names.into_iter().chain(names).collect();
    check_collisions(&names)?;
    let mut seen = BTreeSet::new();
    views.retain(|view| seen.insert(*view));
    Ok(Plan {
        lookups: resolver.lookups,
        calls: resolver.calls,
        outputs: key_outputs.into_iter().chain(outputs).collect(),
        names,
        views: views.into_iter().map(str::to_owned).collect(),
    })
}

fn cut(name: &str) -> String {
    name.chars().take(128).collect()
}

fn parse_references(json: &str) -> Result<Vec<Text<'_>>, Error> {
    let references: Vec<Text<'_>> = serde_json::from_str(json)
        .map_err(|error| Error::request(Kind::InvalidFeatures, format!("features: {error}")))?;
    if references.len() > FEATURES_MAX {
        let message = format!("{} features in one read; at most {FEATURES_MAX} are allowed", references.len());
        return Err(Error::request(Kind::TooManyFeatures, message));
    }
    Ok(references)
}

/// Splits `view:feature`, or `view@latest:feature`. Views have no other versions.
fn split_reference(reference: &str) -> Result<(&str, &str), Error> {
    let malformed = || {
        let message = format!("'{}' is not a feature reference; write it as view:feature", cut(reference));
        Error::request(Kind::InvalidReference, message)
    };
    let (view, feature) = reference.split_once(':').ok_or_else(malformed)?;
    if view.is_empty() || feature.is_empty() || feature.contains(':') {
        return Err(malformed());
    }
    match view.split_once('@') {
        None | Some((_, "latest")) => Ok((view.split('@').next().unwrap_or(view), feature)),
        Some(_) => {
            let message = format!(
                "Version-qualified ref '{}' not supported: feature views have no versions here; leave out the '@...'",
                cut(view)
            );
            Err(Error::request(Kind::UnsupportedVersion, message))
        }
    }
}

fn check_collisions(names: &[String]) -> Result<(), Error> {
    let mut seen = BTreeSet::new();
    match names.iter().find(|name| !seen.insert(name.as_str())) {
        None => Ok(()),
        Some(twice) => Err(Error::request(
            Kind::NameCollision,
            format!(
                "Duplicate features named {twice} found.\nTo resolve this collision, either use the full feature name by \
                 setting 'full_feature_names=True', or ensure that the features in question have different names."
            ),
        )),
    }
}

struct Resolver<'a> {
    catalogue: &'a Catalogue,
    /// Name -> index of the request's columns.
    columns: HashMap<&'a str, usize>,
    /// Columns that are part of a key.
    echoed: BTreeSet<usize>,
    /// Column -> the name and type under which it is part of a key.
    key_columns: HashMap<usize, (String, KeyColumn)>,
    lookups: Vec<Lookup>,
    calls: Vec<Call>,
    /// (module, join key map) -> call.
    called: HashMap<(String, Vec<(String, String)>), usize>,
    missing_params: Vec<String>,
    /// The error for a view of which the request has no join key.
    without_key: Option<Error>,
}

impl<'a> Resolver<'a> {
    fn output(&mut self, view: &str, feature: &str, map: &JoinKeyMap) -> Result<Output, Error> {
        let catalogue = self.catalogue;
        if let Some(found) = catalogue.view(view) {
            return self.cell(found, feature, map).map(Output::Feature);
        }
        if let Some(module) = catalogue.module(view) {
            let output = module.manifest.outputs.iter().position(|output| output.name == feature);
            let output = output.ok_or_else(|| unknown_feature(view, feature))?;
            return Ok(Output::Made { call: self.call(module, map)?, output });
        }
        let message = format!("Feature view {} does not exist", cut(view));
        Err(Error::request(Kind::UnknownView, message))
    }

    fn cell(&mut self, view: &FeatureView, feature: &str, map: &JoinKeyMap) -> Result<FeatureRef, Error> {
        let (index, found) = view.feature(feature).ok_or_else(|| unknown_feature(&view.name, feature))?;
        Ok(FeatureRef { lookup: self.lookup(view, map), feature: index, value_type: found.value_type })
    }

    fn lookup(&mut self, view: &FeatureView, map: &JoinKeyMap) -> usize {
        let found: Vec<KeyColumn> = view.join_keys.iter().filter_map(|key| self.key_column(key, map)).collect();
        if found.is_empty() && !view.join_keys.is_empty() && self.without_key.is_none() {
            self.without_key = Some(self.missing_keys(view, map));
        }
        // As in Feast, an incomplete composite key finds no row, and a request without any column of the key is an
        // error.
        let keys = (found.len() == view.join_keys.len()).then_some(found);
        let lookup = Lookup { view: view.id, ttl_ms: view.ttl_ms(), combines: view.merge.combines(), keys };
        self.lookups.iter().position(|held| *held == lookup).unwrap_or_else(|| {
            self.lookups.push(lookup);
            self.lookups.len() - 1
        })
    }

    fn missing_keys(&self, view: &FeatureView, map: &JoinKeyMap) -> Error {
        let named = |key: &JoinKey| {
            let given = map.iter().find(|(own, _)| *own == key.name).map_or(&key.name, |(_, given)| given);
            format!("'{given}'")
        };
        let wanted: Vec<String> = view.join_keys.iter().map(named).collect();
        let mut there: Vec<String> = self.columns.keys().take(16).map(|name| format!("'{}'", cut(name))).collect();
        there.sort_unstable();
        let message = format!(
            "Missing join key values for keys: [{}], which feature view '{}' needs. Provided join_key_values: [{}]",
            wanted.join(", "),
            view.name,
            there.join(", ")
        );
        Error::request(Kind::MissingJoinKey, message)
    }

    /// Returns the request's column for a join key: by the name in the map; without one, by the key's own name, then by
    /// that of its entity.
    fn key_column(&mut self, key: &JoinKey, map: &JoinKeyMap) -> Option<KeyColumn> {
        let mapped = map.iter().find(|(own, _)| *own == key.name).map(|(_, given)| given.as_str());
        let name = mapped.unwrap_or(&key.name);
        let by_entity = || if mapped.is_none() { self.columns.get(key.entity.as_str()) } else { None };
        let column = self.columns.get(name).or_else(by_entity).copied()?;
        let key_column = KeyColumn { column, value_type: key.value_type };
        self.echoed.insert(column);
        self.key_columns.entry(column).or_insert_with(|| (name.to_owned(), key_column));
        Some(key_column)
    }

    fn call(&mut self, module: &ModuleRelease, map: &JoinKeyMap) -> Result<usize, Error> {
        let id = (module.name.clone(), map.to_vec());
        if let Some(call) = self.called.get(&id) {
            return Ok(*call);
        }
        let mut inputs = Vec::with_capacity(module.manifest.inputs.len());
        for input in &module.manifest.inputs {
            // The catalogue has validated it. An input can be missing only while the catalogue changes.
            let view = self.catalogue.view(&input.view).ok_or_else(|| unknown_feature(&input.view, &input.feature))?;
            // Applies the join key map of the module's input first, then that of the service's projection.
            let renamed: Vec<(String, String)> = (view.join_keys.iter())
                .map(|key| {
                    let own = input.join_key_map.iter().find(|(own, _)| *own == key.name).map_or(&key.name, |(_, n)| n);
                    let outer = map.iter().find(|(name, _)| name == own).map_or(own, |(_, given)| given);
                    (key.name.clone(), outer.clone())
                })
                .filter(|(own, given)| own != given)
                .collect();
            inputs.push(self.cell(view, &input.feature, &renamed)?);
        }
        let mut params = Vec::with_capacity(module.manifest.params.len());
        for param in &module.manifest.params {
            match self.columns.get(param.name.as_str()) {
                Some(column) => params.push(*column),
                None => self.missing_params.push(param.name.clone()),
            }
        }
        let manifest = Arc::new(module.manifest.clone());
        let stored_name = self.catalogue.stored_name(&module.name).into();
        let (name, digest) = (module.name.as_str().into(), module.digest);
        self.calls.push(Call { name, stored_name, digest, manifest, inputs, params });
        self.called.insert(id, self.calls.len() - 1);
        Ok(self.calls.len() - 1)
    }

    fn check_params(&mut self) -> Result<(), Error> {
        if self.missing_params.is_empty() {
            return Ok(());
        }
        self.missing_params.sort_unstable();
        self.missing_params.dedup();
        let names: Vec<String> = self.missing_params.iter().map(|name| format!("'{name}'")).collect();
        let message = format!(
            "Required request data source features [{}] not found in the entity rows, but required by feature views",
            names.join(", ")
        );
        Err(Error::request(Kind::MissingParameter, message))
    }

    /// Returns the columns that the answer repeats, in the order of the request: those that are part of a key of the
    /// read, and those that are a join key of the project, as in Feast. Parameters are left out.
    fn keys(&self, columns: &[&str]) -> Vec<(String, Output)> {
        let params: BTreeSet<usize> = self.calls.iter().flat_map(|call| call.params.iter().copied()).collect();
        let mut project: HashMap<&str, &JoinKey> = HashMap::new();
        if columns.len() > self.echoed.len() {
            for key in self.catalogue.views().flat_map(|view| &view.join_keys) {
                project.entry(key.entity.as_str()).or_insert(key);
            }
            for key in self.catalogue.views().flat_map(|view| &view.join_keys) {
                project.insert(key.name.as_str(), key);
            }
        }
        let mut keys: Vec<(String, Output)> = Vec::new();
        for (at, name) in columns.iter().enumerate() {
            if let Some((name, key)) = self.key_columns.get(&at) {
                keys.push((name.clone(), Output::Key(*key)));
            } else if !params.contains(&at)
                && let Some(key) = project.get(name)
                && (*name == key.name || !self.columns.contains_key(key.name.as_str()))
            {
                let value_type = key.value_type;
                keys.push((key.name.clone(), Output::UnneededKey(KeyColumn { column: at, value_type })));
            }
        }
        keys
    }
}

fn unknown_feature(view: &str, feature: &str) -> Error {
    let message = format!("Feature {} not found in projection {}", cut(feature), cut(view));
    Error::request(Kind::UnknownFeature, message)
}
