//! What the router itself answers when it cannot pass a request on, in each door's words.

use crate::gateway::{answer::Answer, headers::ERROR};
use http::{HeaderValue, Response, StatusCode, header};
use serde_json::json;

/// Why a request was not answered by a door.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    pub(crate) status: StatusCode,
    /// A stable word for programs.
    pub(crate) code: &'static str,
    /// What was wrong, where, and what to do.
    pub(crate) message: String,
}

impl Failure {
    pub(crate) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into() }
    }

    pub(crate) fn bad_request(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message)
    }

    pub(crate) fn overloaded() -> Self {
        let message = "the router has too many requests under way; retry in a moment";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "overloaded", message)
    }

    pub(crate) fn body_too_large(max: usize) -> Self {
        let message = format!("the body is larger than {max} bytes; send it in parts");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", message)
    }

    pub(crate) fn body_broken(reason: &str) -> Self {
        Self::bad_request("body_broken", format!("the body could not be read: {reason}"))
    }

    pub(crate) fn timeout(after_ms: u128) -> Self {
        let message = format!("no door answered within {after_ms} ms; retry, or allow more in littoral-timeout-ms");
        Self::new(StatusCode::GATEWAY_TIMEOUT, "router_timeout", message)
    }

    /// Nobody reads this but a client that has only closed its sending side.
    pub(crate) fn client_left() -> Self {
        let message = "the client closed its side of the connection before its read was answered; keep it open";
        Self::new(StatusCode::REQUEST_TIMEOUT, "client_left", message)
    }

    pub(crate) fn nothing_left(what: &str) -> Self {
        let message = format!("{what} is left to send this to; retry in a moment");
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "nothing_left", message)
    }

    /// A door was asked and did not answer. Whether a write was taken is then not known.
    pub(crate) fn lost(reason: &str, maybe_taken: bool) -> Self {
        if maybe_taken {
            let message = format!(
                "the connection was lost before the answer, and the write may have been taken ({reason}); \
                 send it again with an idempotency-key, which makes that safe"
            );
            return Self::new(StatusCode::BAD_GATEWAY, "door_lost", message);
        }
        let message = format!("no door could be reached ({reason}); retry in a moment");
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "doors_lost", message)
    }

    pub(crate) fn answer(&self, feast: bool) -> Response<Answer> {
        let (media_type, body) = if feast { self.as_feast() } else { self.as_problem() };
        let mut response = Response::new(Answer::whole(body));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
        headers.insert(ERROR, HeaderValue::from_static(self.code));
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        if self.status == StatusCode::PAYLOAD_TOO_LARGE {
            // The rest of the body is still on its way and nobody will read it.
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }

    /// As RFC 9457 has it.
    fn as_problem(&self) -> (&'static str, String) {
        let body = json!({
            "type": format!("urn:littoral:problem:{}", self.code),
            "title": self.status.canonical_reason().unwrap_or("Error"),
            "status": self.status.as_u16(),
            "detail": self.message,
            "code": self.code,
        });
        ("application/problem+json", body.to_string())
    }

    /// As Feast's feature server says it, for its SDK to raise again.
    fn as_feast(&self) -> (&'static str, String) {
        let inner = json!({ "module": "feast.errors", "class": "FeastError", "message": self.message });
        ("application/json", serde_json::Value::String(inner.to_string()).to_string())
    }
}
