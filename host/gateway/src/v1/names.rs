//! Modules, feature services and push sources.

use super::{json, parse, unknown};
use crate::{
    failure::{Answer, Failure},
    receipt, routes,
    state::State,
};
use bytes::Bytes;
use littoral_model::{
    catalogue::CatalogueChange,
    module::ModuleRelease,
    service::{FeatureService, Projection, PushSource},
};
use serde::Deserialize;
use serde_json::{Value, json as object};

/// A module as the API writes it: the digest as text.
pub(super) fn module_json(module: &ModuleRelease) -> Value {
    object!({
        "name": module.name,
        "version": module.version,
        "digest": module.digest.to_string(),
        "size": module.size,
        "manifest": module.manifest,
    })
}

async fn change(state: &State, change: CatalogueChange) -> Result<Answer, Failure> {
    json(&receipt::change(&state.node.change(change).await?))
}

pub(super) fn list_modules(state: &State) -> Result<Answer, Failure> {
    json(&object!({ "modules": state.node.catalogue().modules().map(module_json).collect::<Vec<_>>() }))
}

pub(super) fn get_module(state: &State, name: &str) -> Result<Answer, Failure> {
    let catalogue = state.node.catalogue();
    json(&module_json(catalogue.module(name).ok_or_else(|| unknown("module", "unknown_module", name))?))
}

pub(super) async fn put_module(
    state: &State,
    name: &str,
    query: Option<&str>,
    component: Bytes,
) -> Result<Answer, Failure> {
    let version = routes::query(query, "version").unwrap_or_default();
    if version.is_empty() || version.len() > 128 {
        let message = "say which release this is: ?version= with 1 to 128 characters";
        return Err(Failure::bad_request("invalid_version", message));
    }
    if component.is_empty() {
        return Err(Failure::bad_request("empty_module", "the body is empty; send the component's bytes"));
    }
    let put = state.node.put_module(name.to_owned(), version.into_owned(), component).await?;
    let mut answer = receipt::change(&put.receipt);
    answer.insert("digest".to_owned(), object!(put.digest.to_string()));
    answer.insert("manifest".to_owned(), object!(put.manifest));
    json(&answer)
}

pub(super) async fn drop_module(state: &State, name: &str) -> Result<Answer, Failure> {
    if state.node.catalogue().module(name).is_none() {
        return Err(unknown("module", "unknown_module", name));
    }
    change(state, CatalogueChange::DropModule(name.to_owned())).await
}

pub(super) fn list_services(state: &State) -> Result<Answer, Failure> {
    json(&object!({ "services": state.node.catalogue().services().collect::<Vec<_>>() }))
}

pub(super) fn get_service(state: &State, name: &str) -> Result<Answer, Failure> {
    let catalogue = state.node.catalogue();
    json(catalogue.service(name).ok_or_else(|| unknown("feature service", "unknown_service", name))?)
}

pub(super) async fn put_service(state: &State, name: &str, body: &[u8]) -> Result<Answer, Failure> {
    #[derive(Deserialize)]
    struct Body {
        projections: Vec<Projection>,
    }
    let body: Body = parse(body)?;
    let service = FeatureService { name: name.to_owned(), projections: body.projections };
    change(state, CatalogueChange::PutService(service)).await
}

pub(super) async fn drop_service(state: &State, name: &str) -> Result<Answer, Failure> {
    if state.node.catalogue().service(name).is_none() {
        return Err(unknown("feature service", "unknown_service", name));
    }
    change(state, CatalogueChange::DropService(name.to_owned())).await
}

pub(super) fn list_push_sources(state: &State) -> Result<Answer, Failure> {
    json(&object!({ "push_sources": state.node.catalogue().push_sources().collect::<Vec<_>>() }))
}

pub(super) fn get_push_source(state: &State, name: &str) -> Result<Answer, Failure> {
    let catalogue = state.node.catalogue();
    json(catalogue.push_source(name).ok_or_else(|| unknown("push source", "unknown_push_source", name))?)
}

pub(super) async fn put_push_source(state: &State, name: &str, body: &[u8]) -> Result<Answer, Failure> {
    #[derive(Deserialize)]
    struct Body {
        views: Vec<String>,
    }
    let body: Body = parse(body)?;
    change(state, CatalogueChange::PutPushSource(PushSource { name: name.to_owned(), views: body.views })).await
}

pub(super) async fn drop_push_source(state: &State, name: &str) -> Result<Answer, Failure> {
    if state.node.catalogue().push_source(name).is_none() {
        return Err(unknown("push source", "unknown_push_source", name));
    }
    change(state, CatalogueChange::DropPushSource(name.to_owned())).await
}
