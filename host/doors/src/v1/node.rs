//! What the node says of itself.

use super::{
    json,
    names::{module_json, push_source_json, service_json},
};
use crate::{
    failure::{Answer, Failure},
    routes,
    state::State,
};
use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::Full;
use littoral_model::{
    document::ViewDocument,
    position::Incarnation,
    status::{NodeStatus, Shortfalls},
};
use littoral_runtime::metrics::Metrics;
use serde::Serialize;
use serde_json::json as object;

/// The API's description.
pub(crate) const OPENAPI: &str = include_str!("openapi.json");

pub(super) fn openapi() -> Answer {
    typed("application/json", Bytes::from_static(OPENAPI.as_bytes()))
}

pub(super) fn metrics(state: &State) -> Result<Answer, Failure> {
    let Some(metrics) = &state.config.metrics else {
        return Err(Failure::not_found("no_metrics", "this process records no metrics"));
    };
    Ok(rendered(metrics))
}

pub(crate) fn rendered(metrics: &Metrics) -> Answer {
    typed("text/plain; version=0.0.4; charset=utf-8", metrics.render().into())
}

fn typed(media_type: &'static str, body: Bytes) -> Answer {
    let mut response = Response::new(Full::new(body));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    response
}

/// The node's state, and what is its door's to say.
#[derive(Serialize)]
struct Shown {
    #[serde(flatten)]
    node: NodeStatus,
    build: &'static str,
    draining: bool,
    fresh: bool,
    not_fresh_reason: String,
    not_writable_reason: String,
}

pub(super) fn status(state: &State) -> Result<Answer, Failure> {
    let Shortfalls { not_fresh, not_writable } = state.node.shortfalls();
    json(&Shown {
        node: node_status(state),
        build: state.config.build,
        draining: state.config.draining.has_begun(),
        fresh: not_fresh.is_none(),
        not_fresh_reason: not_fresh.unwrap_or_default(),
        not_writable_reason: not_writable.unwrap_or_default(),
    })
}

/// A node whose process is about to stop is not ready, whatever it has.
fn node_status(state: &State) -> NodeStatus {
    let mut status = state.node.status();
    if state.config.draining.has_begun() {
        status.ready = false;
        status.not_ready_reason = "it is draining: it is about to stop, so send requests to another node".to_owned();
    }
    status
}

/// Whether the node may serve. That it does not take writes, or that its data is not fresh, is said and is no reason to send reads
/// elsewhere: there may be nobody else.
pub(super) fn ready(state: &State) -> Result<Answer, Failure> {
    let status = node_status(state);
    if !status.ready {
        return Err(Failure::new(StatusCode::SERVICE_UNAVAILABLE, "not_ready", status.not_ready_reason));
    }
    let Shortfalls { not_fresh, not_writable } = state.node.shortfalls();
    json(&object!({
        "ready": true,
        "fresh": not_fresh.is_none(),
        "not_fresh_reason": not_fresh.unwrap_or_default(),
        "writable": not_writable.is_none(),
        "not_writable_reason": not_writable.unwrap_or_default(),
    }))
}

/// Whether the node's data is fresh.
pub(super) fn fresh(state: &State) -> Result<Answer, Failure> {
    let status = state.node.status();
    if !status.ready {
        return Err(Failure::new(StatusCode::SERVICE_UNAVAILABLE, "not_ready", status.not_ready_reason));
    }
    match state.node.shortfalls().not_fresh {
        None => json(&object!({ "fresh": true, "staleness_ms": status.staleness_ms })),
        Some(reason) => Err(Failure::new(StatusCode::SERVICE_UNAVAILABLE, "not_fresh", reason)),
    }
}

/// `POST /v1/adopt?log=`.
pub(super) fn adopt(state: &State, query: Option<&str>) -> Result<Answer, Failure> {
    let log = routes::query(query, "log").map(|log| log.parse::<Incarnation>()).transpose();
    let log = log.map_err(|error| Failure::bad_request("invalid_log", format!("'log': {error}")))?;
    match state.node.adopt(log) {
        Some(Ok(adopted)) => json(&adopted),
        Some(Err(error)) => Err(Failure::new(StatusCode::CONFLICT, "nothing_to_adopt", error.to_string())),
        None => {
            let message = "this node is no edge: ask the edge that refuses its leader's log";
            Err(Failure::not_found("not_an_edge", message))
        }
    }
}

pub(super) fn catalogue(state: &State) -> Result<Answer, Failure> {
    let catalogue = state.node.catalogue();
    json(&object!({
        "generation": catalogue.generation,
        "views": catalogue.view_definitions().map(ViewDocument::from).collect::<Vec<_>>(),
        "modules": catalogue.modules().map(module_json).collect::<Vec<_>>(),
        "services": catalogue.service_definitions().map(service_json).collect::<Vec<_>>(),
        "push_sources": catalogue.push_source_definitions().map(push_source_json).collect::<Vec<_>>(),
    }))
}
