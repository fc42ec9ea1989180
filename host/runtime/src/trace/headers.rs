//! The headers of a trace context.

use http::{HeaderMap, HeaderName, HeaderValue};
use littoral_model::trace::TraceContext;
use std::io::Write as _;

/// The header of the trace and of the span on whose behalf a request is sent.
pub const PARENT: HeaderName = HeaderName::from_static("traceparent");

/// The header of what other tracing systems add.
pub const STATE: HeaderName = HeaderName::from_static("tracestate");

/// Returns the context that a request names. An invalid one is ignored, and so are several.
pub(super) fn read(headers: &HeaderMap) -> Option<TraceContext> {
    let mut parents = headers.get_all(PARENT).iter();
    let parent = parents.next().filter(|_| parents.next().is_none())?;
    let context: TraceContext = parent.to_str().ok()?.parse().ok()?;
    Some(TraceContext { state: state(headers), ..context })
}

/// Returns the state of all headers, as one list. An invalid one is not passed on.
fn state(headers: &HeaderMap) -> Option<littoral_model::trace::TraceState> {
    let mut values = headers.get_all(STATE).iter();
    let first = values.next()?.to_str().ok()?;
    let rest: Result<Vec<_>, _> = values.map(HeaderValue::to_str).collect();
    match rest.ok()?.as_slice() {
        [] => first.parse().ok(),
        rest => format!("{first},{}", rest.join(",")).parse().ok(),
    }
}

/// Removes the context of a request.
pub fn remove(headers: &mut HeaderMap) {
    headers.remove(PARENT);
    headers.remove(STATE);
}

/// Sets the context of a request, in place of any other.
pub fn insert(headers: &mut HeaderMap, context: &TraceContext) {
    // The length of a `traceparent`.
    let mut text = [0; 55];
    let written = write!(&mut text[..], "{context}").is_ok();
    match HeaderValue::from_bytes(&text) {
        Ok(value) if written => headers.insert(PARENT, value),
        _ => headers.remove(PARENT),
    };
    match context.state.as_ref().and_then(|state| HeaderValue::from_str(state.as_str()).ok()) {
        Some(state) => headers.insert(STATE, state),
        None => headers.remove(STATE),
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALID: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn headers(of: &[(HeaderName, &[u8])]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in of {
            headers.append(name, HeaderValue::from_bytes(value).unwrap());
        }
        headers
    }

    #[test]
    fn a_context_passes_through_headers_unchanged() {
        let read_back = read(&headers(&[(PARENT, VALID.as_bytes()), (STATE, b"a=1"), (STATE, b"b=2")])).unwrap();
        assert_eq!(read_back.state.as_ref().unwrap().as_str(), "a=1,b=2");
        let mut written = headers(&[(PARENT, b"old"), (STATE, b"old")]);
        insert(&mut written, &read_back);
        assert_eq!((&written[PARENT], &written[STATE]), (&VALID.parse().unwrap(), &"a=1,b=2".parse().unwrap()));
        insert(&mut written, &TraceContext { state: None, ..read_back });
        assert!(!written.contains_key(STATE), "a state belongs to its context");
        remove(&mut written);
        assert!(written.is_empty());
    }

    #[test]
    fn an_invalid_context_is_ignored_and_an_invalid_state_costs_only_itself() {
        for values in [&[][..], &[b"x".as_slice()], &[b"\xff"], &[VALID.as_bytes(), VALID.as_bytes()]] {
            let parents: Vec<_> = values.iter().map(|value| (PARENT, *value)).collect();
            assert_eq!(read(&headers(&parents)), None);
        }
        for state in [&b"not a state"[..], b"\xff", b""] {
            let found = read(&headers(&[(PARENT, VALID.as_bytes()), (STATE, state)])).unwrap();
            assert_eq!(found.state, None);
        }
    }
}
