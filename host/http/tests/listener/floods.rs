//! Clients that flood a connection with frames of HTTP/2, written as raw bytes. Each loses its connection or its
//! stream, and other clients are served.

use crate::{Listener, SOON, Stream, alone, limits};
use littoral_http::Limits;
use std::time::Duration;
use tokio::{
    io::AsyncWriteExt as _,
    time::{sleep, timeout},
};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const CLIENT: [u8; 4] = [127, 0, 0, 1];

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;

const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

const ENHANCE_YOUR_CALM: u32 = 11;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u32).to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// The head of a GET of `/hold`, in HPACK: method and scheme from the static table, path and authority as literals.
const HOLD: &[u8] = b"\x82\x86\x04\x05/hold\x01\x01a";

/// The head of a POST of `/hold`.
const POST_HOLD: &[u8] = b"\x83\x86\x04\x05/hold\x01\x01a";

/// The numbers of streams that a client begins.
fn streams(count: u32) -> impl Iterator<Item = u32> {
    (0..count).map(|n| 2 * n + 1)
}

impl Listener {
    /// Opens a connection that has greeted.
    async fn http2(&self) -> Stream {
        let mut stream = self.connect(CLIENT).await;
        stream.send(&[PREFACE, &frame(SETTINGS, 0, 0, &[])].concat()).await;
        stream
    }

    /// Waits until no request runs.
    async fn is_quiet(&self) {
        let quiet = async {
            while self.handler.hold.receiver_count() > 0 {
                sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(SOON, quiet).await.expect("cancelled requests end");
    }
}

/// A frame that was received.
struct Received {
    kind: u8,
    stream: u32,
    payload: Vec<u8>,
}

/// Returns the error of a GOAWAY.
fn goaway(frames: &[Received]) -> Option<u32> {
    let goaway = frames.iter().rfind(|frame| frame.kind == GOAWAY)?;
    Some(u32::from_be_bytes(goaway.payload[4..8].try_into().unwrap()))
}

fn received(mut bytes: &[u8]) -> Vec<Received> {
    let mut frames = Vec::new();
    while let Some((head, rest)) = bytes.split_first_chunk::<9>() {
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let Some((payload, rest)) = rest.split_at_checked(length) else { break };
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        frames.push(Received { kind: head[3], stream, payload: payload.to_vec() });
        bytes = rest;
    }
    frames
}

impl Stream {
    /// Sends these bytes, and waits until the listener closes the connection. Returns the frames that it sent.
    async fn flood(&mut self, bytes: &[u8]) -> Vec<Received> {
        // Fails if the listener closes the connection in between.
        let _ = timeout(SOON, self.0.write_all(bytes)).await.expect("the listener reads, or closes the connection");
        received(&self.end().await)
    }

    /// Sends these bytes again and again without reading, until the listener closes the connection.
    async fn flood_unread(&mut self, bytes: &[u8]) {
        let flooding = async { while self.0.write_all(bytes).await.is_ok() {} };
        timeout(SOON, flooding).await.expect("the listener stops reading and closes the connection");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_that_are_reset_before_they_are_accepted_end_their_connection() {
    let listener = Listener::open(limits(10)).await;
    listener.handler.hold.send_replace(true);
    let pair = |stream| {
        [frame(HEADERS, END_STREAM | END_HEADERS, stream, HOLD), frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes())]
    };
    let flood = streams(1_000).flat_map(pair).collect::<Vec<_>>().concat();
    assert_eq!(goaway(&listener.http2().await.flood(&flood).await), Some(ENHANCE_YOUR_CALM));
    listener.is_quiet().await;
    listener.serves().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_whose_streams_are_reset_end() {
    let listener = Listener::open(limits(10)).await;
    listener.handler.hold.send_replace(true);
    let mut begun = listener.handler.held.subscribe();
    let mut client = listener.http2().await;
    for (count, stream) in streams(500).enumerate() {
        client.send(&frame(HEADERS, END_STREAM | END_HEADERS, stream, HOLD)).await;
        timeout(SOON, begun.wait_for(|begun| *begun > count)).await.expect("the request runs").unwrap();
        client.send(&frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes())).await;
    }
    listener.is_quiet().await;
    listener.serves().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_that_the_listener_has_to_reset_end_their_connection() {
    let listener = Listener::open(limits(10)).await;
    listener.handler.hold.send_replace(true);
    // A window that grows beyond its largest size is an error of the stream.
    let pair = |stream| {
        let update = frame(WINDOW_UPDATE, 0, stream, &0x7fff_ffff_u32.to_be_bytes());
        [frame(HEADERS, END_STREAM | END_HEADERS, stream, HOLD), update]
    };
    let flood = streams(2_000).flat_map(pair).collect::<Vec<_>>().concat();
    assert_eq!(goaway(&listener.http2().await.flood(&flood).await), Some(ENHANCE_YOUR_CALM));
    listener.is_quiet().await;
    listener.serves().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_burst_of_more_streams_than_allowed_does_not_end_its_connection() {
    let listener = Listener::open(limits(10)).await;
    listener.handler.hold.send_replace(true);
    let mut begun = listener.handler.held.subscribe();
    let mut client = listener.http2().await;
    let burst = streams(400).map(|stream| frame(HEADERS, END_STREAM | END_HEADERS, stream, HOLD));
    client.send(&burst.collect::<Vec<_>>().concat()).await;
    timeout(SOON, begun.wait_for(|begun| *begun == 256)).await.expect("the allowed requests run").unwrap();
    listener.release();
    // The listener closes the connection once it has answered.
    let frames = client.flood(&frame(GOAWAY, 0, 0, &[0; 8])).await;
    assert_ne!(goaway(&frames), Some(ENHANCE_YOUR_CALM));
    let answers = frames.iter().filter(|frame| frame.kind == HEADERS).count();
    let refused = frames.iter().filter(|frame| frame.kind == RST_STREAM).count();
    assert_eq!((answers, refused), (256, 144));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_without_an_end_ends_its_connection() {
    let listener = Listener::open(limits(10)).await;
    // A header that is not indexed: a name of one byte and a value of four.
    let header = b"\x00\x01x\x04yyyy";
    for continuation in [&[][..], header, &header.repeat(2_000)] {
        let mut flood = frame(HEADERS, END_STREAM, 1, HOLD);
        for _ in 0..100 {
            flood.extend_from_slice(&frame(CONTINUATION, 0, 1, continuation));
        }
        let error = goaway(&listener.http2().await.flood(&flood).await);
        assert_eq!(error, Some(ENHANCE_YOUR_CALM), "{} bytes each", continuation.len());
    }
    assert_eq!(*listener.handler.held.borrow(), 0, "no request has begun");
    listener.serves().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_small_head_that_unpacks_to_a_large_one_is_rejected_without_its_memory() {
    const REFERENCES: usize = 15_000;
    if alone::input().is_none() {
        return alone::run("floods::a_small_head_that_unpacks_to_a_large_one_is_rejected_without_its_memory", "");
    }
    let listener = Listener::open(limits(10)).await;
    listener.serves().await;
    let before = alone::peak_kib();
    // A header of 4,000 bytes, put into the dynamic table, and 60,000 references to it: 240 MB.
    let value = vec![b'y'; 4_000];
    let header = [b"\x40\x01x\x7f\xa1\x1e", &value[..]].concat();
    let references = vec![0xbe; REFERENCES];
    let bomb = [
        frame(HEADERS, END_STREAM, 1, &[HOLD, &header].concat()),
        frame(CONTINUATION, 0, 1, &references),
        frame(CONTINUATION, 0, 1, &references),
        frame(CONTINUATION, 0, 1, &references),
        frame(CONTINUATION, END_HEADERS, 1, &references),
        // The listener closes the connection once it has answered.
        frame(GOAWAY, 0, 0, &[0; 8]),
    ];
    let frames = listener.http2().await.flood(&bomb.concat()).await;
    assert!(goaway(&frames) == Some(ENHANCE_YOUR_CALM) || frames.iter().any(|frame| frame.stream == 1), "rejected");
    assert_eq!(*listener.handler.held.borrow(), 0, "no request has begun");
    let grown = alone::peak_kib() - before;
    assert!(grown < 16 << 10, "it took {grown} KiB");
    listener.serves().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn empty_pieces_of_a_body_end_their_connection() {
    let listener = Listener::open(limits(10)).await;
    listener.handler.hold.send_replace(true);
    let mut flood = frame(HEADERS, END_HEADERS, 1, POST_HOLD);
    flood.extend_from_slice(&frame(DATA, 0, 1, &[]).repeat(10_000));
    assert_eq!(goaway(&listener.http2().await.flood(&flood).await), Some(ENHANCE_YOUR_CALM));
    listener.is_quiet().await;
    listener.serves().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_floods_pings_or_settings_and_reads_nothing_is_disconnected() {
    let listener = Listener::open(Limits { write_timeout: Duration::from_millis(300), ..limits(10) }).await;
    for flood in [frame(PING, 0, 0, &[7; 8]), frame(SETTINGS, 0, 0, &[]), frame(SETTINGS, 0, 0, &[0, 4, 0, 1, 0, 0])] {
        listener.http2().await.flood_unread(&flood.repeat(1_000)).await;
        listener.serves().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn more_concurrent_streams_than_allowed_run_no_further_requests() {
    const ALLOWED: usize = 256;
    let listener = Listener::open(limits(10)).await;
    listener.handler.hold.send_replace(true);
    let mut client = listener.http2().await;
    let all = streams(1_000).map(|stream| frame(HEADERS, END_STREAM | END_HEADERS, stream, HOLD));
    client.send(&all.collect::<Vec<_>>().concat()).await;
    let mut begun = listener.handler.held.subscribe();
    timeout(SOON, begun.wait_for(|begun| *begun == ALLOWED)).await.expect("the allowed requests run").unwrap();
    listener.serves().await;
    assert_eq!(*begun.borrow(), ALLOWED);
    drop(client);
    listener.is_quiet().await;
}
