//! Errors as answers: `application/problem+json` of RFC 9457, and the shape that Feast's SDK raises again.

use crate::headers;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::{Deserialize, Serialize};
use std::{error::Error, fmt};

/// The media type of a [`Problem`].
pub const MEDIA_TYPE: &str = "application/problem+json";

/// The body of an error answer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Problem {
    /// The error code, a stable snake_case word ([`crate::code`]).
    pub code: String,
    /// What was wrong, where, and what to do.
    pub detail: String,
    /// The index of the invalid row among the rows of its write, if one row is invalid.
    pub row: Option<u64>,
    /// The index of the invalid deletion among the deletions of its write, if one deletion is invalid.
    pub delete: Option<u32>,
    /// The index of the write that has the invalid row or deletion, if the request has several writes.
    pub write: Option<u32>,
    /// The HTTP status.
    pub status: u16,
    /// The status in words.
    pub title: String,
}

/// An error, as RFC 9457 describes it.
#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "Problem"))]
struct Body<'a> {
    /// The error code: a stable word by which programs distinguish errors.
    code: &'a str,
    /// What was wrong, where, and what to do.
    detail: &'a str,
    /// The index of the invalid row among the rows of its write, if one row is invalid.
    #[serde(skip_serializing_if = "Option::is_none")]
    row: Option<u64>,
    /// The index of the invalid deletion among the deletions of its write, if one deletion is invalid.
    #[serde(skip_serializing_if = "Option::is_none")]
    delete: Option<u32>,
    /// The index of the write that has the invalid row or deletion, if the request has several writes.
    #[serde(skip_serializing_if = "Option::is_none")]
    write: Option<u32>,
    /// The HTTP status.
    status: u16,
    /// The HTTP status in words.
    title: &'a str,
    /// The code as a URN.
    r#type: String,
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for Problem {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        <Body<'_> as schemars::JsonSchema>::schema_name()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        <Body<'_> as schemars::JsonSchema>::json_schema(generator)
    }
}

impl Problem {
    /// Creates the answer body of an error.
    #[must_use]
    pub fn new(status: StatusCode, code: &str, detail: &str) -> Self {
        Self {
            code: code.to_owned(),
            detail: detail.to_owned(),
            status: status.as_u16(),
            title: status.canonical_reason().unwrap_or("Error").to_owned(),
            ..Self::default()
        }
    }

    /// Returns the JSON.
    #[must_use]
    pub fn to_json(&self) -> String {
        let Self { code, detail, row, delete, write, status, title } = self;
        let r#type = format!("urn:littoral:problem:{code}");
        // A structure of texts and numbers always serializes.
        let (row, delete, write) = (*row, *delete, *write);
        serde_json::to_string(&Body { code, detail, row, delete, write, status: *status, title, r#type })
            .unwrap_or_default()
    }
}

impl Error for Problem {}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = if self.detail.is_empty() { &self.title } else { &self.detail };
        match (words.is_empty(), self.code.is_empty()) {
            (true, true) => write!(f, "the node answered with status {}", self.status),
            (true, false) => write!(f, "{} (status {})", self.code, self.status),
            (false, true) => write!(f, "{words} (status {})", self.status),
            (false, false) => write!(f, "{words} ({}, status {})", self.code, self.status),
        }
    }
}

/// Returns the body of an error at Feast's doors: a JSON text that holds the JSON of a class of `feast.errors`.
#[must_use]
pub fn feast_error(class: &str, message: &str) -> String {
    let inner = serde_json::json!({ "module": "feast.errors", "class": class, "message": message });
    serde_json::Value::String(inner.to_string()).to_string()
}

/// Sets the headers of an error answer.
pub fn set_headers(headers: &mut HeaderMap, status: StatusCode, code: &'static str) {
    headers.insert(headers::ERROR, HeaderValue::from_static(code));
    if matches!(status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS) {
        headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    if matches!(status, StatusCode::PAYLOAD_TOO_LARGE | StatusCode::REQUEST_TIMEOUT) {
        // The rest of the body is on its way and will not be read.
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
}
