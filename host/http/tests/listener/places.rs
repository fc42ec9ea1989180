//! Clients that open more connections than there are places.

use crate::{Listener, SOON, limits};
use bytes::Bytes;
use http_body_util::Empty;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use littoral_http::{Limits, RESERVE};
use tokio::{io::AsyncWriteExt as _, time::timeout};

const GOOD: [u8; 4] = [127, 0, 0, 1];
const FLOOD: [u8; 4] = [127, 0, 0, 2];

#[tokio::test(flavor = "multi_thread")]
async fn idle_connections_silence_no_listener_and_their_own_client_pays_for_them() {
    let listener = Listener::open(limits(50)).await;
    let mut good = listener.connect(GOOD).await;
    assert!(good.get("/").await.contains("200 OK"));
    let mut flood = Vec::new();
    for count in 0..500 {
        let mut stream = listener.connect(FLOOD).await;
        // Some send nothing, some a part of a head, some greet as HTTP/2 does.
        let sent: [&[u8]; 3] = [b"", b"GET / HTTP/1.1\r\nx: ", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"];
        // Fails if the connection has given way already.
        let _ = stream.0.write_all(sent[count % 3]).await;
        flood.push(stream);
    }
    assert!(good.get("/").await.contains("200 OK"), "the connection of another client stays");
    for path in ["/health", "/"] {
        assert!(listener.connect([127, 0, 0, 3]).await.get(path).await.contains("200 OK"), "{path}");
    }
    for stream in &mut flood[..400] {
        stream.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_uses_its_connection_keeps_it_though_its_address_opens_many() {
    let listener = Listener::open(limits(10)).await;
    let mut good = listener.connect(GOOD).await;
    let mut flood = Vec::new();
    for _ in 0..100 {
        assert!(good.get("/").await.contains("200 OK"));
        flood.push(listener.connect(GOOD).await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn while_requests_run_on_all_connections_only_vital_requests_are_answered() {
    let listener = Listener::open(limits(2)).await;
    let mut busy = [listener.held(GOOD).await, listener.held(GOOD).await];
    let mut flood = Vec::new();
    for _ in 0..2 {
        let mut probe = listener.connect([127, 0, 0, 4]).await;
        let answer = probe.get("/health").await;
        assert!(answer.contains("200 OK") && answer.contains("connection: close"), "{answer}");
        probe.end().await;
        let mut other = listener.connect([127, 0, 0, 3]).await;
        let answer = other.get("/").await;
        assert!(answer.contains("503 ") && answer.contains("connection: close"), "{answer}");
        other.end().await;
        // The second time, another client holds the whole reserve.
        for _ in 0..2 * RESERVE {
            flood.push(listener.connect(FLOOD).await);
        }
    }
    listener.release();
    for stream in &mut busy {
        assert!(stream.answer().await.contains("200 OK"));
    }
    // Both connections are idle as soon as the listener has noticed that their answers were sent.
    let served = async { while !listener.connect(GOOD).await.get("/").await.contains("200 OK") {} };
    timeout(SOON, served).await.expect("an idle connection gives way");
}

#[tokio::test(flavor = "multi_thread")]
async fn over_http2_too_one_answer_ends_a_connection_of_the_reserve() {
    let listener = Listener::open(limits(1)).await;
    let _busy = listener.held(GOOD).await;
    for (path, status) in [("/health", 200), ("/", 503)] {
        let stream = TokioIo::new(listener.connect([127, 0, 0, 3]).await.0);
        let (mut sender, connection) = http2::handshake(TokioExecutor::new(), stream).await.unwrap();
        let connection = tokio::spawn(connection);
        let request = http::Request::get(format!("http://a{path}")).body(Empty::<Bytes>::new());
        let answer = sender.send_request(request.unwrap()).await.unwrap();
        assert_eq!(answer.status().as_u16(), status, "{path}");
        drop(answer);
        // The client keeps its sender: the listener ends the connection.
        let _ = timeout(SOON, connection).await.expect("the connection ends");
    }
    listener.release();
}

#[tokio::test(flavor = "multi_thread")]
async fn one_address_has_a_bound_and_a_trusted_proxy_has_none() {
    let listener = Listener::open(Limits { connections_per_address_max: 2, ..limits(20) }).await;
    let mut idle = listener.connect(GOOD).await;
    let _busy = [listener.held(GOOD).await, listener.held(GOOD).await];
    idle.end().await;
    let mut rejected = listener.connect(GOOD).await;
    assert!(rejected.get("/").await.contains("503 "), "requests run on both of its connections");
    assert!(listener.connect(GOOD).await.get("/health").await.contains("200 OK"));
    let mut proxy = Vec::new();
    for _ in 0..10 {
        proxy.push(listener.held([127, 0, 9, 1]).await);
    }
    listener.serves().await;
    listener.release();
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_waits_for_the_body_of_a_vital_request() {
    let listener = Listener::open(limits(10)).await;
    let mut client = listener.connect([127, 0, 0, 1]).await;
    client.send(b"GET /health HTTP/1.1\r\nhost: a\r\ncontent-length: 1000000\r\n\r\n").await;
    let answer = String::from_utf8(client.end().await).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.contains("connection: close"), "{answer}");
}
