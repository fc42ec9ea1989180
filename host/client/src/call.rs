//! One call: its request, and whether it may be sent twice.

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method};
use littoral_api::headers::IDEMPOTENCY_KEY;
use serde::Serialize;

use crate::Error;

/// The request of a call.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) method: Method,
    /// Path and query.
    pub(crate) path: String,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    pub(crate) body: Bytes,
    /// Whether the node may receive it twice.
    pub(crate) idempotent: bool,
}

impl Call {
    /// Creates a call without a body. GET and PUT may be sent twice. DELETE may not: the second one would be answered
    /// with an error, because there is nothing left to drop.
    pub(crate) fn new(method: Method, path: String) -> Self {
        let idempotent = matches!(method, Method::GET | Method::PUT);
        Self { method, path, headers: Vec::new(), body: Bytes::new(), idempotent }
    }

    pub(crate) fn get(path: impl Into<String>) -> Self {
        Self::new(Method::GET, path.into())
    }

    pub(crate) fn idempotent(mut self) -> Self {
        self.idempotent = true;
        self
    }

    pub(crate) fn json(self, body: &impl Serialize) -> Result<Self, Error> {
        let body = serde_json::to_vec(body).map_err(|error| Error::Request(error.to_string()))?;
        Ok(self.content("application/json", body.into()))
    }

    pub(crate) fn content(mut self, content_type: &'static str, body: Bytes) -> Self {
        self.headers.push((http::header::CONTENT_TYPE, HeaderValue::from_static(content_type)));
        self.body = body;
        self
    }

    pub(crate) fn header(mut self, name: HeaderName, value: &str) -> Result<Self, Error> {
        let value = HeaderValue::from_str(value)
            .map_err(|_| Error::Request(format!("header '{name}' cannot contain '{}'", value.escape_debug())))?;
        self.headers.push((name, value));
        Ok(self)
    }

    /// Sets the idempotency key, with which a write may be sent twice: the node applies it once and answers both alike.
    pub(crate) fn idempotency_key(self, key: Option<&str>) -> Result<Self, Error> {
        match key {
            Some(key) => Ok(self.header(IDEMPOTENCY_KEY, key)?.idempotent()),
            None => Ok(self),
        }
    }
}
