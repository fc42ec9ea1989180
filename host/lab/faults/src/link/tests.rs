//! Tests every fault between real sockets. Upper limits of time are wide and lower limits strict: a fault must have
//! taken effect.

use super::*;
use std::time::Instant;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    time::timeout,
};

const TIMEOUT: Duration = Duration::from_secs(60);
/// Long enough for forwarded bytes to arrive.
const WHILE: Duration = Duration::from_millis(150);

fn any() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

/// Returns a link to a listener.
async fn linked() -> (Link, TcpListener) {
    let target = TcpListener::bind(any()).await.unwrap();
    (Link::start(any(), target.local_addr().unwrap(), 7).await.unwrap(), target)
}

/// Returns a connection over the link: the client's end and the target's.
async fn connected(link: &Link, target: &TcpListener) -> (TcpStream, TcpStream) {
    let client = TcpStream::connect(link.address()).await.unwrap();
    let (accepted, _) = timeout(TIMEOUT, target.accept()).await.unwrap().unwrap();
    (client, accepted)
}

async fn receive(stream: &mut TcpStream, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    timeout(TIMEOUT, stream.read_exact(&mut bytes)).await.expect("in time").unwrap();
    bytes
}

/// Asserts that nothing arrives for a while, not even the end of the stream.
async fn assert_silent(stream: &mut TcpStream) {
    let mut byte = [0];
    let received = timeout(WHILE, stream.read(&mut byte)).await;
    assert!(received.is_err(), "received {received:?}");
}

async fn assert_reset(stream: &mut TcpStream) {
    let mut byte = [0];
    let received = timeout(TIMEOUT, stream.read(&mut byte)).await.expect("in time");
    assert_eq!(received.map_err(|error| error.kind()), Err(io::ErrorKind::ConnectionReset));
}

async fn assert_ended(stream: &mut TcpStream) {
    let mut byte = [0];
    assert_eq!(timeout(TIMEOUT, stream.read(&mut byte)).await.expect("in time").unwrap(), 0);
}

/// Returns bytes that show loss, duplication and reordering.
fn numbered(len: usize) -> Vec<u8> {
    (0..len as u32 / 4).flat_map(u32::to_le_bytes).collect()
}

#[tokio::test]
async fn bytes_and_ends_pass_both_ways() {
    let (link, target) = linked().await;
    let (mut client, mut server) = connected(&link, &target).await;
    client.write_all(b"there").await.unwrap();
    assert_eq!(receive(&mut server, 5).await, b"there");
    client.shutdown().await.unwrap();
    assert_ended(&mut server).await;
    server.write_all(b"and back").await.unwrap();
    assert_eq!(receive(&mut client, 8).await, b"and back", "closing one direction does not close the other");
    drop(server);
    assert_ended(&mut client).await;
    assert_eq!((link.carried(Direction::ToTarget), link.carried(Direction::ToClient)), (5, 8));
    drop(client);
    timeout(TIMEOUT, async {
        while link.open() > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await
    .expect("nothing of a connection remains");
}

#[tokio::test]
async fn latency_delays_each_way_and_the_opening() {
    let (link, target) = linked().await;
    let latency = Duration::from_millis(60);
    link.delay(latency, Duration::ZERO);
    let begun = Instant::now();
    let (mut client, mut server) = connected(&link, &target).await;
    assert!(begun.elapsed() >= 2 * latency, "opened in {:?}", begun.elapsed());
    let begun = Instant::now();
    client.write_all(b"x").await.unwrap();
    receive(&mut server, 1).await;
    assert!(begun.elapsed() >= latency);
    server.write_all(b"y").await.unwrap();
    receive(&mut client, 1).await;
    assert!(begun.elapsed() >= 2 * latency, "round trip in {:?}", begun.elapsed());
}

#[tokio::test]
async fn latency_does_not_limit_throughput() {
    let (link, target) = linked().await;
    link.delay(Duration::from_secs(1), Duration::ZERO);
    let (mut client, mut server) = connected(&link, &target).await;
    let sent = numbered(4 << 20);
    let expected = sent.clone();
    let sender = tokio::spawn(async move { client.write_all(&sent).await });
    // 256 parcels one after another would take 256 seconds, far beyond `TIMEOUT`.
    assert_eq!(receive(&mut server, expected.len()).await, expected);
    sender.await.unwrap().unwrap();
}

#[tokio::test]
async fn jitter_spreads_parcels_and_keeps_their_order() {
    let (link, target) = linked().await;
    link.delay(Duration::ZERO, Duration::from_millis(40));
    let (mut client, mut server) = connected(&link, &target).await;
    let sent = numbered(64 << 10);
    let expected = sent.clone();
    let sender = tokio::spawn(async move {
        for part in sent.chunks(1_024) {
            client.write_all(part).await.unwrap();
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        client
    });
    let mut arrivals = Vec::new();
    let mut received = Vec::new();
    while received.len() < expected.len() {
        let mut bytes = vec![0; 4 << 10];
        let len = timeout(TIMEOUT, server.read(&mut bytes)).await.unwrap().unwrap();
        received.extend_from_slice(&bytes[..len]);
        arrivals.push(Instant::now());
    }
    drop(sender.await.unwrap());
    assert_eq!(received, expected);
    let longest = arrivals.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap();
    assert!(longest >= Duration::from_millis(8), "parcels came evenly, at most {longest:?} apart");
}

#[tokio::test]
async fn a_narrow_link_has_its_bandwidth_for_any_number_of_connections() {
    let (link, target) = linked().await;
    link.narrow(NonZeroU32::new(200_000));
    let mut pairs = Vec::new();
    for _ in 0..2 {
        pairs.push(connected(&link, &target).await);
    }
    let begun = Instant::now();
    let received = pairs.into_iter().map(|(mut client, mut server)| {
        tokio::spawn(async move {
            client.write_all(&numbered(50_000)).await.unwrap();
            assert_eq!(receive(&mut server, 50_000).await, numbered(50_000));
        })
    });
    for done in received.collect::<Vec<_>>() {
        done.await.unwrap();
    }
    let took = begun.elapsed();
    assert!(took >= Duration::from_millis(450), "100 kB at 200 kB/s took {took:?}");
}

#[tokio::test]
async fn held_bytes_arrive_when_they_are_released() {
    let (link, target) = linked().await;
    let (mut client, mut server) = connected(&link, &target).await;
    link.hold(Side::ToTarget);
    client.write_all(b"held").await.unwrap();
    assert_silent(&mut server).await;
    server.write_all(b"open").await.unwrap();
    assert_eq!(receive(&mut client, 4).await, b"open", "the other direction is unaffected");
    client.shutdown().await.unwrap();
    assert_silent(&mut server).await;
    link.heal();
    assert_eq!(receive(&mut server, 4).await, b"held");
    assert_ended(&mut server).await;
}

#[tokio::test]
async fn a_held_link_accepts_no_more_than_its_queue() {
    let (link, target) = linked().await;
    link.change(|conditions| conditions.to_target.queue_bytes = 64 << 10);
    let (mut client, mut server) = connected(&link, &target).await;
    link.hold(Side::ToTarget);
    let sent = numbered(64 << 20);
    let expected = sent.clone();
    let mut written = 0;
    while let Ok(len) = timeout(WHILE, client.write(&sent[written..])).await {
        written += len.unwrap();
        assert!(written < sent.len(), "the sender had no backpressure");
    }
    link.heal();
    let sender = tokio::spawn(async move { client.write_all(&sent[written..]).await });
    assert_eq!(receive(&mut server, expected.len()).await, expected);
    sender.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_reset_ends_open_connections_at_both_ends_but_no_later_ones() {
    let (link, target) = linked().await;
    let (mut client, mut server) = connected(&link, &target).await;
    client.write_all(b"x").await.unwrap();
    receive(&mut server, 1).await;
    assert_eq!(link.reset(), 1);
    assert_reset(&mut client).await;
    assert_reset(&mut server).await;
    let (mut client, mut server) = connected(&link, &target).await;
    client.write_all(b"y").await.unwrap();
    assert_eq!(receive(&mut server, 1).await, b"y");
}

#[tokio::test]
async fn a_reset_of_one_end_reaches_the_other_once_its_lane_is_open() {
    let (link, target) = linked().await;
    let (mut client, mut server) = connected(&link, &target).await;
    client.write_all(b"x").await.unwrap();
    receive(&mut server, 1).await;
    link.cut(Side::Both);
    server.set_zero_linger().unwrap();
    drop(server);
    assert_silent(&mut client).await;
    link.heal();
    assert_reset(&mut client).await;
}

#[tokio::test]
async fn a_target_that_refuses_connections_resets_the_client() {
    let (link, target) = linked().await;
    drop(target);
    let mut client = TcpStream::connect(link.address()).await.unwrap();
    assert_reset(&mut client).await;
}

#[tokio::test]
async fn new_connections_are_refused_and_served_again_at_the_same_address() {
    let (link, target) = linked().await;
    let (mut client, mut server) = connected(&link, &target).await;
    link.refuse();
    timeout(TIMEOUT, async {
        while TcpStream::connect(link.address()).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await
    .expect("new connections are refused");
    client.write_all(b"x").await.unwrap();
    assert_eq!(receive(&mut server, 1).await, b"x", "open connections are unaffected");
    link.heal();
    timeout(TIMEOUT, async {
        while TcpStream::connect(link.address()).await.is_err() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await
    .expect("new connections are served");
}

#[tokio::test]
async fn swallowed_bytes_never_arrive_and_neither_end_notices() {
    let (link, target) = linked().await;
    let (mut client, mut server) = connected(&link, &target).await;
    client.write_all(b"x").await.unwrap();
    receive(&mut server, 1).await;
    assert_eq!(link.swallow(Side::ToClient), 1);
    server.write_all(&numbered(4 << 20)).await.unwrap();
    client.write_all(b"still").await.unwrap();
    assert_eq!(receive(&mut server, 5).await, b"still", "the other direction is open");
    drop(server);
    assert_silent(&mut client).await;
    let (mut later, mut server) = connected(&link, &target).await;
    server.write_all(b"new").await.unwrap();
    assert_eq!(receive(&mut later, 3).await, b"new", "a new connection is unaffected");
    link.heal();
    assert_silent(&mut client).await;
}

#[tokio::test]
async fn an_orphan_stays_open_without_its_peer() {
    let (link, target) = linked().await;
    let (mut client, mut server) = connected(&link, &target).await;
    client.write_all(b"x").await.unwrap();
    receive(&mut server, 1).await;
    assert_eq!(link.orphan(End::Client), 1);
    assert_ended(&mut server).await;
    client.write_all(b"anybody?").await.unwrap();
    assert_silent(&mut client).await;
}

#[tokio::test]
async fn a_target_is_orphaned_like_a_client() {
    let (link, target) = linked().await;
    let (mut client, mut server) = connected(&link, &target).await;
    client.write_all(b"x").await.unwrap();
    receive(&mut server, 1).await;
    assert_eq!(link.orphan(End::Target), 1);
    assert_ended(&mut client).await;
    assert_silent(&mut server).await;
}

#[tokio::test]
async fn a_cut_link_opens_nothing_until_it_is_healed() {
    let (link, target) = linked().await;
    let (mut client, mut server) = connected(&link, &target).await;
    link.cut(Side::Both);
    client.write_all(b"there").await.unwrap();
    server.write_all(b"back").await.unwrap();
    assert_silent(&mut client).await;
    assert_silent(&mut server).await;
    let gave_up = TcpStream::connect(link.address()).await.unwrap();
    let mut waits = TcpStream::connect(link.address()).await.unwrap();
    waits.write_all(b"late").await.unwrap();
    assert!(timeout(WHILE, target.accept()).await.is_err(), "nothing opens");
    drop(gave_up);
    tokio::time::sleep(WHILE).await;
    link.heal();
    assert_eq!(receive(&mut client, 4).await, b"back");
    assert_eq!(receive(&mut server, 5).await, b"there");
    let (mut late, _) = timeout(TIMEOUT, target.accept()).await.unwrap().unwrap();
    assert_eq!(receive(&mut late, 4).await, b"late");
    assert!(timeout(WHILE, target.accept()).await.is_err(), "a client that has disconnected is not forwarded");
}

#[tokio::test]
async fn one_direction_is_cut_while_the_other_continues() {
    let (link, target) = linked().await;
    let (mut client, mut server) = connected(&link, &target).await;
    link.cut(Side::ToClient);
    server.write_all(b"lost?").await.unwrap();
    client.write_all(b"heard").await.unwrap();
    assert_eq!(receive(&mut server, 5).await, b"heard");
    assert_silent(&mut client).await;
    link.heal();
    assert_eq!(receive(&mut client, 5).await, b"lost?", "held, not lost");
}

#[tokio::test]
async fn a_dropped_link_closes_its_connections() {
    let (link, target) = linked().await;
    let (mut client, server) = connected(&link, &target).await;
    let address = link.address();
    drop(link);
    let mut byte = [0];
    let received = timeout(TIMEOUT, client.read(&mut byte)).await.expect("in time");
    assert!(matches!(received, Ok(0) | Err(_)), "{received:?}");
    assert!(TcpStream::connect(address).await.is_err());
    drop(server);
}
