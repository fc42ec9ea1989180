//! A call belongs to the trace of the work that makes it.

mod support;

use littoral_feed::{client, server::Config};
use littoral_model::{format::ProtocolVersion, freshness::Consistency};
use littoral_runtime::trace::{self, Kind, Record, Spans, TraceContext};
use std::time::Duration;
use support::*;
use tokio::time::timeout;

fn context(sampled: bool) -> TraceContext {
    let text = format!("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0{}", u8::from(sampled));
    text.parse().unwrap()
}

/// Returns the next spans, by kind: of the caller and of the called node.
async fn pair(spans: &mut Spans) -> (Record, Record) {
    let mut next = async || timeout(Duration::from_secs(60), spans.recv()).await.unwrap().unwrap();
    let (first, second) = (next().await, next().await);
    if first.kind == Kind::Client { (first, second) } else { (second, first) }
}

#[tokio::test]
async fn a_sampled_call_is_recorded_at_both_ends_and_linked() {
    let mut spans = trace::install(0.0).unwrap();
    let served = serve(Config::default()).await;
    served.leader.put(1, 5);
    let calls = served.connect().await.calls;
    let read = async || calls.read(keys(1, [5]), Consistency::Replica).await.unwrap();

    // Neither belongs to a sampled trace.
    read().await;
    trace::within(Some(context(false)), read()).await;
    let missing =
        async || trace::within(Some(context(true)), calls.bucket(littoral_model::view::ViewId(9), 0, None)).await;
    let failed = missing().await.is_err();
    let (client, server) = pair(&mut spans).await;
    assert_eq!((&*client.name, &*server.name), ("call bucket", "call bucket"), "the first span is of a sampled call");
    assert_eq!(server.error.is_some(), failed);

    trace::within(Some(context(true)), read()).await;
    let (client, server) = pair(&mut spans).await;
    assert_eq!((&*client.name, client.kind, client.parent), ("call read", Kind::Client, Some(context(true).span)));
    assert_eq!((&*server.name, server.kind, server.parent), ("call read", Kind::Server, Some(client.span)));
    assert!(client.trace == context(true).trace && server.trace == client.trace);
    assert!(client.took >= server.took && client.error.is_none() && server.error.is_none());

    // A node of the previous release cannot read a context.
    let held = serve(Config { version: ProtocolVersion::PREVIOUS, ..Config::default() }).await;
    let old = client::connect(&held.client()).await.unwrap().calls;
    trace::within(Some(context(true)), old.status()).await.unwrap();
    trace::within(Some(context(true)), calls.status()).await.unwrap();
    let names: Vec<_> = [spans.recv().await.unwrap(), spans.recv().await.unwrap(), spans.recv().await.unwrap()]
        .map(|record| (record.name.into_owned(), record.kind))
        .into();
    let count = |kind| names.iter().filter(|(name, found)| name == "call status" && *found == kind).count();
    assert_eq!((count(Kind::Client), count(Kind::Server)), (2, 1), "{names:?}");
}
