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
    details::{About, PushSourceDefinition, ServiceDefinition},
    document::AboutDocument,
    module::ModuleRelease,
    service::{FeatureService, Projection, PushSource},
};
use serde::Deserialize;
use serde_json::{Value, json as object};
use std::time::Duration;

/// For how long an upload waits at most until edges can call the release.
const SPREAD_WAIT_MAX: Duration = Duration::from_secs(60);

/// The longest name of a release.
const RELEASE_BYTES_MAX: usize = 128;

/// A module as the API writes it: the digest as text.
pub(super) fn module_json(module: &ModuleRelease) -> Value {
    object!({
        "name": module.name,
        "release": module.version,
        // Its name in older programs.
        "version": module.version,
        "digest": module.digest.to_string(),
        "size": module.size,
        "manifest": module.manifest,
    })
}

/// A service as the API writes it.
pub(super) fn service_json(definition: ServiceDefinition) -> Value {
    with_about(object!(definition.service), definition.about)
}

/// A push source as the API writes it.
pub(super) fn push_source_json(definition: PushSourceDefinition) -> Value {
    with_about(object!(definition.push_source), definition.about)
}

fn with_about(mut definition: Value, about: About) -> Value {
    if let (Some(members), Value::Object(about)) = (definition.as_object_mut(), object!(AboutDocument::from(about))) {
        members.extend(about);
    }
    definition
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

/// The release that a query names: `release`, or `version` as older programs write it.
fn release(query: Option<&str>) -> Result<String, Failure> {
    let (release, older) = (routes::query(query, "release"), routes::query(query, "version"));
    if let (Some(release), Some(older)) = (&release, &older)
        && release != older
    {
        let message = "release and its older name version differ; send release alone";
        return Err(Failure::bad_request("invalid_version", message));
    }
    let release = release.or(older).unwrap_or_default();
    if release.is_empty() || release.len() > RELEASE_BYTES_MAX {
        let message = format!(
            "say which release this is: ?release= with 1 to {RELEASE_BYTES_MAX} bytes, and not {}",
            release.len()
        );
        return Err(Failure::bad_request("invalid_version", message));
    }
    Ok(release.into_owned())
}

pub(super) async fn put_module(
    state: &State,
    name: &str,
    query: Option<&str>,
    component: Bytes,
) -> Result<Answer, Failure> {
    let release = release(query)?;
    if component.is_empty() {
        return Err(Failure::bad_request("empty_module", "the body is empty; send the component's bytes"));
    }
    let wait_ms = routes::query(query, "wait_ms").map_or(Ok(0), |ms| ms.parse::<u64>());
    let wait_ms =
        wait_ms.map_err(|_| Failure::bad_request("invalid_wait", "'wait_ms' takes a whole number of milliseconds"))?;
    let put = state.node.put_module(name.to_owned(), release, component).await?;
    let spread = state.node.module_spread(&put, Duration::from_millis(wait_ms).min(SPREAD_WAIT_MAX)).await;
    let mut answer = receipt::change(&put.receipt);
    answer.insert("digest".to_owned(), object!(put.digest.to_string()));
    answer.insert("manifest".to_owned(), object!(put.manifest));
    // Which of the edges that follow this node can call it, as far as was waited for.
    answer.insert("edges".to_owned(), object!({ "ready": spread.ready, "of": spread.of }));
    json(&answer)
}

pub(super) async fn drop_module(state: &State, name: &str) -> Result<Answer, Failure> {
    if state.node.catalogue().module(name).is_none() {
        return Err(unknown("module", "unknown_module", name));
    }
    change(state, CatalogueChange::DropModule(name.to_owned())).await
}

pub(super) fn list_services(state: &State) -> Result<Answer, Failure> {
    let services: Vec<Value> = state.node.catalogue().service_definitions().map(service_json).collect();
    json(&object!({ "services": services }))
}

pub(super) fn get_service(state: &State, name: &str) -> Result<Answer, Failure> {
    let catalogue = state.node.catalogue();
    let definition = catalogue.service_definition(name);
    json(&service_json(definition.ok_or_else(|| unknown("feature service", "unknown_service", name))?))
}

pub(super) async fn put_service(state: &State, name: &str, body: &[u8]) -> Result<Answer, Failure> {
    #[derive(Deserialize)]
    struct Body {
        projections: Vec<Projection>,
        #[serde(flatten)]
        about: AboutDocument,
    }
    let body: Body = parse(body)?;
    let service = FeatureService { name: name.to_owned(), projections: body.projections };
    change(state, ServiceDefinition { service, about: body.about.into() }.into()).await
}

pub(super) async fn drop_service(state: &State, name: &str) -> Result<Answer, Failure> {
    if state.node.catalogue().service(name).is_none() {
        return Err(unknown("feature service", "unknown_service", name));
    }
    change(state, CatalogueChange::DropService(name.to_owned())).await
}

pub(super) fn list_push_sources(state: &State) -> Result<Answer, Failure> {
    let sources: Vec<Value> = state.node.catalogue().push_source_definitions().map(push_source_json).collect();
    json(&object!({ "push_sources": sources }))
}

pub(super) fn get_push_source(state: &State, name: &str) -> Result<Answer, Failure> {
    let catalogue = state.node.catalogue();
    let definition = catalogue.push_source_definition(name);
    json(&push_source_json(definition.ok_or_else(|| unknown("push source", "unknown_push_source", name))?))
}

pub(super) async fn put_push_source(state: &State, name: &str, body: &[u8]) -> Result<Answer, Failure> {
    #[derive(Deserialize)]
    struct Body {
        views: Vec<String>,
        #[serde(flatten)]
        about: AboutDocument,
    }
    let body: Body = parse(body)?;
    let push_source = PushSource { name: name.to_owned(), views: body.views };
    change(state, PushSourceDefinition { push_source, about: body.about.into() }.into()).await
}

pub(super) async fn drop_push_source(state: &State, name: &str) -> Result<Answer, Failure> {
    if state.node.catalogue().push_source(name).is_none() {
        return Err(unknown("push source", "unknown_push_source", name));
    }
    change(state, CatalogueChange::DropPushSource(name.to_owned())).await
}
