//! Feature views.

use super::{json, parse, unknown};
use crate::{
    failure::{Answer, Failure},
    receipt,
    state::State,
};
use littoral_model::{catalogue::CatalogueChange, details::ViewDefinition, document::ViewDocument};
use serde_json::json as object;

pub(super) fn list(state: &State) -> Result<Answer, Failure> {
    let views: Vec<ViewDocument> = state.node.catalogue().view_definitions().map(ViewDocument::from).collect();
    json(&object!({ "views": views }))
}

pub(super) fn get(state: &State, name: &str) -> Result<Answer, Failure> {
    let catalogue = state.node.catalogue();
    let definition = catalogue.view_definition(name).ok_or_else(|| unknown("feature view", "unknown_view", name))?;
    json(&ViewDocument::from(definition))
}

pub(super) async fn put(state: &State, name: &str, body: &[u8]) -> Result<Answer, Failure> {
    let document: ViewDocument = parse(body)?;
    if !document.name.is_empty() && document.name != name {
        let message = "the body names another view than the path; leave 'name' out of the body";
        return Err(Failure::bad_request("name_mismatch", message));
    }
    let mut definition = document
        .into_definition()
        .map_err(|error| Failure::bad_request("invalid_view", format!("view '{name}': {error}")))?;
    name.clone_into(&mut definition.view.name);
    let receipt = state.node.change(definition.clone().into()).await?;
    // At an edge the catalogue may still be on its way; then the view is shown as it was asked for.
    let catalogue = state.node.catalogue();
    let is_held = |held: &ViewDefinition| {
        held.details == definition.details
            && definition.view.features.iter().all(|feature| held.view.feature(&feature.name).is_some())
    };
    let shown = catalogue.view_definition(name).filter(is_held).unwrap_or(definition);
    let mut answer = receipt::change(&receipt);
    answer.insert("view".to_owned(), object!(ViewDocument::from(shown)));
    json(&answer)
}

pub(super) async fn drop(state: &State, name: &str) -> Result<Answer, Failure> {
    if state.node.catalogue().view(name).is_none() {
        return Err(unknown("feature view", "unknown_view", name));
    }
    json(&receipt::change(&state.node.change(CatalogueChange::DropView(name.to_owned())).await?))
}
