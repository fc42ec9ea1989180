//! Feature views.

use super::{json, parse, unknown};
use crate::{access, answer::Answer, failure::Failure, state::State};
use littoral_api::{
    ChangeReceipt, code,
    node::{ViewPut, Views},
    view::View,
};
use littoral_model::{catalogue::CatalogueChange, details::ViewDefinition, document::ViewDocument};

pub(super) fn list(state: &State) -> Result<Answer, Failure> {
    let views: Vec<View> = state
        .catalogue()
        .view_definitions()
        .filter(|definition| access::sees(&definition.view.name))
        .map(View::from)
        .collect();
    json(&Views { views })
}

pub(super) fn get(state: &State, name: &str) -> Result<Answer, Failure> {
    let catalogue = state.catalogue();
    let definition =
        catalogue.view_definition(name).ok_or_else(|| unknown("feature view", code::UNKNOWN_VIEW, name))?;
    json(&View::from(definition))
}

pub(super) async fn put(state: &State, name: &str, body: &[u8]) -> Result<Answer, Failure> {
    let document: ViewDocument = parse(body)?;
    if !document.name.is_empty() && document.name != name {
        let message = "the body has another 'name' than the path; leave it out of the body";
        return Err(Failure::bad_request(code::NAME_MISMATCH, message));
    }
    let mut definition = document
        .into_definition()
        .map_err(|error| Failure::bad_request(code::INVALID_VIEW, format!("view '{name}': {error}")))?;
    definition.view.name = state.qualify(name)?;
    let receipt = state.node.change(definition.clone().into()).await?;
    name.clone_into(&mut definition.view.name);
    // The change may not have arrived at an edge yet. Its answer then shows the view of the request.
    let catalogue = state.catalogue();
    let is_held = |held: &ViewDefinition| {
        held.details == definition.details
            && definition.view.features.iter().all(|feature| held.view.feature(&feature.name).is_some())
    };
    let shown = catalogue.view_definition(name).filter(is_held).unwrap_or(definition);
    json(&ViewPut { receipt: ChangeReceipt::from(&receipt), view: View::from(shown) })
}

pub(super) async fn drop(state: &State, name: &str) -> Result<Answer, Failure> {
    if state.catalogue().view(name).is_none() {
        return Err(unknown("feature view", code::UNKNOWN_VIEW, name));
    }
    json(&ChangeReceipt::from(&state.node.change(CatalogueChange::DropView(state.qualify(name)?)).await?))
}
