//! Nodes of two releases, and nodes held at the previous version: each pair speaks the newest version that both speak.

mod support;

use bytes::Bytes;
use futures_util::stream;
use http_body_util::{BodyExt, Empty, StreamBody, combinators::BoxBody};
use hyper::{Request, Response, StatusCode, body::Frame, client::conn::http2, server, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use littoral_feed::{CALL_PATH, PEER_VERSION, client, server::Config};
use littoral_model::format::ProtocolVersion;
use littoral_protocol::frame::*;
use std::convert::Infallible;
use support::*;
use tokio::net::{TcpListener, TcpStream};

const PREVIOUS: ProtocolVersion = ProtocolVersion::PREVIOUS;
const NEWEST: ProtocolVersion = ProtocolVersion::NEWEST;

#[tokio::test]
async fn feeds_and_calls_speak_the_newest_version_that_both_nodes_speak() {
    for (ours, theirs, agreed) in [
        (NEWEST, NEWEST, NEWEST),
        (NEWEST, PREVIOUS, PREVIOUS),
        (PREVIOUS, NEWEST, PREVIOUS),
        (PREVIOUS, PREVIOUS, PREVIOUS),
    ] {
        let served = serve(Config { version: theirs, ..Config::default() }).await;
        let mut peer = client::connect(&client::Config { version: ours, ..served.client() }).await.unwrap();
        let Upstream::Hello(hello) = hello(Views::All, None) else { panic!("`hello` creates a hello") };
        peer.sender.send(&Upstream::Hello(SubscriberHello { version_max: ours.number(), ..hello })).unwrap();
        assert_eq!(next_hello(&mut peer.receiver).await.version, agreed.number(), "{ours} and {theirs}");
        assert_eq!(peer.calls.version(), agreed, "{ours} and {theirs}");
        peer.calls.status().await.unwrap();
    }
}

/// Sends the start of a stream of calls as a node that states `version`, or none, as nodes of version 4.
async fn call(address: &str, version: Option<u16>) -> (StatusCode, Option<String>, String) {
    let socket = TcpStream::connect(address).await.unwrap();
    let (mut peer, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(socket)).await.unwrap();
    tokio::spawn(connection);
    let mut request = Request::post(format!("http://leader{CALL_PATH}"));
    if let Some(version) = version {
        request = request.header(PEER_VERSION, version);
    }
    let response = peer.send_request(request.body(Empty::<Bytes>::new()).unwrap()).await.unwrap();
    let stated = response.headers().get(PEER_VERSION).map(|stated| stated.to_str().unwrap().to_owned());
    let status = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, stated, String::from_utf8_lossy(&body).into_owned())
}

#[tokio::test]
async fn callers_of_other_releases_are_served_if_they_share_a_version() {
    let served = serve(Config::default()).await;
    let (previous, newest) = (PREVIOUS.to_string(), NEWEST.to_string());
    for (stated, agreed) in
        [(None, &previous), (Some(PREVIOUS.number()), &previous), (Some(NEWEST.number() + 1), &newest)]
    {
        let (status, version, _) = call(&served.address, stated).await;
        assert_eq!((status, version.as_ref()), (StatusCode::OK, Some(agreed)), "{stated:?}");
    }
    let (status, version, text) = call(&served.address, Some(PREVIOUS.number() - 1)).await;
    assert_eq!((status, version), (StatusCode::UPGRADE_REQUIRED, None));
    assert!(text.contains("speaks protocol version 3 at most") && text.contains("upgrade the caller"), "{text}");
}

/// A leader of another release: it opens every stream, states this version, and sends nothing.
async fn leader_that_states(version: Option<&'static str>) -> client::Config {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        let (socket, _) = listener.accept().await.unwrap();
        let answer = service_fn(move |_| async move {
            let body: BoxBody<Bytes, Infallible> =
                BodyExt::boxed(StreamBody::new(stream::pending::<Result<Frame<Bytes>, Infallible>>()));
            let mut response = Response::new(body);
            if let Some(version) = version {
                response.headers_mut().insert(PEER_VERSION, version.parse().unwrap());
            }
            Ok::<_, Infallible>(response)
        });
        let served = server::conn::http2::Builder::new(TokioExecutor::new());
        let _ = served.serve_connection(TokioIo::new(socket), answer).await;
    });
    client::Config { leader: vec![address], ..client::Config::default() }
}

#[tokio::test]
async fn a_leader_that_states_no_version_speaks_version_4() {
    let config = leader_that_states(None).await;
    assert_eq!(client::connect(&config).await.unwrap().calls.version().number(), 4);
}

#[tokio::test]
async fn an_answer_with_a_version_that_was_not_offered_is_rejected() {
    for (stated, ours) in [("5", PREVIOUS), ("6", NEWEST), ("3", NEWEST), ("five", NEWEST)] {
        let config = client::Config { version: ours, ..leader_that_states(Some(stated)).await };
        let error = client::connect(&config).await.unwrap_err().to_string();
        assert!(error.contains(&format!("protocol version {stated}, which was not offered")), "{error}");
    }
}
