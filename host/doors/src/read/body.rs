//! The body of a read.

use super::Dialect;
use crate::{diagnose, failure::Failure};
use littoral_api::code;
use littoral_read::{
    Cell, Shape, Wanted,
    cell::{Columns, Text},
};
use serde::Deserialize;
use serde_json::{Value, value::RawValue};

/// A read. Unknown fields are ignored.
#[derive(Deserialize)]
pub(super) struct Body<'a> {
    #[serde(borrow, default)]
    features: Option<&'a RawValue>,
    #[serde(borrow, default)]
    feature_service: Option<Text<'a>>,
    #[serde(borrow)]
    entities: Columns<'a>,
    /// Native only. At Feast's door parameters are among the entities.
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
            "column '{name}' is in 'entities' and in 'params': leave it out of 'params'; a module with a parameter of this \
             name receives the values of the entities"
        );
        return Err(Failure::bad_request(code::COLUMN_GIVEN_TWICE, message));
    }
    Ok(parsed)
}

impl Body<'_> {
    /// Returns the columns of the request, parameters last.
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
}

/// Returns the error of a body that does not parse.
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
                    let message = format!("{name}.{column} is not a list; send one value per row");
                    return Failure::body("list_type", at(&[name, column]), "Input should be a valid list", message);
                }
            }
            None => {}
            Some(_) => {
                let message = format!("'{name}' is not an object of columns");
                return Failure::body("dict_type", at(&[name]), "Input should be a valid dictionary", message);
            }
        }
    }
    diagnose::otherwise(error)
}
