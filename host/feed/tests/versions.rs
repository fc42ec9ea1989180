//! Nodes of two releases: subscribers are upgraded before their publishers.

mod support;

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use http_body_util::{BodyExt, Full, StreamBody, combinators::BoxBody};
use hyper::{Request, Response, StatusCode, body::Frame, client::conn::http2, server, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use littoral_feed::{FEED_PATH, FEED_PATH_V3, client, server::Config};
use littoral_protocol::{frame::*, subscriber::*};
use littoral_wire::{Decoder, Outgoing, records, v3};
use std::{convert::Infallible, path::Path};
use support::*;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::mpsc,
};

type Body = BoxBody<Bytes, Infallible>;

/// Bytes of a build that implemented only version 3.
fn of_version_3(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/wire/v3.hex");
    let fixtures = std::fs::read_to_string(path).unwrap();
    let hex = fixtures.lines().find_map(|line| line.strip_prefix(&format!("{name} "))).unwrap();
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

fn text(text: &str) -> Body {
    BodyExt::boxed(Full::new(Bytes::from(text.to_owned())))
}

/// A publisher of the older release. It serves only its own path, and sends what such a build has sent: a hello and a
/// complete snapshot. It forwards what it receives to `received`.
async fn older_publisher(received: mpsc::Sender<Bytes>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        let (socket, _) = listener.accept().await.unwrap();
        let answer = service_fn(move |request: Request<hyper::body::Incoming>| {
            let received = received.clone();
            async move {
                let status = if request.uri().path() == FEED_PATH { StatusCode::NOT_FOUND } else { StatusCode::OK };
                if request.uri().path() != FEED_PATH_V3 {
                    // Calls are the same in both versions; this test makes none.
                    return Ok::<_, Infallible>(Response::builder().status(status).body(text("no such path")).unwrap());
                }
                tokio::spawn(async move {
                    let (mut body, mut frames) = (request.into_body(), Decoder::new(1 << 20));
                    while let Some(Ok(frame)) = body.frame().await {
                        frames.push(frame.into_data().unwrap());
                        while let Some(payload) = frames.next_payload().unwrap() {
                            let _ = received.try_send(payload);
                        }
                    }
                });
                let messages = ["downstream-0", "downstream-1", "downstream-2", "downstream-3", "downstream-5"];
                let sent = messages.map(|name| Ok(Frame::data(Bytes::from(of_version_3(name)))));
                let sent = stream::iter(sent).chain(stream::pending());
                Ok(Response::new(BodyExt::boxed(StreamBody::new(sent))))
            }
        });
        let _ = server::conn::http2::Builder::new(TokioExecutor::new())
            .serve_connection(TokioIo::new(socket), answer)
            .await;
    });
    address
}

#[tokio::test]
async fn a_publisher_of_the_older_release_is_followed() {
    let (received, mut heard) = mpsc::channel(16);
    let mut peer = connect(&older_publisher(received).await).await;
    let mut subscriber = Subscriber::new(None, None, Views::All);
    let hello = subscriber.hello("edge-1");
    peer.sender.send(&Upstream::Hello(hello.clone())).unwrap();
    // The subscriber sends what such a publisher can read.
    let mut frames = Outgoing::default();
    v3::push_upstream(&mut frames, &Upstream::Hello(hello)).unwrap();
    let mut expected = Decoder::new(1 << 20);
    expected.push(Bytes::from(frames.pop().unwrap().to_vec()));
    assert_eq!(heard.recv().await, expected.next_payload().unwrap());
    let mut rows = 0;
    loop {
        let message = match peer.receiver.next().await.unwrap().unwrap() {
            // Version 2 had the same form; the bytes are from a build that implemented it.
            Downstream::Hello(hello) => Downstream::Hello(PublisherHello { version: v3::VERSION, ..hello }),
            message => message,
        };
        match subscriber.receive(message).unwrap() {
            Action::Greeted(hello) => assert_eq!((hello.mode, hello.lineages.iter().count()), (Mode::Snapshot, 0)),
            Action::AddRows { rows: some, .. } => rows += some,
            Action::FinishSnapshot => break,
            _ => {}
        }
    }
    assert_eq!(rows, 2);
    let at = subscriber.resume().unwrap().position;
    assert_eq!(subscriber.lineage().log(), at.incarnation, "its log counts as having one life");
    // Records follow.
    let bytes = of_version_3("downstream-4");
    let mut frames = Decoder::new(1 << 20);
    frames.push(Bytes::from(bytes));
    let Downstream::Records { bytes, .. } = v3::downstream(&frames.next_payload().unwrap().unwrap()).unwrap() else {
        panic!("expected records")
    };
    assert!(records::iter(&bytes).all(|record| record.is_ok()));
}

#[tokio::test]
async fn a_subscriber_of_the_older_release_learns_that_it_must_be_upgraded_first() {
    let served = serve(Config::default()).await;
    let socket = TcpStream::connect(&served.address).await.unwrap();
    let (mut older, connection) =
        http2::Builder::new(TokioExecutor::new()).handshake::<_, Body>(TokioIo::new(socket)).await.unwrap();
    tokio::spawn(connection);
    let body = BodyExt::boxed(Full::new(Bytes::from(of_version_3("upstream-0"))));
    let request = Request::post(format!("http://leader{FEED_PATH_V3}")).body(body).unwrap();
    let response = older.send_request(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::UPGRADE_REQUIRED);
    let body = response.into_body().collect().await.unwrap().to_bytes();
    let body = String::from_utf8_lossy(&body).into_owned();
    assert!(body.contains("upgrade the subscriber") && body.contains("before their publishers"), "{body}");
    // Other subscribers are still served.
    let mut newer = client::connect(&served.client()).await.unwrap();
    newer.sender.send(&hello(Views::All, None)).unwrap();
    assert_eq!(next_hello(&mut newer.receiver).await.mode, Mode::Snapshot);
}
