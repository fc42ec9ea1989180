//! The span of a request.

use crate::{
    access::{Admitted, Guard},
    answer::Answer,
    failure::Failure,
    routes::{self, Endpoint},
};
use http::request::Parts;
use littoral_api::headers::ERROR;
use littoral_http::Client;
use littoral_runtime::trace::{self, Span, Start};
use std::time::Instant;

/// Begins the span of a request that arrived at `began`. Probes and scrapes have none.
pub(crate) fn begin(
    guard: &Guard,
    endpoint: Endpoint,
    parts: &Parts,
    client: &Client,
    admitted: &Result<Admitted, Failure>,
    began: Instant,
) -> Start {
    if endpoint.is_vital() {
        return Start::default();
    }
    let admitted = admitted.as_ref().ok();
    let is_believed = || guard.believes(client, admitted.and_then(Admitted::who));
    let mut start = trace::serve(&parts.headers, is_believed, began);
    let span = &mut start.span;
    if span.is_recorded() {
        let (method, route) = (&parts.method, routes::path_of(endpoint));
        span.rename(|| format!("{method} {route}").into());
        span.set_text("http.request.method", method);
        span.set("http.route", route);
        if let Some(admitted) = admitted.filter(|_| endpoint.is_in_project()) {
            span.set_text("littoral.project", admitted.project());
        }
        // Its client may leave before the answer.
        span.failed("cancelled");
    }
    start
}

/// Ends the span of a request that is answered.
pub(crate) fn end(mut span: Span, answer: &Answer) {
    if !span.is_recorded() {
        return;
    }
    span.succeeded();
    span.set("http.response.status_code", answer.status().as_u16());
    if let Some(code) = answer.headers().get(ERROR).and_then(|code| code.to_str().ok()) {
        span.set_text("littoral.error", code);
    }
    if answer.status().is_server_error() {
        span.failed(answer.status().as_str().to_owned());
    }
}
