//! The state of the node.

use super::json;
use crate::{
    access,
    answer::{Answer, typed},
    failure::Failure,
    state::State,
};
use http::StatusCode;
use littoral_api::{
    code,
    modules::ModuleInfo,
    names::{Service, Source},
    node::{Catalogue, Fresh, Ready, Status},
    view::View,
};
use littoral_http::query::parameter;
use littoral_model::{
    position::Incarnation,
    status::{NodeStatus, Shortfalls},
};
use littoral_runtime::metrics::Metrics;

pub(super) fn metrics(state: &State) -> Result<Answer, Failure> {
    let Some(metrics) = &state.process.metrics else {
        return Err(Failure::not_found(code::NO_METRICS, "this process records no metrics"));
    };
    Ok(rendered(metrics))
}

pub(crate) fn rendered(metrics: &Metrics) -> Answer {
    typed("text/plain; version=0.0.4; charset=utf-8", metrics.render())
}

pub(super) fn status(state: &State) -> Result<Answer, Failure> {
    let Shortfalls { not_fresh, not_writable } = state.node.shortfalls();
    json(&Status {
        node: node_status(state),
        build: state.process.build.to_owned(),
        draining: state.process.draining.has_begun(),
        insecure: state.process.insecure,
        authenticates: state.guard.authenticator.is_some(),
        fresh: not_fresh.is_none(),
        not_fresh_reason: not_fresh.unwrap_or_default(),
        not_writable_reason: not_writable.unwrap_or_default(),
    })
}

/// Returns the status of the node. A node whose process is about to stop is not ready.
fn node_status(state: &State) -> NodeStatus {
    let mut status = state.node.status();
    if !access::is_admin() {
        // A router needs the rest to choose a door. Names are for the operator.
        status.views.clear();
        status.modules.clear();
        status.regions.clear();
        status.gauges.clear();
    }
    if state.process.draining.has_begun() {
        status.ready = false;
        status.not_ready_reason = "it is draining and will stop soon; send requests to another node".to_owned();
    }
    status
}

/// Answers whether the node may serve. The answer also shows whether it accepts writes and whether its data is fresh.
/// Neither is a reason to send reads elsewhere, as no other node may be better.
pub(super) fn ready(state: &State) -> Result<Answer, Failure> {
    let status = node_status(state);
    if !status.ready {
        return Err(Failure::new(StatusCode::SERVICE_UNAVAILABLE, code::NOT_READY, status.not_ready_reason));
    }
    let Shortfalls { not_fresh, not_writable } = state.node.shortfalls();
    json(&Ready {
        ready: true,
        fresh: not_fresh.is_none(),
        not_fresh_reason: not_fresh.unwrap_or_default(),
        writable: not_writable.is_none(),
        not_writable_reason: not_writable.unwrap_or_default(),
    })
}

/// Answers whether the data of the node is fresh.
pub(super) fn fresh(state: &State) -> Result<Answer, Failure> {
    let status = state.node.status();
    if !status.ready {
        return Err(Failure::new(StatusCode::SERVICE_UNAVAILABLE, code::NOT_READY, status.not_ready_reason));
    }
    match state.node.shortfalls().not_fresh {
        None => json(&Fresh { fresh: true, staleness_ms: status.staleness_ms }),
        Some(reason) => Err(Failure::new(StatusCode::SERVICE_UNAVAILABLE, code::NOT_FRESH, reason)),
    }
}

/// Answers `POST /v1/adopt?log=`.
pub(super) fn adopt(state: &State, query: Option<&str>) -> Result<Answer, Failure> {
    let log = parameter(query, "log").map(|log| log.parse::<Incarnation>()).transpose();
    let log = log.map_err(|error| Failure::bad_request(code::INVALID_LOG, format!("'log': {error}")))?;
    match state.node.adopt(log) {
        Some(Ok(adopted)) => json(&adopted),
        Some(Err(error)) => Err(Failure::new(StatusCode::CONFLICT, code::NOTHING_TO_ADOPT, error.to_string())),
        None => {
            let message = "this node is not an edge; send this to the edge that rejects the log of its leader";
            Err(Failure::not_found(code::NOT_AN_EDGE, message))
        }
    }
}

pub(super) fn catalogue(state: &State) -> Result<Answer, Failure> {
    let catalogue = state.catalogue();
    json(&Catalogue {
        generation: catalogue.generation,
        views: catalogue.view_definitions().filter(|it| access::sees(&it.view.name)).map(View::from).collect(),
        modules: catalogue.modules().filter(|module| access::sees(&module.name)).map(ModuleInfo::from).collect(),
        services: catalogue.service_definitions().map(Service::from).filter(|it| access::sees(&it.name)).collect(),
        push_sources: catalogue
            .push_source_definitions()
            .map(Source::from)
            .filter(|it| access::sees(&it.name))
            .collect(),
    })
}
