//! A read's body.

use super::Dialect;
use crate::{
    cell::{Cell, Columns, Text},
    diagnose,
    failure::Failure,
    plan::{Plan, Shape, Wanted},
};
use littoral_api::code;
use serde::Deserialize;
use serde_json::{Value, value::RawValue};

/// A read as it came; fields that are not known are left out.
#[derive(Deserialize)]
pub(super) struct Body<'a> {
    #[serde(borrow, default)]
    features: Option<&'a RawValue>,
    #[serde(borrow, default)]
    feature_service: Option<Text<'a>>,
    #[serde(borrow)]
    entities: Columns<'a>,
    /// Native only; on Feast's door parameters are among the entities.
    #[serde(borrow, default)]
    params: Columns<'a>,
    #[serde(default)]
    full_feature_names: bool,
    #[serde(default, rename = "include_feature_view_version_metadata")]
    pub(super) view_metadata: bool,
    #[serde(borrow, default)]
    pub(super) demand: Option<&'a RawValue>,
}

/// Parses a read.
pub(super) fn parse(body: &[u8], dialect: Dialect) -> Result<Body<'_>, Failure> {
    let mut parsed: Body<'_> = serde_json::from_slice(body).map_err(|error| diagnose(body, &error))?;
    if dialect == Dialect::Feast {
        parsed.params.0.clear();
        parsed.demand = None;
    }
    if let Some((name, _)) = parsed.params.0.iter().find(|(name, _)| parsed.entities.get(name).is_some()) {
        let name: String = name.chars().take(128).collect();
        let message = format!(
            "column '{name}' is given among 'entities' and among 'params': leave it out of 'params'; a module that takes a \
             parameter of this name is given the entities' values"
        );
        return Err(Failure::bad_request(code::COLUMN_GIVEN_TWICE, message));
    }
    Ok(parsed)
}

impl Body<'_> {
    /// The request's columns, parameters last.
    pub(super) fn columns(&self) -> impl Iterator<Item = (&str, &[Cell<'_>])> {
        self.entities.0.iter().chain(&self.params.0).map(|(name, cells)| (name.as_ref(), cells.as_slice()))
    }

    pub(super) fn shape<'s>(&'s self, names: &'s [&'s str]) -> Shape<'s> {
        let wanted = match &self.feature_service {
            Some(service) if !service.0.is_empty() => Wanted::Service(&service.0),
            _ => Wanted::Features(self.features.map_or("[]", RawValue::get)),
        };
        Shape { wanted, full_names: self.full_feature_names, columns: names }
    }

    /// The number of rows: every column is that long.
    pub(super) fn rows(&self, plan: &Plan) -> Result<usize, Failure> {
        let mut columns = self.columns();
        let Some((first, cells)) = columns.next() else {
            // Views without join keys have one row for everybody.
            let global = plan.lookups.iter().all(|lookup| lookup.keys.as_ref().is_some_and(Vec::is_empty));
            return if global { Ok(1) } else { Err(empty()) };
        };
        if let Some((other, odd)) = columns.find(|(_, other)| other.len() != cells.len()) {
            let message = format!(
                "All entity rows must have the same columns: '{first}' has {} values, '{other}' has {}",
                cells.len(),
                odd.len()
            );
            return Err(Failure::bad_request(code::UNEQUAL_LENGTHS, message));
        }
        if cells.is_empty() { Err(empty()) } else { Ok(cells.len()) }
    }
}

fn empty() -> Failure {
    Failure::bad_request(code::NO_ENTITIES, "No entity is asked for: 'entities' needs at least one column with a value")
}

/// Says what is wrong with a body that does not parse.
fn diagnose(body: &[u8], error: &serde_json::Error) -> Failure {
    let members = match diagnose::members(body, error) {
        Ok(members) => members,
        Err(failure) => return failure,
    };
    let at = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    for name in ["entities", "params"] {
        match members.get(name) {
            None if name == "entities" => {
                return Failure::body("missing", at(&[name]), "Field required", "'entities' is missing");
            }
            Some(Value::Object(columns)) => {
                if let Some((column, _)) = columns.iter().find(|(_, cells)| !cells.is_array()) {
                    let message = format!("{name}.{column} is no list; give one value a row");
                    return Failure::body("list_type", at(&[name, column]), "Input should be a valid list", message);
                }
            }
            None => {}
            Some(_) => {
                let message = format!("'{name}' is no object of columns");
                return Failure::body("dict_type", at(&[name]), "Input should be a valid dictionary", message);
            }
        }
    }
    diagnose::otherwise(error)
}
