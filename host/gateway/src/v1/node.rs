//! What the node says of itself.

use super::{
    json,
    names::{module_json, push_source_json, service_json},
};
use crate::{
    failure::{Answer, Failure},
    state::State,
};
use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::Full;
use littoral_model::{document::ViewDocument, status::NodeStatus};
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

pub(super) fn ready(state: &State) -> Result<Answer, Failure> {
    let status = state.node.status();
    if status.ready {
        return json(&object!({ "ready": true }));
    }
    Err(Failure::new(StatusCode::SERVICE_UNAVAILABLE, "not_ready", status.not_ready_reason))
}

pub(super) fn status(state: &State) -> Result<Answer, Failure> {
    /// The node's state, and the program's build, which is the door's to say.
    #[derive(Serialize)]
    struct Shown<'a> {
        #[serde(flatten)]
        status: &'a NodeStatus,
        build: &'a str,
    }
    json(&Shown { status: &state.node.status(), build: state.config.build })
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
