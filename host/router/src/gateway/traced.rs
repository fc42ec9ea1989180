//! The spans of a request: one for the whole of it, and one for each attempt at a door.

use crate::{
    decision::{door::Door, reason::Shown, select::Purpose},
    gateway::{answer::Answer, attempt::AttemptError, head::purpose, request_driver::RoutedAnswer},
};
use http::{HeaderMap, Response, request::Parts};
use littoral_api::{headers::ERROR, projects::split_path};
use littoral_runtime::trace::{self, Kind, Span, Start, TraceContext};
use std::time::Instant;

/// Why an attempt is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    /// It is the first.
    First,
    /// Another one failed, or took too long.
    Retry,
    /// The first one is slower than most.
    Hedge,
}

impl Why {
    const fn as_str(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Retry => "retry",
            Self::Hedge => "hedge",
        }
    }
}

/// Begins the span of a request that arrived at `began`.
pub(crate) fn begin(parts: &Parts, is_trusted: bool, began: Instant) -> Start {
    let mut start = trace::serve_routed(&parts.headers, is_trusted, began);
    let span = &mut start.span;
    if span.is_recorded() {
        let method = &parts.method;
        let path = split_path(parts.uri.path()).1;
        // Other paths may contain what a client chose.
        let route = ["/get-online-features", "/v1/read", "/push", "/write-to-online-store"];
        match route.into_iter().find(|route| *route == path) {
            Some(route) => {
                span.rename(|| format!("{method} {route}").into());
                span.set("http.route", route);
            }
            None => span.rename(|| method.to_string().into()),
        }
        span.set_text("http.request.method", method);
        let is_read = purpose(method, parts.uri.path()) == Purpose::Read;
        span.set("littoral.purpose", if is_read { "read" } else { "write" });
        // Its client may leave before the answer.
        span.failed("cancelled");
    }
    start
}

/// Removes the trace headers of a client that is not trusted. Without a trace of its own, a router passes those of
/// other clients on. A door trusts the router, so they are as good as the router's.
pub(crate) fn strip(headers: &mut HeaderMap, is_trusted: bool) {
    if !is_trusted {
        trace::remove(headers);
    }
}

/// Begins the span of an attempt.
pub(crate) fn attempt(request: Option<&TraceContext>, door: &Door, (number, why): (usize, Why)) -> Span {
    let mut span = Span::child_of(request, "attempt", Kind::Client);
    if span.is_recorded() {
        describe(&mut span, door);
        span.set_text("server.address", &door.address);
        span.set("littoral.attempt", why.as_str());
        if number > 1 {
            span.set("http.request.resend_count", number - 1);
        }
        // Another attempt may be answered first.
        span.failed("cancelled");
    }
    span
}

/// Ends the span of an attempt.
pub(crate) fn end_attempt(mut span: Span, result: &Result<Response<Answer>, AttemptError>) {
    match result {
        Ok(response) => answered(&mut span, response, true),
        Err(AttemptError::Unreached(_)) => span.failed("unreached"),
        Err(AttemptError::Lost(_)) => span.failed("lost"),
    }
}

/// Records the door that answered a request.
pub(crate) fn routed(span: &mut Span, found: &RoutedAnswer) {
    if !span.is_recorded() {
        return;
    }
    let candidate = found.decision.ranked.get(found.answer.rank);
    if let Some(member) = candidate.and_then(|candidate| found.board.view.doors.get(candidate.door)) {
        describe(span, &member.door);
    }
    span.set_text("littoral.reason", Shown { reason: found.decision.reason, view: &found.board.view });
    span.set("littoral.attempts", found.started);
}

/// Ends the span of a request.
pub(crate) fn end(mut span: Span, response: &Response<Answer>) {
    answered(&mut span, response, false);
}

fn describe(span: &mut Span, door: &Door) {
    span.set_text("littoral.door", &door.name);
    span.set_text("littoral.region", door.region);
}

/// Records an answer. For a client every error is one, for a server only its own.
fn answered(span: &mut Span, response: &Response<Answer>, as_client: bool) {
    if !span.is_recorded() {
        return;
    }
    span.succeeded();
    let status = response.status();
    span.set("http.response.status_code", status.as_u16());
    if let Some(code) = response.headers().get(ERROR).and_then(|code| code.to_str().ok()) {
        span.set_text("littoral.error", code);
    }
    if status.is_server_error() || as_client && status.is_client_error() {
        span.failed(status.as_str().to_owned());
    }
}
