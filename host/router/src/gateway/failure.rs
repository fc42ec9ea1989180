//! The router's own answers to requests that it cannot forward, in the form of each door.

use crate::gateway::answer::Answer;
use http::{HeaderName, HeaderValue, Response, StatusCode, header};
use littoral_api::{
    code,
    problem::{self, Problem},
};
use littoral_http::{Exceeded, body};

/// Why no door answered a request.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    pub(crate) status: StatusCode,
    /// The error code.
    pub(crate) code: &'static str,
    /// What was wrong, where, and what to do.
    pub(crate) message: String,
}

impl From<body::Error> for Failure {
    fn from(error: body::Error) -> Self {
        match error {
            body::Error::TooLarge(_) => {
                Self::new(StatusCode::PAYLOAD_TOO_LARGE, code::BODY_TOO_LARGE, error.to_string())
            }
            body::Error::Broken(_) => Self::bad_request(code::BODY_BROKEN, error.to_string()),
            body::Error::Full(exceeded) => exceeded.into(),
        }
    }
}

impl From<Exceeded> for Failure {
    fn from(exceeded: Exceeded) -> Self {
        match exceeded {
            Exceeded::Bound => Self::overloaded(),
            Exceeded::Client => Self::over_share(),
        }
    }
}

impl Failure {
    pub(crate) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        debug_assert!(code::accompanies(code, status.as_u16()), "the table of codes lists {code} without {status}");
        Self { status, code, message: message.into() }
    }

    pub(crate) fn bad_request(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message)
    }

    pub(crate) fn overloaded() -> Self {
        let message = "the router is at its bound of running requests; retry shortly";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, code::OVERLOADED, message)
    }

    /// The client's own load, not that of the router, is the reason.
    pub(crate) fn over_share() -> Self {
        let message = "this client already uses its share of the router's requests or memory; wait for answers \
                       before you send more, or retry in a moment";
        Self::new(StatusCode::TOO_MANY_REQUESTS, code::CLIENT_OVER_SHARE, message)
    }

    pub(crate) fn untrusted(name: HeaderName) -> Self {
        let message = format!(
            "the header {name} is not accepted from this client; leave it out, or add the client to router.trust.addresses"
        );
        Self::new(StatusCode::FORBIDDEN, code::HEADER_NOT_TRUSTED, message)
    }

    /// Creates the error of a request for administration at the door of a router that has a listener for it.
    pub(crate) fn elsewhere() -> Self {
        let message = "metrics and status are served by the listener 'admin_listen' only";
        Self::new(StatusCode::FORBIDDEN, code::FORBIDDEN, message)
    }

    /// Creates the error of a request to forward at the listener for administration, which forwards nothing.
    pub(crate) fn not_forwarded() -> Self {
        let message = "this listener is for administration; send other requests to the router's door";
        Self::new(StatusCode::NOT_FOUND, code::UNKNOWN_PATH, message)
    }

    pub(crate) fn read_only() -> Self {
        let message =
            "this router only forwards reads (router.gateway.read_only); send changes to another router or to a door";
        Self::new(StatusCode::FORBIDDEN, code::READ_ONLY, message)
    }

    pub(crate) fn internal() -> Self {
        let message = "the request failed because of a fault in the router, which its log describes";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, code::INTERNAL, message)
    }

    pub(crate) fn timeout(after_ms: u128) -> Self {
        let message = format!("no door answered within {after_ms} ms; retry, or allow more in littoral-timeout-ms");
        Self::new(StatusCode::GATEWAY_TIMEOUT, code::ROUTER_TIMEOUT, message)
    }

    /// Creates the error of a client that has left. Only a client that has closed just its sending side receives it.
    pub(crate) fn client_left() -> Self {
        let message = "the client closed its side of the connection before its read was answered; keep it open";
        Self::new(StatusCode::REQUEST_TIMEOUT, code::CLIENT_LEFT, message)
    }

    pub(crate) fn nothing_left(what: &str) -> Self {
        let message = format!("{what} is left to send this to; retry in a moment");
        Self::new(StatusCode::SERVICE_UNAVAILABLE, code::NOTHING_LEFT, message)
    }

    /// Creates the error of a request that no door answered. `maybe_taken`: a door received it, and may have accepted
    /// the write.
    pub(crate) fn lost(reason: &str, maybe_taken: bool) -> Self {
        if maybe_taken {
            let message = format!(
                "the connection was lost before the answer, and the door may have accepted the write ({reason}); \
                 send it again with an idempotency-key, which makes that safe"
            );
            return Self::new(StatusCode::BAD_GATEWAY, code::DOOR_LOST, message);
        }
        let message = format!("no door could be reached ({reason}); retry in a moment");
        Self::new(StatusCode::SERVICE_UNAVAILABLE, code::DOORS_LOST, message)
    }

    pub(crate) fn answer(&self, feast: bool) -> Response<Answer> {
        let (media_type, body) = if feast {
            ("application/json", problem::feast_error("FeastError", &self.message))
        } else {
            (problem::MEDIA_TYPE, Problem::new(self.status, self.code, &self.message).to_json())
        };
        let mut response = Response::new(Answer::whole(body));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
        problem::set_headers(headers, self.status, self.code);
        response
    }
}
