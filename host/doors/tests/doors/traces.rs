//! The spans of requests at a door.

use crate::{
    node::MemoryNode,
    stand::{Answer, Door},
};
use littoral_auth::Trust;
use littoral_doors::Guard;
use littoral_runtime::trace::{self, Kind, Record, Spans, TraceContext, Value};
use serde_json::json;
use std::time::Duration;
use tokio::time::timeout;

const SAMPLED: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

async fn next(spans: &mut Spans) -> Record {
    timeout(Duration::from_secs(60), spans.recv()).await.expect("a span ends").unwrap()
}

fn attribute<'a>(span: &'a Record, key: &str) -> Option<&'a Value> {
    span.attributes.iter().find(|(name, _)| *name == key).map(|(_, value)| value)
}

async fn read(door: &Door, headers: &[(&str, &str)]) -> Answer {
    let body = json!({ "features": ["driver_stats:rating"], "entities": { "driver_id": [1] } });
    door.send("POST", "/get-online-features", headers, body.to_string()).await
}

/// Opens a door. It closes when it or the client of its administration is dropped.
async fn open(trust: Trust) -> (Door, Door) {
    Door::open_guarded(MemoryNode::default(), Guard { authenticator: None, trust, is_open: true }).await
}

/// One test, because the recorder belongs to the process.
#[tokio::test]
async fn a_trusted_client_decides_whether_its_request_is_recorded_and_a_stranger_does_not() {
    let mut spans = trace::install(0.0).unwrap();
    let client: TraceContext = SAMPLED.parse().unwrap();
    let ((trusting, _admin), (public, _public_admin)) = (open(Trust::everyone()).await, open(Trust::default()).await);

    let unsampled = SAMPLED.replace("-01", "-00");
    for (door, headers) in [
        (&trusting, &[][..]),
        (&trusting, &[("traceparent", &*unsampled)]),
        (&trusting, &[("traceparent", "00-zz")]),
        (&trusting, &[("traceparent", SAMPLED), ("traceparent", SAMPLED)]),
        (&public, &[("traceparent", SAMPLED)]),
    ] {
        read(door, headers).await;
    }
    // Probes are never recorded.
    trusting.send("GET", "/health", &[("traceparent", SAMPLED)], "").await;
    assert!(spans.try_recv().is_err(), "nothing was recorded");

    let answer = read(&trusting, &[("traceparent", SAMPLED), ("tracestate", "a=1")]).await;
    let (inner, request) = (next(&mut spans).await, next(&mut spans).await);
    assert_eq!((&*request.name, request.kind), ("POST /get-online-features", Kind::Server));
    assert_eq!((request.trace, request.parent), (client.trace, Some(client.span)));
    assert_eq!(request.state.as_ref().unwrap().as_str(), "a=1");
    assert_eq!((&*inner.name, inner.trace, inner.parent), ("read", client.trace, Some(request.span)));
    assert!(request.began_ns <= inner.began_ns && request.took >= inner.took);
    for (key, value) in [
        ("http.request.method", "POST".into()),
        ("http.route", "/get-online-features".into()),
        ("littoral.project", "default".into()),
        ("http.response.status_code", answer.status.into()),
    ] {
        assert_eq!(attribute(&request, key), Some(&value), "{key}");
    }

    // A name in a path is not part of the span's name, and an error of the client is none of the door.
    let missing = trusting.send("GET", "/v1/views/nope", &[("traceparent", SAMPLED)], "").await;
    let request = next(&mut spans).await;
    assert_eq!((&*request.name, missing.status, &request.error), ("GET /v1/views/{name}", 404, &None));
    assert_eq!(attribute(&request, "littoral.error").map(ToString::to_string), Some(missing.code()));
}
