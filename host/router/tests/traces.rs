//! The trace of a request through a router.

mod fixture;

use fixture::{Deed, Edge, Fixture};
use littoral_router::config::Config;
use littoral_runtime::trace::{self, Kind, Record, Spans, TraceContext, Value};
use std::time::Duration;
use tokio::{sync::MutexGuard, time::timeout};

const SAMPLED: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// The spans of this process, for one test at a time. None are recorded unless a client decides so.
static SPANS: tokio::sync::Mutex<Option<Spans>> = tokio::sync::Mutex::const_new(None);

async fn spans() -> MutexGuard<'static, Option<Spans>> {
    let mut spans = SPANS.lock().await;
    if spans.is_none() {
        *spans = trace::install(0.0);
    }
    spans
}

/// Returns the spans of one request: of the attempts, and of the request.
async fn of_request(spans: &mut Option<Spans>) -> (Vec<Record>, Record) {
    let mut attempts = Vec::new();
    loop {
        let next = timeout(Duration::from_secs(60), spans.as_mut().unwrap().recv()).await;
        let span = next.expect("a span ends").unwrap();
        if span.kind == Kind::Server {
            return (attempts, span);
        }
        attempts.push(span);
    }
}

async fn start(edges: &[Edge], trusted: &[&str]) -> Fixture {
    let networks = trusted.iter().map(|network| network.parse().unwrap()).collect();
    Fixture::start_on("0.0.0.0", edges, |config: &mut Config| config.trust.addresses = networks).await
}

fn attribute<'a>(span: &'a Record, key: &str) -> Option<&'a Value> {
    span.attributes.iter().find(|(name, _)| *name == key).map(|(_, value)| value)
}

fn text(value: &'static str) -> Option<Value> {
    Some(Value::from(value))
}

/// Returns the context that a door received.
fn received(edge: &Edge) -> TraceContext {
    edge.headers.lock()["traceparent"].to_str().unwrap().parse().unwrap()
}

#[tokio::test]
async fn every_attempt_is_a_span_of_its_own_and_the_parent_of_what_its_door_does() {
    let mut spans = spans().await;
    let edges = [Edge::start("west").await, Edge::start("east").await];
    let fixture = start(&edges, &["127.0.0.0/8"]).await;
    edges[0].does(Deed::Answer(500));
    let headers = [("traceparent", SAMPLED), ("tracestate", "a=1"), ("littoral-place", "0,1")];
    assert_eq!(fixture.send("POST", "/get-online-features", &headers, "{}").await.status, 200);
    let (attempts, request) = of_request(&mut spans).await;
    let client: TraceContext = SAMPLED.parse().unwrap();
    assert_eq!((request.trace, request.parent), (client.trace, Some(client.span)));
    assert_eq!(&*request.name, "POST /get-online-features");
    assert_eq!(attribute(&request, "http.response.status_code"), Some(&Value::Int(200)));
    assert_eq!(attribute(&request, "littoral.door").cloned(), text("east-1"));
    assert_eq!(request.error, None);
    let [first, second] = &attempts[..] else { panic!("{attempts:?}") };
    for (attempt, edge, why) in [(first, &edges[0], "first"), (second, &edges[1], "retry")] {
        assert_eq!((attempt.trace, attempt.parent), (client.trace, Some(request.span)));
        assert_eq!(attribute(attempt, "littoral.attempt").cloned(), text(why));
        let context = received(edge);
        assert_eq!((context.trace, context.span, context.sampled), (client.trace, attempt.span, true));
        assert_eq!(edge.headers.lock()["tracestate"], "a=1");
    }
    assert_eq!((first.error.as_deref(), second.error.as_deref()), (Some("500"), None));
    assert_eq!(attribute(second, "http.request.resend_count"), Some(&Value::Int(1)));
}

#[tokio::test]
async fn a_stranger_neither_decides_what_is_recorded_nor_reaches_a_door_with_its_trace() {
    let mut spans = spans().await;
    let edges = [Edge::start("west").await];
    let fixture = start(&edges, &[]).await;
    for headers in [&[("traceparent", SAMPLED), ("tracestate", "a=1")][..], &[], &[("traceparent", "garbage")]] {
        assert_eq!(fixture.send("POST", "/get-online-features", headers, "{}").await.status, 200);
        let context = received(&edges[0]);
        // The next node does not decide again.
        assert!(!context.sampled && context.trace != SAMPLED.parse::<TraceContext>().unwrap().trace, "{context}");
        assert!(!edges[0].headers.lock().contains_key("tracestate"));
    }
    assert!(spans.as_mut().unwrap().try_recv().is_err(), "nothing was recorded");
}

#[tokio::test]
async fn an_attempt_that_is_not_awaited_any_longer_is_recorded_as_cancelled() {
    let mut spans = spans().await;
    let edges = [Edge::start("west").await];
    edges[0].does(Deed::Slow(Duration::from_secs(3_600)));
    let change = |config: &mut Config| config.gateway.timeout_ms = 50;
    let fixture = Fixture::start(&edges, change).await;
    let answer = fixture.send("POST", "/get-online-features", &[("traceparent", SAMPLED)], "{}").await;
    assert_eq!(answer.status, 504);
    let (attempts, request) = of_request(&mut spans).await;
    let errors: Vec<_> = attempts.iter().map(|attempt| attempt.error.as_deref()).collect();
    assert!(!errors.is_empty() && errors.iter().all(|error| *error == Some("cancelled")), "{errors:?}");
    assert_eq!(request.error.as_deref(), Some("504"));
    assert_eq!(attribute(&request, "littoral.error").cloned(), text("router_timeout"));
}
