//! Errors of requests: the one mapping to statuses, codes, and the form that each door answers in.

use crate::{
    access,
    answer::{Answer, typed},
    receipt::Layout,
};
use http::{HeaderValue, StatusCode, header};
use littoral_api::{
    code,
    problem::{self, Problem},
    receipt::RowPlace,
};
use littoral_http::{Exceeded, body};
use littoral_model::{ports::ModuleError, project::ProjectName, read::ReadError, write::WriteError};
use littoral_read::{self as read, Kind};
use serde_json::json;
use std::time::Duration;

/// Why a request failed.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    /// The status on `/v1`.
    pub(crate) status: StatusCode,
    /// The error code.
    pub(crate) code: &'static str,
    /// What was wrong, where, and what to do.
    pub(crate) message: String,
    /// The place of the invalid row in the request, if one row is invalid; the message then begins with its view.
    row: Option<Box<RowPlace>>,
    /// When a retry may succeed, if that is not in a second.
    retry_after_s: Option<u16>,
    /// The form at Feast's doors.
    feast: Feast,
}

/// The forms of errors at Feast's doors.
#[derive(Clone, Debug)]
enum Feast {
    /// A class of `feast.errors`, which the SDK raises with our message.
    Class(&'static str),
    /// An error of its web framework about a body: (type, location, message).
    Body(&'static str, Vec<String>, &'static str),
    /// An error of its web framework about the whole request.
    Detail(&'static str),
}

impl Failure {
    pub(crate) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        debug_assert!(code::accompanies(code, status.as_u16()), "the table of codes lists {code} without {status}");
        let feast = Feast::Class("FeastError");
        Self { status, code, message: message.into(), row: None, retry_after_s: None, feast }
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

    /// Sets the time after which a retry may succeed, rounded up to seconds.
    #[must_use]
    pub(crate) fn retry_after(mut self, wait: Duration) -> Self {
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        self.retry_after_s = Some(u16::try_from(seconds).unwrap_or(u16::MAX));
        self
    }

    /// Names definitions as requests of this project do, and names the project where Feast does.
    #[must_use]
    pub(crate) fn within(mut self, project: &ProjectName) -> Self {
        if !project.is_default() {
            self.message = project.plain(&self.message).into_owned();
            if self.message.ends_with(" does not exist") {
                self.message.push_str(&format!(" in project {project}"));
            }
        }
        self
    }

    /// Names the invalid row by its place in the request instead of its index in the write.
    #[must_use]
    pub(crate) fn placed(mut self, layout: &Layout) -> Self {
        let at = self.row.as_ref().and_then(|place| place.row).and_then(|at| u32::try_from(at).ok());
        self.row = at.map(|at| Box::new(layout.place(at)));
        self
    }

    /// Sets the class that Feast's SDK raises.
    #[must_use]
    pub(crate) fn class(mut self, class: &'static str) -> Self {
        self.feast = Feast::Class(class);
        self
    }

    /// Creates the error of an invalid body, in the form of Feast's web framework.
    pub(crate) fn body(kind: &'static str, at: Vec<String>, message: &'static str, detail: impl Into<String>) -> Self {
        let mut failure = Self::invalid(code::INVALID_BODY, detail);
        failure.feast = Feast::Body(kind, at, message);
        failure
    }

    /// Creates the error of a component that is too large: unlike another body, it cannot be sent in parts.
    pub(crate) fn component_too_large(max: usize) -> Self {
        let message = format!(
            "the component is larger than {max} bytes (module_bytes_max); build it with optimisation and without debug information"
        );
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, code::COMPONENT_TOO_LARGE, message)
    }

    /// Creates the error of an answer that would be larger than `bytes_max`. `remedy` is how to request less.
    pub(crate) fn answer_too_large(bytes_max: usize, remedy: &str) -> Self {
        let message = format!("the answer would be larger than {bytes_max} bytes (answer_bytes_max); {remedy}");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, code::ANSWER_TOO_LARGE, message)
    }

    pub(crate) fn body_timeout(after_ms: u128) -> Self {
        let message = format!("the body did not arrive within {after_ms} ms");
        Self::new(StatusCode::REQUEST_TIMEOUT, code::BODY_TIMEOUT, message)
    }

    pub(crate) fn overloaded() -> Self {
        let message = "too many requests are running here; retry in a moment";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, code::OVERLOADED, message)
    }

    /// Creates the error of a request that exceeds its client's share: the load of the client, not of the node, is the
    /// reason.
    pub(crate) fn over_share() -> Self {
        let message = "this client already uses its share of the requests or of the memory for bodies and answers; \
                       wait for answers before you send more, or retry in a moment";
        Self::new(StatusCode::TOO_MANY_REQUESTS, code::CLIENT_OVER_SHARE, message)
    }

    /// Creates the error of a request for which no slot to wait is free. It has a code of its own: the request's own
    /// demand causes the wait, so it is no sign of a problem of this node.
    pub(crate) fn too_many_waiting(max: usize) -> Self {
        let message = format!(
            "{max} requests already wait here for freshness or durability (waiting_requests_max); retry in a moment, or demand less"
        );
        Self::new(StatusCode::SERVICE_UNAVAILABLE, code::TOO_MANY_WAITING, message)
    }

    /// Creates the error of a client that has left. Only a client that has closed just its sending side receives it.
    pub(crate) fn client_left() -> Self {
        let message = "the client closed its side of the connection while its read waited for the freshness that it \
                       demands, which ends the wait; keep the connection open, or demand less";
        Self::new(StatusCode::PRECONDITION_FAILED, code::CLIENT_LEFT, message)
    }

    /// Creates the error of a rejected credential. Feast's server has one text for all of them.
    pub(crate) fn unauthenticated(status: StatusCode, code: &'static str, message: String) -> Self {
        Self { feast: Feast::Detail("Invalid or expired access token"), ..Self::new(status, code, message) }
    }

    /// Creates the error of a client that lacks a scope.
    pub(crate) fn forbidden(message: String) -> Self {
        Self::new(StatusCode::FORBIDDEN, code::FORBIDDEN, message).class("FeastPermissionError")
    }

    pub(crate) fn read_only() -> Self {
        let message = "this door only answers reads (door.read_only); send changes to another door";
        Self::new(StatusCode::FORBIDDEN, code::READ_ONLY, message).class("FeastPermissionError")
    }

    pub(crate) fn internal() -> Self {
        let message = "the request failed because of a fault in this node, which its log describes; other requests are not affected";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, code::INTERNAL, message)
    }

    fn answer(&self, status: StatusCode, media_type: &'static str, body: String) -> Answer {
        let mut response = typed(media_type, body);
        *response.status_mut() = status;
        problem::set_headers(response.headers_mut(), status, self.code);
        if status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, access::challenge(self.code));
        }
        if let Some(seconds) = self.retry_after_s {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }

    /// Returns the message with the place of the invalid row, if there is one.
    fn text(&self, place: Option<&RowPlace>) -> String {
        place.map_or_else(|| self.message.clone(), |place| format!("{place} of {}", self.message))
    }

    /// Returns the answer of the native API.
    pub(crate) fn as_problem(&self) -> Answer {
        let RowPlace { row, delete, write } = self.row.as_deref().cloned().unwrap_or_default();
        let text = self.text(self.row.as_deref());
        let index = |at: Option<u64>| at.and_then(|at| u32::try_from(at).ok());
        let (delete, write) = (index(delete), index(write));
        let body = Problem { row, delete, write, ..Problem::new(self.status, self.code, &text) };
        self.answer(self.status, problem::MEDIA_TYPE, body.to_json())
    }

    /// Returns the answer of Feast's feature server. Feast's SDK retries a 500 four times within three seconds, so the
    /// error of a module, which would only repeat, is a 422 here.
    pub(crate) fn as_feast(&self) -> Answer {
        // A frame is one list of rows for all views.
        let text = self.text(self.row.as_deref().map(|place| RowPlace { write: None, ..place.clone() }).as_ref());
        let body = match &self.feast {
            // Feast's own text has this beginning.
            Feast::Class(class @ "FeastPermissionError") => {
                problem::feast_error(class, &format!("Permission error:\n{text}"))
            }
            Feast::Class(class) => problem::feast_error(class, &text),
            Feast::Detail(detail) => json!({ "detail": detail }).to_string(),
            Feast::Body(kind, at, message) => {
                let at: Vec<&str> = std::iter::once("body").chain(at.iter().map(String::as_str)).collect();
                json!({"detail": [{"type": kind, "loc": at, "msg": message, "ctx": {"error": text}}]}).to_string()
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

impl From<Exceeded> for Failure {
    fn from(exceeded: Exceeded) -> Self {
        match exceeded {
            Exceeded::Bound => Self::overloaded(),
            Exceeded::Client => Self::over_share(),
        }
    }
}

impl From<body::Error> for Failure {
    fn from(error: body::Error) -> Self {
        match error {
            body::Error::TooLarge(_) => {
                Self::new(StatusCode::PAYLOAD_TOO_LARGE, code::BODY_TOO_LARGE, error.to_string())
            }
            body::Error::Broken(_) => Self::bad_request(code::BODY_BROKEN, error.to_string()),
            body::Error::Full(full) => full.into(),
        }
    }
}

impl From<read::Error> for Failure {
    fn from(error: read::Error) -> Self {
        let (kind, message) = match error {
            read::Error::Rows(error) => return error.into(),
            read::Error::Module(error) => return error.into(),
            read::Error::Request { kind, message } => (kind, message),
        };
        match kind {
            Kind::UnknownView => Self::not_found(code::UNKNOWN_VIEW, message).class("FeatureViewNotFoundException"),
            Kind::UnknownFeature => Self::bad_request(code::UNKNOWN_FEATURE, message),
            Kind::UnknownService => {
                Self::not_found(code::UNKNOWN_SERVICE, message).class("FeatureServiceNotFoundException")
            }
            Kind::InvalidFeatures => {
                let at = vec!["features".to_owned()];
                Self::body("list_type", at, "Input should be a valid list of strings", message)
            }
            Kind::NoFeatures => Self::bad_request(code::NO_FEATURES, message),
            Kind::TooManyFeatures => Self::bad_request(code::TOO_MANY_FEATURES, message),
            Kind::InvalidReference => Self::bad_request(code::INVALID_REFERENCE, message),
            Kind::UnsupportedVersion => Self::bad_request(code::UNSUPPORTED_VERSION, message),
            Kind::NameCollision => Self::bad_request(code::NAME_COLLISION, message).class("FeatureNameCollisionError"),
            Kind::MissingJoinKey => Self::bad_request(code::MISSING_JOIN_KEY, message),
            Kind::MissingParameter => {
                Self::not_found(code::MISSING_REQUEST_DATA, message).class("RequestDataNotFoundInEntityRowsException")
            }
            Kind::NoEntities => Self::bad_request(code::NO_ENTITIES, message),
            Kind::UnequalLengths => Self::bad_request(code::UNEQUAL_LENGTHS, message),
            Kind::InvalidValue => Self::invalid(code::INVALID_ENTITY, message),
            Kind::TooLarge => Self::new(StatusCode::PAYLOAD_TOO_LARGE, code::READ_TOO_LARGE, message),
        }
    }
}

impl From<ReadError> for Failure {
    fn from(error: ReadError) -> Self {
        let (status, code) = match &error {
            // Not 503, as an immediate retry would wait again.
            ReadError::NotFreshEnough { .. } => (StatusCode::PRECONDITION_FAILED, code::NOT_FRESH_ENOUGH),
            ReadError::LeaderUnavailable(_) | ReadError::RowsUnknown(_) => {
                (StatusCode::SERVICE_UNAVAILABLE, code::LEADER_UNAVAILABLE)
            }
            ReadError::NotReady | ReadError::NotAllHere(_) => (StatusCode::SERVICE_UNAVAILABLE, code::NOT_READY),
            ReadError::Overloaded(_) => (StatusCode::SERVICE_UNAVAILABLE, code::OVERLOADED),
            // Not 503, as no other door has it either.
            ReadError::TokenLost { .. } => (StatusCode::PRECONDITION_FAILED, code::TOKEN_LOST),
            ReadError::TooManyWaiting(_) => (StatusCode::SERVICE_UNAVAILABLE, code::TOO_MANY_WAITING),
            ReadError::TooLarge(_) => (StatusCode::PAYLOAD_TOO_LARGE, code::READ_TOO_LARGE),
            ReadError::QuorumNotReached { .. } => (StatusCode::SERVICE_UNAVAILABLE, code::QUORUM_NOT_REACHED),
            ReadError::OutsideRegions(_) => (StatusCode::MISDIRECTED_REQUEST, code::OUTSIDE_REGIONS),
        };
        Self::new(status, code, error.to_string())
    }
}

impl From<WriteError> for Failure {
    fn from(error: WriteError) -> Self {
        let (row, message) = match error.invalid_row() {
            Some((at, reason)) => (Some(Box::new(RowPlace { row: Some(at.into()), ..RowPlace::default() })), reason),
            None => (None, error.to_string()),
        };
        let (status, code) = match error {
            WriteError::Invalid(_) => (StatusCode::UNPROCESSABLE_ENTITY, code::INVALID),
            WriteError::UnknownView(_) => {
                return Self::not_found(code::UNKNOWN_VIEW, message).class("FeatureViewNotFoundException");
            }
            WriteError::IdempotencyMismatch(_) => (StatusCode::CONFLICT, code::IDEMPOTENCY_MISMATCH),
            WriteError::InvalidRow { .. } => (StatusCode::UNPROCESSABLE_ENTITY, code::INVALID),
            WriteError::FutureEvent { .. } => (StatusCode::UNPROCESSABLE_ENTITY, code::FUTURE_EVENT),
            WriteError::NotDurable(_) => (StatusCode::SERVICE_UNAVAILABLE, code::NOT_DURABLE),
            WriteError::Overloaded => (StatusCode::SERVICE_UNAVAILABLE, code::OVERLOADED),
            WriteError::LeaderUnavailable(_) => (StatusCode::SERVICE_UNAVAILABLE, code::LEADER_UNAVAILABLE),
            WriteError::ConcernNotReached { .. } => (StatusCode::GATEWAY_TIMEOUT, code::CONCERN_NOT_REACHED),
            WriteError::Unauthenticated(_) => {
                return Self::unauthenticated(StatusCode::UNAUTHORIZED, code::CREDENTIAL_REJECTED, message);
            }
            WriteError::Forbidden(_) => return Self::forbidden(message),
            WriteError::NotLeader(_) => (StatusCode::SERVICE_UNAVAILABLE, code::NOT_LEADER),
            WriteError::OverQuota(_) => (StatusCode::INSUFFICIENT_STORAGE, code::QUOTA_FULL),
            WriteError::MemoryFull { .. } => (StatusCode::INSUFFICIENT_STORAGE, code::MEMORY_FULL),
            WriteError::OutsideRegions(_) => (StatusCode::MISDIRECTED_REQUEST, code::OUTSIDE_REGIONS),
        };
        Self { row, ..Self::new(status, code, message) }
    }
}

impl From<ModuleError> for Failure {
    fn from(error: ModuleError) -> Self {
        let message = error.to_string();
        let (status, code) = match error {
            ModuleError::Rejected(_) => (StatusCode::UNPROCESSABLE_ENTITY, code::MODULE_REFUSED),
            ModuleError::Trap { .. } => (StatusCode::INTERNAL_SERVER_ERROR, code::MODULE_TRAP),
            ModuleError::Timeout { .. } => (StatusCode::INTERNAL_SERVER_ERROR, code::MODULE_TIMEOUT),
            ModuleError::OutOfMemory { .. } => (StatusCode::INTERNAL_SERVER_ERROR, code::MODULE_OUT_OF_MEMORY),
            ModuleError::WrongShape { .. } => (StatusCode::INTERNAL_SERVER_ERROR, code::MODULE_WRONG_SHAPE),
            ModuleError::Failed { .. } => (StatusCode::UNPROCESSABLE_ENTITY, code::MODULE_FAILED),
            ModuleError::Busy { .. } => (StatusCode::SERVICE_UNAVAILABLE, code::MODULE_BUSY),
            ModuleError::NotReady { .. } => (StatusCode::SERVICE_UNAVAILABLE, code::MODULE_NOT_READY),
            // Like a row that is read without a module.
            ModuleError::Unavailable { .. } => (StatusCode::SERVICE_UNAVAILABLE, code::LEADER_UNAVAILABLE),
            ModuleError::Lookup { source, .. } => return Self { message, ..Self::from(source) },
        };
        Self::new(status, code, message)
    }
}
