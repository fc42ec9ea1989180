//! `feed.bandwidth_max` over real connections. That records do not wait for a snapshot's rows is tested without a clock
//! too, in `src/bandwidth.rs`.

mod support;

use littoral_feed::{client, server::Config};
use littoral_protocol::frame::*;
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};
use support::*;
use tokio::time::{sleep, timeout};

const BLOCK: u64 = 64 << 10;
const ROWS: u64 = 60_000;

/// The configuration of a leader that limits what it sends to region `us`.
fn limited(per_s: u64) -> Config {
    Config {
        bandwidth_max: [("us".parse().unwrap(), per_s)].into(),
        compression: littoral_feed::server::Compression::Off,
        snapshot_bytes: BLOCK as usize,
        records_bytes: BLOCK as usize,
        // The subscribers of these tests send no pings.
        idle_timeout_ms: 3_600_000,
        ..Config::default()
    }
}

async fn subscribe(served: &Served, region: &str, resume: Option<Resume>) -> client::Connection {
    let config = client::Config { region: region.parse().ok(), silence_timeout_ms: 60_000, ..served.client() };
    let mut peer = client::connect(&config).await.unwrap();
    peer.sender.send(&hello(Views::All, resume)).unwrap();
    next_hello(&mut peer.receiver).await;
    peer
}

/// Receives a snapshot, and counts the bytes of its rows.
async fn load(mut peer: client::Connection, loaded: Arc<AtomicU64>) -> u64 {
    loop {
        match next(&mut peer.receiver).await {
            Downstream::SnapshotRows { bytes, .. } => drop(loaded.fetch_add(bytes.len() as u64, SeqCst)),
            Downstream::SnapshotEnd { rows } => return rows,
            _ => {}
        }
    }
}

#[tokio::test]
async fn a_snapshot_is_slowed_and_delays_neither_records_nor_other_regions() {
    // The snapshot would take minutes. A block of it uses what the link carries in three seconds.
    let per_s = 20_000;
    let served = serve(limited(per_s)).await;
    (0..ROWS).for_each(|key| served.leader.put(1, key));
    let mut live = subscribe(&served, "us", Some(served.leader.last())).await;
    let (begun, loaded) = (Instant::now(), Arc::new(AtomicU64::new(0)));
    let loading = tokio::spawn(load(subscribe(&served, "us", None).await, loaded.clone()));
    while loaded.load(SeqCst) == 0 {
        sleep(Duration::from_millis(10)).await;
    }
    // A record that waited for the snapshot's blocks would take its turn with them. All of these have fewer bytes than
    // may be sent at once.
    let records = timeout(SOON, async {
        for record in 0..100 {
            served.leader.put(1, record);
            assert!(matches!(next(&mut live.receiver).await, Downstream::Records { .. }));
        }
    });
    records.await.expect("records do not wait");
    let elsewhere = timeout(SOON, load(subscribe(&served, "asia", None).await, Arc::default())).await;
    assert_eq!(elsewhere.expect("a region without a limit does not wait"), ROWS);
    let (loaded, most) = (loaded.load(SeqCst), per_s as f64 * (1.0 + begun.elapsed().as_secs_f64()));
    assert!(loaded as f64 <= most + 2.0 * BLOCK as f64, "{loaded} bytes of a snapshot, at most {most} are allowed");
    assert!(!loading.is_finished());
    loading.abort();
}

#[tokio::test]
async fn records_beyond_the_limit_wait_and_arrive_in_order() {
    let per_s = 1_000_000;
    let served = serve(limited(per_s)).await;
    let mut live = subscribe(&served, "us", Some(served.leader.last())).await;
    let (begun, first) = (Instant::now(), served.leader.last().position.lsn.0 + 1);
    (0..ROWS / 2).for_each(|key| served.leader.put(1, key));
    let last = served.leader.last().position.lsn.0;
    let (mut heartbeats, mut expected, mut received) = (0, first, 0);
    while expected <= last {
        match live.receiver.next().await.unwrap().unwrap() {
            Downstream::Records { first, last, bytes, .. } => {
                assert_eq!(first.0, expected);
                received += bytes.len() as u64;
                expected = last.0 + 1;
            }
            Downstream::Heartbeat { .. } => heartbeats += 1,
            other => panic!("{other:?}"),
        }
    }
    // A second's worth may be sent at once, and the last block is sent as soon as the one before is paid for.
    let least = (received - per_s - 2 * BLOCK) as f64 / per_s as f64;
    assert!(least > 1.0 && begun.elapsed().as_secs_f64() > least, "{received} bytes took {:?}", begun.elapsed());
    assert!(heartbeats > 1, "heartbeats are sent while records wait");
}
