//! Answers of the doors.

use bytes::Bytes;
use http::{HeaderValue, Response, header};
use littoral_http::Whole;

/// A complete answer.
pub(crate) type Answer = Response<Whole>;

/// Creates an answer of this media type.
pub(crate) fn typed(media_type: &'static str, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Whole::small(body));
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    answer
}

/// Creates an answer from JSON text.
pub(crate) fn json(body: impl Into<Bytes>) -> Answer {
    typed("application/json", body)
}

/// Creates an answer without a body.
pub(crate) fn empty() -> Answer {
    Response::new(Whole::small(Bytes::new()))
}
