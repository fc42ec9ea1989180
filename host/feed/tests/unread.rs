//! Many subscribers that never read, next to one that does.

mod support;

use bytes::Bytes;
use http_body_util::{BodyExt, StreamBody};
use hyper::{
    body::{Frame, Incoming},
    client::conn::http2,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use littoral_feed::{
    FEED_PATH,
    server::{self, Config, Shared},
};
use littoral_protocol::frame::*;
use littoral_wire::{Outgoing, feed};
use std::{convert::Infallible, time::Duration};
use support::*;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::mpsc,
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

const UNREAD: usize = 40;
const VIEWS: usize = 1_000;
const FRAME_BYTES: usize = 32 << 10;
const BYTES_MAX: usize = 1 << 20;
const SLOW_TIMEOUT_MS: u64 = 3_000;

/// A subscriber that has sent its hello and reads nothing. Its window is 64 KiB, and it sends pings.
struct Unread {
    _body: Incoming,
    _up: mpsc::Sender<Bytes>,
    _requests: http2::SendRequest<http_body_util::combinators::BoxBody<Bytes, Infallible>>,
}

fn encoded(message: &Upstream) -> Bytes {
    let mut out = Outgoing::default();
    feed::push_upstream(&mut out, message).unwrap();
    out.pop().unwrap()
}

async fn subscribe_and_never_read(address: &str) -> Unread {
    let socket = TcpStream::connect(address).await.unwrap();
    let (mut requests, connection) = http2::Builder::new(TokioExecutor::new())
        .initial_stream_window_size(64 << 10)
        .initial_connection_window_size(64 << 10)
        .handshake(TokioIo::new(socket))
        .await
        .unwrap();
    tokio::spawn(connection);
    let (up, sent) = mpsc::channel::<Bytes>(4);
    up.send(encoded(&hello(Views::All, None))).await.unwrap();
    let pings = up.clone();
    tokio::spawn(async move {
        for seq in 1.. {
            sleep(Duration::from_millis(200)).await;
            if pings.send(encoded(&Upstream::Ping { seq })).await.is_err() {
                return;
            }
        }
    });
    let stream = futures_util::stream::unfold(sent, |mut sent| async move {
        let bytes = sent.recv().await?;
        Some((Ok::<_, Infallible>(Frame::data(bytes)), sent))
    });
    let body = BodyExt::boxed(StreamBody::new(sync_wrapper(stream)));
    let request = http::Request::post(format!("http://leader{FEED_PATH}")).body(body).unwrap();
    let response = requests.send_request(request).await.unwrap();
    assert_eq!(response.status(), 200);
    Unread { _body: response.into_body(), _up: up, _requests: requests }
}

fn sync_wrapper<S: futures_util::Stream + Send + 'static>(
    stream: S,
) -> impl futures_util::Stream<Item = S::Item> + Send + Sync {
    let stream = std::sync::Mutex::new(Box::pin(stream));
    futures_util::stream::poll_fn(move |cx| stream.lock().unwrap().as_mut().poll_next(cx))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_for_unread_streams_is_bounded_and_other_subscribers_keep_their_feed() {
    let leader = Leader::new();
    for number in 0..VIEWS {
        leader.make_view(&format!("view_{number}"));
    }
    for key in 0..20_000 {
        leader.put(1, key);
    }
    let config = Config {
        subscribers_max: 2 * UNREAD,
        subscribers_bytes_max: BYTES_MAX,
        snapshot_bytes: FRAME_BYTES,
        records_bytes: FRAME_BYTES,
        slow_timeout_ms: SLOW_TIMEOUT_MS,
        ..Config::default()
    };
    let (listener, stop) = (TcpListener::bind("127.0.0.1:0").await.unwrap(), CancellationToken::new());
    let address = listener.local_addr().unwrap().to_string();
    let shared = Shared::new(leader.clone(), config, stop.clone());
    let serving = tokio::spawn(server::serve_shared(listener, shared.clone()));

    let mut reading = support::connect(&address).await;
    reading.sender.send(&hello(Views::All, Some(leader.last()))).unwrap();
    next_hello(&mut reading.receiver).await;
    let mut unread = Vec::new();
    for _ in 0..UNREAD {
        unread.push(subscribe_and_never_read(&address).await);
    }
    // All but the reader are stuck in their snapshot, whose catalogue alone exceeds a window.
    let (mut most, mut next) = (0, leader.last().position.lsn.0);
    let cut_by = Instant::now() + Duration::from_millis(SLOW_TIMEOUT_MS) * 10;
    let mut held = false;
    loop {
        for key in 0..200 {
            leader.put(2, key);
        }
        let last = leader.last().position.lsn.0;
        let reads = records_through(&mut reading.receiver, next + 1, last);
        assert_eq!(timeout(Duration::from_secs(20), reads).await.unwrap().len() as u64, last - next);
        next = last;
        most = most.max(shared.waiting_bytes());
        held |= shared.waiting_bytes() > BYTES_MAX / 4;
        if held && shared.waiting_bytes() < FRAME_BYTES {
            break;
        }
        assert!(
            Instant::now() < cut_by,
            "subscribers that never read are not disconnected: {} bytes wait",
            shared.waiting_bytes()
        );
        sleep(Duration::from_millis(20)).await;
    }
    // A frame may exceed its bound by a row.
    let bound = BYTES_MAX + (UNREAD + 1) * (FRAME_BYTES + 4_096);
    assert!(most <= bound, "{most} bytes waited; the bound is {bound}");
    stop.cancel();
    drop((unread, reading));
    serving.await.unwrap();
}
