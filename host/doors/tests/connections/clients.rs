//! Clients that close their connections, requests that fail, HTTP/2, and a node that is starting.

use crate::door::{Door, NoModules, READ, SOON, from_page, get, post, read};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use littoral_doors::{Config, Guard};
use std::sync::Arc;
use tokio::{io::AsyncWriteExt as _, time::timeout};

#[tokio::test(flavor = "multi_thread")]
async fn a_half_closed_client_is_answered() {
    let door = Door::open(Config::default()).await;
    let mut client = door.connect().await;
    client.send(read().as_bytes()).await;
    client.0.shutdown().await.unwrap();
    let answer = client.answer().await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert!(answer.text.contains("NOT_FOUND"), "{}", answer.text);
    client.closed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_disconnects_does_not_affect_others() {
    let door = Door::open(Config::default()).await;
    for sent in [post("/get-online-features", 1_000) + "{\"fea", read(), "\r\n\r\n".into(), "\u{16}\u{3}\u{1}".into()] {
        let mut client = door.connect().await;
        client.send(sent.as_bytes()).await;
        drop(client);
        door.serves().await;
    }
    let mut nonsense = door.connect().await;
    assert_eq!(nonsense.ask("\u{16}\u{3}\u{1}\u{2}\r\n\r\n").await.status, 400);
    let mut head = get("/health");
    head.insert_str(head.len() - 2, &format!("x: {}\r\n", "x".repeat(100_000)));
    let mut large_head = door.connect().await;
    assert_eq!(large_head.ask(&head).await.status, 431);
    door.serves().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_of_the_node_ends_only_one_request() {
    let door = Door::open(Config::default()).await;
    let mut client = door.connect().await;
    let answer = client.ask(&get("/v1/status")).await;
    assert_eq!(answer.status, 500, "{}", answer.text);
    assert!(answer.text.contains("application/problem+json"), "{}", answer.text);
    assert_eq!(client.ask(&read()).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn http2_needs_no_upgrade() {
    let door = Door::open(Config::default()).await;
    let client = hyper_util::client::legacy::Client::builder(hyper_util::rt::TokioExecutor::new())
        .http2_only(true)
        .build_http::<Full<Bytes>>();
    let url = format!("http://{}/get-online-features", door.address);
    let ask = || {
        let request = http::Request::post(&url).body(Full::new(Bytes::from_static(READ.as_bytes()))).unwrap();
        client.request(request)
    };
    let (one, other) = tokio::join!(ask(), ask());
    for answer in [one.unwrap(), other.unwrap()] {
        assert_eq!((answer.status().as_u16(), answer.version()), (200, http::Version::HTTP_2));
        assert!(!answer.into_body().collect().await.unwrap().to_bytes().is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_door_is_open_while_its_node_starts_and_reports_the_progress() {
    let starting = || "7 of about 9 rows are restored".to_owned();
    let (door, opener) = Door::closed(Config::default(), Guard::open(), starting).await;
    let mut kept = door.connect().await;
    for path in ["/health", "/v1/ready", "/v1/status", "/v1/views"] {
        let answer = kept.ask(&get(path)).await;
        assert_eq!(answer.status, 503, "{path}: {}", answer.text);
        for part in ["littoral-error: starting", "retry-after: 1", "7 of about 9 rows are restored"] {
            assert!(answer.text.contains(part), "{path}: {}", answer.text);
        }
    }
    let page = from_page("/push", "host: localhost\r\norigin: http://evil.example\r\n");
    assert_eq!(kept.ask(&page).await.status, 403);
    opener.open(door.node.clone(), Arc::new(NoModules));
    assert_eq!(kept.ask(&get("/health")).await.status, 200, "the same connection is served by the node");
    door.shutdown.cancel();
    timeout(SOON, door.served).await.unwrap().unwrap();
}
