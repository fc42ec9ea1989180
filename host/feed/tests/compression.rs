//! A compressed feed: who receives one, that it carries the same messages, and what a subscriber does with bad bytes.

mod support;

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use http_body_util::{BodyExt, Empty, StreamBody};
use hyper::{
    Request, Response,
    body::Frame,
    client::conn::http2,
    header::{ACCEPT_ENCODING, CONTENT_ENCODING},
    server,
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use littoral_feed::{
    FEED_PATH, PEER_REGION, client,
    server::{Compression, Config},
};
use littoral_model::format::ProtocolVersion;
use littoral_protocol::frame::*;
use littoral_wire::{DOWNSTREAM_LEN_MAX, compression::Compressor};
use std::{convert::Infallible, time::Duration};
use support::*;
use tokio::net::{TcpListener, TcpStream};

const PREVIOUS: ProtocolVersion = ProtocolVersion::PREVIOUS;

fn always() -> Config {
    Config { compression: Compression::Always, snapshot_bytes: 10_000, ..Config::default() }
}

/// Returns how a publisher encodes the feed for a subscriber that accepts `accepted` and states this region.
async fn coding(address: &str, accepted: &str, region: &str) -> Option<String> {
    let socket = TcpStream::connect(address).await.unwrap();
    let (mut peer, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(socket)).await.unwrap();
    tokio::spawn(connection);
    let request = Request::post(format!("http://leader{FEED_PATH}"))
        .header(ACCEPT_ENCODING, accepted)
        .header(PEER_REGION, region)
        .body(Empty::<Bytes>::new());
    let response = peer.send_request(request.unwrap()).await.unwrap();
    response.headers().get(CONTENT_ENCODING).map(|coding| coding.to_str().unwrap().to_owned())
}

#[tokio::test]
async fn only_subscribers_that_accept_it_receive_a_compressed_feed() {
    let held = Config { version: PREVIOUS, ..always() };
    for (config, accepted, region, expected) in [
        (always(), "zstd", "eu", Some("zstd")),
        (always(), "gzip", "eu", None),
        (Config::default(), "zstd", "us", Some("zstd")),
        (Config::default(), "zstd", "eu", None),
        (held, "zstd", "us", None),
    ] {
        let served = serve(config).await;
        let coding = coding(&served.address, accepted, region).await;
        assert_eq!(coding.as_deref(), expected, "{accepted} from {region}");
    }
}

/// Returns the snapshot that a subscriber of this version receives. Checks that it then receives each record at once.
async fn received(served: &Served, version: ProtocolVersion) -> Vec<Downstream> {
    let mut peer = client::connect(&client::Config { version, ..served.client() }).await.unwrap();
    let Upstream::Hello(hello) = hello(Views::All, None) else { panic!("`hello` creates a hello") };
    peer.sender.send(&Upstream::Hello(SubscriberHello { version_max: version.number(), ..hello })).unwrap();
    assert_eq!(next_hello(&mut peer.receiver).await.version, version.number());
    let mut messages = Vec::new();
    while !matches!(messages.last(), Some(Downstream::SnapshotEnd { .. })) {
        messages.push(next(&mut peer.receiver).await);
    }
    assert!(messages.len() > 20, "a snapshot of several blocks");
    let first = served.leader.last().position.lsn.0 + 1;
    // A batch that was held back would not arrive: the next one follows only after it.
    for record in 0..20 {
        // A row that exists already.
        served.leader.put(1, 2 * record);
        assert_eq!(records_through(&mut peer.receiver, first + record, first + record).await.len(), 1);
    }
    messages
}

#[tokio::test]
async fn a_compressed_feed_carries_the_same_messages() {
    let served = serve(always()).await;
    (0..5_000).for_each(|key| served.leader.put(1 + key as u32 % 2, key));
    let rows = |messages: &[Downstream]| {
        let mut rows: Vec<_> = (messages.iter())
            .filter_map(|message| if let Downstream::SnapshotRows { bytes, .. } = message { Some(bytes) } else { None })
            .flat_map(|bytes| littoral_wire::rows::iter(bytes).map(|row| row.unwrap().unwrap().to_row()))
            .map(|row| (row.header().view, row.key().to_vec()))
            .collect();
        rows.sort();
        rows
    };
    let compressed = rows(&received(&served, ProtocolVersion::NEWEST).await);
    let plain = rows(&received(&served, PREVIOUS).await);
    assert_eq!(compressed.len(), 5_000);
    assert!(compressed == plain);
}

/// A publisher that responds with this coding and these bytes, and then sends nothing more.
async fn publisher(coding: &'static str, body: Vec<Bytes>) -> client::Config {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        let (socket, _) = listener.accept().await.unwrap();
        let answer = service_fn(move |_| {
            let sent = stream::iter(body.clone()).map(|bytes| Ok::<_, Infallible>(Frame::data(bytes)));
            let body = BodyExt::boxed(StreamBody::new(sent.chain(stream::pending())));
            async move { Ok::<_, Infallible>(Response::builder().header(CONTENT_ENCODING, coding).body(body).unwrap()) }
        });
        let connection =
            server::conn::http2::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(socket), answer);
        let _ = connection.await;
    });
    client::Config { leader: vec![address], version: PREVIOUS, ..client::Config::default() }
}

#[tokio::test]
async fn a_subscriber_rejects_bytes_that_are_not_a_compressed_feed() {
    let compressed = |bytes: Vec<u8>| Bytes::from(Compressor::new().unwrap().compress([Bytes::from(bytes)]).unwrap());
    let too_long = (DOWNSTREAM_LEN_MAX as u32 + 1).to_le_bytes();
    for (what, sent, expected) in [
        ("garbage", Bytes::from_static(b"<html>not found</html>"), "malformed compressed stream"),
        ("a bomb", compressed(vec![0; 256 << 20]), "frame of 0 bytes is damaged"),
        ("a frame beyond the bound", compressed([too_long.to_vec(), vec![0; 100]].concat()), "exceeds the maximum"),
        ("noise", compressed([vec![16, 0, 0, 0], vec![1; 100_000]].concat()), "frame of 16 bytes is damaged"),
    ] {
        let config = publisher("zstd", vec![sent]).await;
        let mut peer = client::connect(&config).await.unwrap();
        let error = tokio::time::timeout(Duration::from_secs(60), peer.receiver.next()).await.unwrap().unwrap_err();
        assert!(matches!(error, client::Error::Wire(_)), "{what}: {error:?}");
        let text = error.to_string();
        assert!(text.contains("violated the feed's protocol") && text.contains(expected), "{what}: {text}");
    }
    let error = client::connect(&publisher("br", Vec::new()).await).await.unwrap_err().to_string();
    assert!(error.contains(r#"compressed with "br""#) && error.contains("'zstd'"), "{error}");
}
