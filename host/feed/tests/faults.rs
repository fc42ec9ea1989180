//! Peers that violate the protocol or stop responding.

mod support;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::{body::Frame, client::conn::http2, server, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use littoral_feed::{
    FEED_PATH,
    client::{self, Error},
    server::Config,
};
use littoral_protocol::frame::*;
use littoral_wire::{Outgoing, feed};
use std::{
    convert::Infallible,
    time::{Duration, Instant},
};
use support::*;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

type Raw = http2::SendRequest<http_body_util::combinators::BoxBody<Bytes, Infallible>>;

/// An HTTP/2 client that does not implement the feed.
async fn raw(address: &str) -> Raw {
    let socket = TcpStream::connect(address).await.unwrap();
    let (sender, connection) = http2::Builder::new(TokioExecutor::new()).handshake(TokioIo::new(socket)).await.unwrap();
    tokio::spawn(connection);
    sender
}

/// Posts these bytes and keeps the stream open. Returns the response until the end of the stream.
async fn post(raw: &mut Raw, path: &str, sent: Vec<u8>) -> (u16, Vec<Downstream>) {
    let (keep_open, rest) = tokio::sync::oneshot::channel::<()>();
    let body = futures_stream(Bytes::from(sent), rest);
    let request = http::Request::post(format!("http://leader{path}")).body(body).unwrap();
    let response = raw.send_request(request).await.unwrap();
    let status = response.status().as_u16();
    let bytes = response.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    drop(keep_open);
    let mut decoder = littoral_wire::Decoder::new(1 << 20);
    decoder.push(bytes);
    let mut messages = Vec::new();
    while let Ok(Some(payload)) = decoder.next_payload() {
        messages.push(feed::downstream(&payload).unwrap());
    }
    messages.retain(|message| !matches!(message, Downstream::Heartbeat { .. }));
    (status, messages)
}

fn futures_stream(
    first: Bytes,
    rest: tokio::sync::oneshot::Receiver<()>,
) -> http_body_util::combinators::BoxBody<Bytes, Infallible> {
    let stream = futures_util::stream::once(async move { Ok(Frame::data(first)) });
    let stream = futures_util::StreamExt::chain(
        stream,
        futures_util::stream::once(async move {
            let _ = rest.await;
            Ok(Frame::data(Bytes::new()))
        }),
    );
    BodyExt::boxed(StreamBody::new(SyncStream(Box::pin(stream))))
}

struct SyncStream(std::pin::Pin<Box<dyn futures_util::Stream<Item = Result<Frame<Bytes>, Infallible>> + Send + Sync>>);

impl futures_util::Stream for SyncStream {
    type Item = Result<Frame<Bytes>, Infallible>;

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        self.0.as_mut().poll_next(cx)
    }
}

fn frames(messages: &[Upstream]) -> Vec<u8> {
    let mut out = Outgoing::default();
    messages.iter().for_each(|message| feed::push_upstream(&mut out, message).unwrap());
    out.pop().unwrap_or_default().to_vec()
}

fn error_of(messages: &[Downstream]) -> (ErrorCode, &str) {
    match messages {
        [.., Downstream::Error { code, message }] => (*code, message),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn garbage_from_a_subscriber_ends_only_its_own_stream_with_a_typed_error() {
    let served = serve(Config { hello_timeout_ms: 300, ..Config::default() }).await;
    let mut good = served.connect().await;
    good.sender.send(&hello(Views::All, Some(served.leader.last()))).unwrap();
    next_hello(&mut good.receiver).await;

    let fine = frames(&[hello(Views::All, None)]);
    let mut damaged = fine.clone();
    *damaged.last_mut().unwrap() ^= 1;
    let mut oversized = fine.clone();
    oversized[..4].copy_from_slice(&u32::MAX.to_le_bytes());
    let mut no_message = Outgoing::default();
    feed::push_downstream(&mut no_message, &Downstream::SnapshotEnd { rows: 77 }).unwrap();
    let no_message = no_message.pop().unwrap().to_vec();
    let alien = Upstream::Hello(SubscriberHello {
        version_min: VERSION_MAX + 1,
        version_max: VERSION_MAX + 3,
        subscriber: "from tomorrow".into(),
        views: Views::All,
        resume: None,
        holds: None,
        ended: None,
        watermark: littoral_model::token::Watermark::default(),
        lineages: littoral_model::lineage::RegionLineages::default(),
        cluster: None,
    });
    let versions = format!("versions {} to {}", VERSION_MAX + 1, VERSION_MAX + 3);
    let long_name = Upstream::Hello(SubscriberHello {
        version_min: VERSION_MAX,
        version_max: VERSION_MAX,
        subscriber: "n".repeat(1_000),
        views: Views::All,
        resume: None,
        holds: None,
        ended: None,
        watermark: littoral_model::token::Watermark::default(),
        lineages: littoral_model::lineage::RegionLineages::default(),
        cluster: None,
    });
    let ping = |seq| Upstream::Ping { seq };
    let backwards = frames(&[hello(Views::All, Some(served.leader.last())), ping(5), ping(4)]);
    let unsent = frames(&[
        hello(Views::All, Some(served.leader.last())),
        Upstream::Applied { lsn: littoral_model::position::Lsn(9) },
    ]);
    let twice = frames(&[hello(Views::All, Some(served.leader.last())), hello(Views::All, None)]);
    for (what, sent, code, word) in [
        ("damaged", damaged, ErrorCode::Protocol, "checksum"),
        ("oversized", oversized, ErrorCode::Protocol, "exceeds the maximum"),
        ("not upstream", no_message, ErrorCode::Protocol, "malformed"),
        ("no hello", frames(&[Upstream::Ping { seq: 1 }]), ErrorCode::Protocol, "hello"),
        ("two hellos", twice, ErrorCode::Protocol, "second hello"),
        ("pings backwards", backwards, ErrorCode::Protocol, "ping 4 arrived after ping 5"),
        ("applied before sent", unsent, ErrorCode::Protocol, "reports record 9 as applied"),
        ("a long name", frames(&[long_name]), ErrorCode::Protocol, "name"),
        ("another version", frames(&[alien]), ErrorCode::Version, &versions),
        ("half a hello", fine[..fine.len() - 1].to_vec(), ErrorCode::Slow, "300 ms"),
        ("nothing", Vec::new(), ErrorCode::Slow, "300 ms"),
    ] {
        let mut raw = raw(&served.address).await;
        let (status, messages) = post(&mut raw, FEED_PATH, sent).await;
        let (got, message) = error_of(&messages);
        assert_eq!((status, got), (200, code), "{what}: {message}");
        assert!(message.contains(word), "{what}: {message}");
    }
    served.leader.put(1, 1);
    assert!(matches!(next(&mut good.receiver).await, Downstream::Records { .. }));
}

#[tokio::test]
async fn wrong_paths_methods_and_protocols_are_rejected() {
    let served = serve(Config::default()).await;
    let mut raw = raw(&served.address).await;
    let (status, _) = post(&mut raw, "/v1/read", b"{}".to_vec()).await;
    assert_eq!(status, 404);
    let request = http::Request::get(format!("http://leader{FEED_PATH}")).body(BodyExt::boxed(Full::new(Bytes::new())));
    let response = raw.send_request(request.unwrap()).await.unwrap();
    assert_eq!(response.status().as_u16(), 405);

    let mut http1 = TcpStream::connect(&served.address).await.unwrap();
    http1.write_all(b"POST /peer/v2/feed HTTP/1.1\r\nhost: leader\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    let closed = tokio::time::timeout(SOON, http1.read_to_end(&mut answer)).await;
    assert!(closed.is_ok(), "the connection of a peer that speaks HTTP/1.1 is closed");
    let mut peer = served.connect().await;
    peer.sender.send(&hello(Views::All, None)).unwrap();
    next_hello(&mut peer.receiver).await;
}

#[tokio::test]
async fn a_subscriber_that_does_not_read_is_disconnected_and_may_resume() {
    let config = Config { slow_timeout_ms: 300, subscriber_bytes_max: 1 << 20, ..Config::default() };
    let served = serve(config).await;
    let before = served.leader.last();
    let mut slow = served.connect().await;
    slow.sender.send(&hello(Views::All, Some(before))).unwrap();
    next_hello(&mut slow.receiver).await;
    // More than the windows and the bound together.
    (0..60_000).for_each(|key| served.leader.put(1, key));
    let cut_by = Instant::now() + SOON;
    for seq in 1.. {
        if !slow.calls.is_connected() {
            break;
        }
        assert!(Instant::now() < cut_by, "it was never disconnected");
        // Pings do not help a subscriber that does not read.
        let _ = slow.sender.send(&Upstream::Ping { seq });
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let mut last = 2;
    while let Ok(Some(message)) = slow.receiver.next().await {
        if let Downstream::Records { last: to, .. } = message {
            last = to.0;
        }
    }
    assert!(last < 60_002, "it cannot have received all records");
    // Use another server, whose timeout a busy machine does not reach.
    let patient = serve_leader(served.leader.clone(), Config::default()).await;
    let mut again = patient.connect().await;
    again.sender.send(&hello(Views::All, Some(served.leader.resume_at(last)))).unwrap();
    assert_eq!(next_hello(&mut again.receiver).await.mode, Mode::Tail);
    assert_eq!(records_through(&mut again.receiver, last + 1, 60_002).await.len() as u64, 60_002 - last);
}

#[tokio::test]
async fn a_subscriber_that_falls_behind_the_trimmed_log_receives_an_error_and_then_a_snapshot() {
    let served = serve(Config { subscriber_bytes_max: 1_000, records_bytes: 1_000, ..Config::default() }).await;
    let before = served.leader.last();
    let mut peer = served.connect().await;
    peer.sender.send(&hello(Views::All, Some(before))).unwrap();
    next_hello(&mut peer.receiver).await;
    (0..60_000).for_each(|key| served.leader.put(1, key));
    served.leader.trim(60_000);
    let told = loop {
        match next(&mut peer.receiver).await {
            Downstream::Records { .. } => {}
            Downstream::Error { code, message } => break (code, message),
            other => panic!("{other:?}"),
        }
    };
    assert!(told.0 == ErrorCode::Slow && told.1.contains("trimmed"), "{told:?}");
    assert!(peer.receiver.next().await.unwrap().is_none());
    let mut again = served.connect().await;
    again.sender.send(&hello(Views::All, Some(before))).unwrap();
    assert_eq!(next_hello(&mut again.receiver).await.mode, Mode::Snapshot);
}

#[tokio::test]
async fn silent_and_half_open_peers_are_disconnected() {
    let served = serve(Config { idle_timeout_ms: 2_000, ..Config::default() }).await;
    // A connection on which nothing is ever sent.
    let mut mute = TcpStream::connect(&served.address).await.unwrap();
    let mut nothing = Vec::new();
    let closed = tokio::time::timeout(SOON, mute.read_to_end(&mut nothing)).await;
    assert!(closed.is_ok(), "a silent connection is closed");
    // A subscriber that stops sending pings.
    let mut peer = served.connect().await;
    peer.sender.send(&hello(Views::All, Some(served.leader.last()))).unwrap();
    next_hello(&mut peer.receiver).await;
    let told = next(&mut peer.receiver).await;
    assert!(matches!(told, Downstream::Error { code: ErrorCode::Slow, .. }), "{told:?}");
}

#[tokio::test]
async fn places_for_subscribers_are_counted_and_released() {
    let served = serve(Config { subscribers_max: 1, idle_timeout_ms: 600_000, ..Config::default() }).await;
    let first = served.connect().await;
    match client::connect(&served.client()).await {
        Err(Error::Rejected { status: 503, message, .. }) => assert!(message.contains("subscribers_max"), "{message}"),
        other => panic!("{other:?}"),
    }
    drop(first);
    // Well before any timeout: dropping a client closes its stream.
    let again_by = Instant::now() + SOON;
    while client::connect(&served.client()).await.is_err() {
        assert!(Instant::now() < again_by, "the subscriber's place was not released");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_stopping_leader_notifies_its_subscribers() {
    let mut served = serve(Config::default()).await;
    let mut peer = served.connect().await;
    peer.sender.send(&hello(Views::All, Some(served.leader.last()))).unwrap();
    next_hello(&mut peer.receiver).await;
    served.shutdown.cancel();
    let told = next(&mut peer.receiver).await;
    assert!(matches!(told, Downstream::Error { code: ErrorCode::Shutdown, .. }), "{told:?}");
    drop(peer);
    tokio::time::timeout(SOON, &mut served.task).await.expect("serve returns").unwrap();
}

/// A server that answers every stream with these bytes and then leaves it open.
async fn impostor(bytes: &'static [u8], silence_timeout_ms: u64) -> client::Config {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let service = service_fn(move |_| async move {
                let (keep_open, rest) = tokio::sync::oneshot::channel();
                std::mem::forget(keep_open);
                Ok::<_, Infallible>(http::Response::new(futures_stream(Bytes::from_static(bytes), rest)))
            });
            tokio::spawn(
                server::conn::http2::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(socket), service),
            );
        }
    });
    client::Config { leader: vec![address], silence_timeout_ms, ..client::Config::default() }
}

#[tokio::test]
async fn garbage_from_a_publisher_is_a_typed_error() {
    let mut garbage = client::connect(&impostor(&[0xff; 100], 60_000).await).await.unwrap();
    let error = garbage.receiver.next().await.unwrap_err();
    assert!(matches!(error, Error::Wire(littoral_wire::Error::TooLong { .. })), "{error}");
    let error = garbage.calls.status().await.unwrap_err();
    assert!(
        matches!(&error, client::CallError::Disconnected(reason) if reason.contains("exceeds the maximum")),
        "{error}"
    );

    let mut short = client::connect(&impostor(&[200, 0, 0, 0, 1, 2, 3, 4, 5], 300).await).await.unwrap();
    let error = short.receiver.next().await.unwrap_err();
    assert!(matches!(error, Error::Silent { waited_ms: 300 }), "{error}");
}

#[tokio::test]
async fn silence_is_detected_by_a_receiver_that_cancels_its_waits() {
    let mut silent = client::connect(&impostor(b"", 300).await).await.unwrap();
    let mut others = tokio::time::interval(Duration::from_millis(20));
    let noticed = async {
        loop {
            tokio::select! {
                biased;
                _ = others.tick() => {}
                heard = silent.receiver.next() => break heard.unwrap_err(),
            }
        }
    };
    let error = tokio::time::timeout(SOON, noticed).await.expect("silence is noticed");
    assert!(matches!(error, Error::Silent { waited_ms: 300 }), "{error}");
}

/// Serves one message in this many parts, with pauses that together exceed the limit on silence.
async fn slow_publisher(parts: usize, pause: Duration) -> client::Config {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let config = client::Config {
        leader: vec![listener.local_addr().unwrap().to_string()],
        silence_timeout_ms: 2_000,
        ..client::Config::default()
    };
    let message = Downstream::Error { code: ErrorCode::Log, message: "x".repeat(900) };
    let mut frames = Outgoing::default();
    feed::push_downstream(&mut frames, &message).unwrap();
    let mut bytes = Vec::new();
    while let Some(part) = frames.pop() {
        bytes.extend_from_slice(&part);
    }
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let bytes = bytes.clone();
            let service = service_fn(move |_| {
                let chunks: Vec<_> = bytes.chunks(bytes.len().div_ceil(parts)).map(Bytes::copy_from_slice).collect();
                let parts = futures_util::stream::unfold(chunks.into_iter(), move |mut chunks| async move {
                    tokio::time::sleep(pause).await;
                    match chunks.next() {
                        Some(chunk) => Some((Ok::<_, Infallible>(Frame::data(chunk)), chunks)),
                        None => std::future::pending().await,
                    }
                });
                async move { Ok::<_, Infallible>(http::Response::new(StreamBody::new(parts))) }
            });
            tokio::spawn(
                server::conn::http2::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(socket), service),
            );
        }
    });
    config
}

#[tokio::test]
async fn a_slowly_arriving_message_is_not_silence() {
    let config = slow_publisher(6, Duration::from_millis(500)).await;
    let mut slow = client::connect(&config).await.unwrap();
    let begun = Instant::now();
    let message = slow.receiver.next().await.unwrap();
    assert!(matches!(message, Some(Downstream::Error { .. })), "{message:?}");
    assert!(begun.elapsed() > Duration::from_millis(config.silence_timeout_ms), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_client_reports_why_it_cannot_connect_and_uses_the_next_address() {
    let served = serve(Config::default()).await;
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().to_string();
    let mute = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mute_address = mute.local_addr().unwrap().to_string();
    let config =
        |leader: Vec<String>| client::Config { leader, connect_timeout_ms: 2_000, ..client::Config::default() };
    for leader in [vec![closed.clone()], vec![mute_address.clone()], vec![]] {
        let error = client::connect(&config(leader.clone())).await.unwrap_err();
        assert!(matches!(error, Error::Connect { .. }), "{leader:?}: {error}");
    }
    client::connect(&config(vec![closed, mute_address, served.address.clone()])).await.unwrap();
}
