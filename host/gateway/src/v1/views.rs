//! Feature views.

use super::{json, parse, unknown, wire_view::WireView};
use crate::{
    failure::{Answer, Failure},
    receipt,
    state::State,
};
use littoral_model::catalogue::CatalogueChange;
use serde_json::json as object;

pub(super) fn list(state: &State) -> Result<Answer, Failure> {
    let views: Vec<WireView> = state.node.catalogue().views().map(WireView::from).collect();
    json(&object!({ "views": views }))
}

pub(super) fn get(state: &State, name: &str) -> Result<Answer, Failure> {
    let catalogue = state.node.catalogue();
    json(&WireView::from(catalogue.view(name).ok_or_else(|| unknown("feature view", "unknown_view", name))?))
}

pub(super) async fn put(state: &State, name: &str, body: &[u8]) -> Result<Answer, Failure> {
    let wire: WireView = parse(body)?;
    if !wire.name.is_empty() && wire.name != name {
        let message = "the body names another view than the path; leave 'name' out of the body";
        return Err(Failure::bad_request("name_mismatch", message));
    }
    let view = wire.named(name);
    let receipt = state.node.change(CatalogueChange::PutView(view.clone())).await?;
    // At an edge the catalogue may still be on its way; then the view is shown as it was asked for.
    let catalogue = state.node.catalogue();
    let shown = catalogue.view(name).filter(|held| view.features.iter().all(|f| held.feature(&f.name).is_some()));
    let mut answer = receipt::change(&receipt);
    answer.insert("view".to_owned(), object!(WireView::from(shown.unwrap_or(&view))));
    json(&answer)
}

pub(super) async fn drop(state: &State, name: &str) -> Result<Answer, Failure> {
    if state.node.catalogue().view(name).is_none() {
        return Err(unknown("feature view", "unknown_view", name));
    }
    json(&receipt::change(&state.node.change(CatalogueChange::DropView(name.to_owned())).await?))
}
