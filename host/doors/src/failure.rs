//! What can be wrong with a request, and how each door says so: the one mapping from errors to statuses.

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, StatusCode, header};
use http_body_util::Full;
use littoral_model::{ports::ModuleError, read::ReadError, write::WriteError};
use serde_json::json;

/// Names what was wrong, on both doors: routers tell a node's own answer from that of something before it.
const ERROR: HeaderName = HeaderName::from_static("littoral-error");

/// The word for a module that is not ready on this host.
pub(crate) const MODULE_NOT_READY: &str = "module_not_ready";

/// The word for a request whose own demand finds too many others waiting.
const TOO_MANY_WAITING: &str = "too_many_waiting";

/// An answer, whole.
pub(crate) type Answer = Response<Full<Bytes>>;

/// Why a request failed.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    /// The status on `/v1`.
    pub(crate) status: StatusCode,
    /// A stable word for programs.
    pub(crate) code: &'static str,
    /// What was wrong, where, and what to do.
    pub(crate) message: String,
    /// Where the row that is at fault stands in the write, if one is.
    row: Option<u32>,
    /// How Feast's door says it.
    feast: Feast,
}

/// Feast's shapes of errors.
#[derive(Clone, Debug)]
enum Feast {
    /// A class of `feast.errors`, which the SDK raises again with our message.
    Class(&'static str),
    /// What its web framework says of a body: (type, location, message).
    Body(&'static str, Vec<String>, &'static str),
}

impl Failure {
    pub(crate) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), row: None, feast: Feast::Class("FeastError") }
    }

    pub(crate) fn bad_request(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message)
    }

    pub(crate) fn invalid(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, code, message)
    }

    pub(crate) fn not_found(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, code, message)
    }

    /// The class that Feast's SDK raises.
    #[must_use]
    pub(crate) fn class(mut self, class: &'static str) -> Self {
        self.feast = Feast::Class(class);
        self
    }

    /// A body that is not what the endpoint takes, in the words of Feast's web framework.
    pub(crate) fn body(kind: &'static str, at: Vec<String>, message: &'static str, detail: impl Into<String>) -> Self {
        let mut failure = Self::invalid("invalid_body", detail);
        failure.feast = Feast::Body(kind, at, message);
        failure
    }

    pub(crate) fn body_too_large(max: usize) -> Self {
        let message = format!("the body is larger than {max} bytes; send it in parts");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", message)
    }

    /// A component is one body: there are no parts to send.
    pub(crate) fn component_too_large(max: usize) -> Self {
        let message = format!(
            "the component is larger than {max} bytes (module_bytes_max); build it with optimisation and without debug information"
        );
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "component_too_large", message)
    }

    pub(crate) fn body_timeout(after_ms: u64) -> Self {
        let message = format!("the body did not arrive within {after_ms} ms");
        Self::new(StatusCode::REQUEST_TIMEOUT, "body_timeout", message)
    }

    pub(crate) fn body_broken(reason: &str) -> Self {
        Self::bad_request("body_broken", format!("the body could not be read: {reason}"))
    }

    pub(crate) fn overloaded() -> Self {
        let message = "too many requests are running here; retry in a moment";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "overloaded", message)
    }

    /// The wait was the request's own demand: no sign that this node is not well.
    pub(crate) fn too_many_waiting(max: usize) -> Self {
        let message = format!(
            "{max} requests already wait here for freshness or durability (waiting_requests_max); retry in a moment, or demand less"
        );
        Self::new(StatusCode::SERVICE_UNAVAILABLE, TOO_MANY_WAITING, message)
    }

    /// Nobody reads this but a client that has only closed its sending side.
    pub(crate) fn client_left() -> Self {
        let message = "the client closed its side of the connection while its read waited for the freshness that it \
                       demands, which ends the wait; keep the connection open, or demand less";
        Self::new(StatusCode::PRECONDITION_FAILED, "client_left", message)
    }

    pub(crate) fn internal() -> Self {
        let message = "the request failed by a fault of this node, which its log describes; the node goes on";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", message)
    }

    fn answer(&self, status: StatusCode, media_type: &'static str, body: String) -> Answer {
        let mut response = Response::new(Full::new(Bytes::from(body)));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
        headers.insert(ERROR, HeaderValue::from_static(self.code));
        if matches!(status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS) {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        if matches!(status, StatusCode::PAYLOAD_TOO_LARGE | StatusCode::REQUEST_TIMEOUT) {
            // The rest of the body is still on its way and nobody will read it.
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }

    /// As RFC 9457 has it.
    pub(crate) fn as_problem(&self) -> Answer {
        let mut body = json!({
            "type": format!("urn:littoral:problem:{}", self.code),
            "title": self.status.canonical_reason().unwrap_or("Error"),
            "status": self.status.as_u16(),
            "detail": self.message,
            "code": self.code,
        });
        if let (Some(row), Some(members)) = (self.row, body.as_object_mut()) {
            members.insert("row".to_owned(), json!(row));
        }
        self.answer(self.status, "application/problem+json", body.to_string())
    }

    /// As Feast's feature server says it. Its SDK repeats what answers 500 four times over three seconds, so that a
    /// module's fault, which would only come again, is a 422 here.
    pub(crate) fn as_feast(&self) -> Answer {
        let body = match &self.feast {
            Feast::Class(class) => {
                let inner = json!({"module": "feast.errors", "class": class, "message": self.message});
                serde_json::Value::String(inner.to_string()).to_string()
            }
            Feast::Body(kind, at, message) => {
                let at: Vec<&str> = std::iter::once("body").chain(at.iter().map(String::as_str)).collect();
                json!({"detail": [{"type": kind, "loc": at, "msg": message, "ctx": {"error": self.message}}]})
                    .to_string()
            }
        };
        let status = if self.code.starts_with("module_") && self.status == StatusCode::INTERNAL_SERVER_ERROR {
            StatusCode::UNPROCESSABLE_ENTITY
        } else {
            self.status
        };
        self.answer(status, "application/json", body)
    }
}

impl From<ReadError> for Failure {
    fn from(error: ReadError) -> Self {
        let (status, code) = match &error {
            // Not 503: asking again at once would only wait again.
            ReadError::NotFreshEnough { .. } => (StatusCode::PRECONDITION_FAILED, "not_fresh_enough"),
            ReadError::LeaderUnavailable(_) => (StatusCode::SERVICE_UNAVAILABLE, "leader_unavailable"),
            ReadError::NotReady | ReadError::NotAllHere(_) => (StatusCode::SERVICE_UNAVAILABLE, "not_ready"),
            ReadError::Overloaded(_) => (StatusCode::SERVICE_UNAVAILABLE, "overloaded"),
            // Nor here: no other door has it either.
            ReadError::TokenLost { .. } => (StatusCode::PRECONDITION_FAILED, "token_lost"),
            ReadError::TooManyWaiting(_) => (StatusCode::SERVICE_UNAVAILABLE, TOO_MANY_WAITING),
            ReadError::TooLarge(_) => (StatusCode::PAYLOAD_TOO_LARGE, "read_too_large"),
            ReadError::QuorumNotReached { .. } => (StatusCode::SERVICE_UNAVAILABLE, "quorum_not_reached"),
        };
        Self::new(status, code, error.to_string())
    }
}

impl From<WriteError> for Failure {
    fn from(error: WriteError) -> Self {
        let (message, row) = (error.to_string(), error.row());
        let (status, code) = match error {
            WriteError::Invalid(_) => (StatusCode::UNPROCESSABLE_ENTITY, "invalid"),
            WriteError::UnknownView(_) => {
                return Self::not_found("unknown_view", message).class("FeatureViewNotFoundException");
            }
            WriteError::IdempotencyMismatch(_) => (StatusCode::CONFLICT, "idempotency_mismatch"),
            WriteError::InvalidRow { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "invalid"),
            WriteError::FutureEvent { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "future_event"),
            WriteError::NotDurable(_) => (StatusCode::SERVICE_UNAVAILABLE, "not_durable"),
            WriteError::Overloaded => (StatusCode::SERVICE_UNAVAILABLE, "overloaded"),
            WriteError::LeaderUnavailable(_) => (StatusCode::SERVICE_UNAVAILABLE, "leader_unavailable"),
            WriteError::ConcernNotReached { .. } => (StatusCode::GATEWAY_TIMEOUT, "concern_not_reached"),
            WriteError::NotLeader(_) => (StatusCode::SERVICE_UNAVAILABLE, "not_leader"),
        };
        Self { row, ..Self::new(status, code, message) }
    }
}

impl From<ModuleError> for Failure {
    fn from(error: ModuleError) -> Self {
        let message = error.to_string();
        let (status, code) = match error {
            ModuleError::Refused(_) => (StatusCode::UNPROCESSABLE_ENTITY, "module_refused"),
            ModuleError::Trap { .. } => (StatusCode::INTERNAL_SERVER_ERROR, "module_trap"),
            ModuleError::Timeout { .. } => (StatusCode::INTERNAL_SERVER_ERROR, "module_timeout"),
            ModuleError::OutOfMemory { .. } => (StatusCode::INTERNAL_SERVER_ERROR, "module_out_of_memory"),
            ModuleError::WrongShape { .. } => (StatusCode::INTERNAL_SERVER_ERROR, "module_wrong_shape"),
            ModuleError::Failed { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "module_failed"),
            ModuleError::Busy { .. } => (StatusCode::SERVICE_UNAVAILABLE, "module_busy"),
            ModuleError::NotReady { .. } => (StatusCode::SERVICE_UNAVAILABLE, MODULE_NOT_READY),
            // As for a row that is read without a module.
            ModuleError::Unavailable { .. } => (StatusCode::SERVICE_UNAVAILABLE, "leader_unavailable"),
            ModuleError::Lookup { source, .. } => return Self { message, ..Self::from(source) },
        };
        Self::new(status, code, message)
    }
}
