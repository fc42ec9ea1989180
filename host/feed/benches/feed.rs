//! Measures what one connection carries over loopback: small calls, a snapshot, the tail. Prints the results without
//! judging them. Run it with `cargo bench -p littoral-feed`.

#[path = "../tests/support/mod.rs"]
mod support;

use littoral_feed::server::Config;
use littoral_model::freshness::Consistency;
use littoral_protocol::frame::*;
use littoral_wire::{records, rows};
use std::time::{Duration, Instant};
use support::*;

const ROWS: u64 = 1_000_000;

#[tokio::main]
async fn main() {
    calls(64).await;
    calls(1).await;
    snapshot().await;
    latency().await;
}

async fn calls(callers: u64) {
    let served = serve(Config::default()).await;
    (0..10_000).for_each(|key| served.leader.put(1, key));
    let calls = served.connect().await.calls;
    let begun = Instant::now();
    let until = begun + Duration::from_secs(3);
    let callers_running: Vec<_> = (0..callers)
        .map(|caller| {
            let calls = calls.clone();
            tokio::spawn(async move {
                let mut done = 0u64;
                while Instant::now() < until {
                    calls.read(keys(1, [(caller + done) % 10_000]), Consistency::Replica).await.unwrap();
                    done += 1;
                }
                done
            })
        })
        .collect();
    let mut done = 0;
    for caller in callers_running {
        done += caller.await.unwrap();
    }
    let per_second = done as f64 / begun.elapsed().as_secs_f64();
    println!("read calls, {callers} callers, one connection: {per_second:.0} per s");
}

async fn snapshot() {
    let served = serve(Config::default()).await;
    let before = served.leader.last();
    (0..ROWS).for_each(|key| served.leader.put(1, key));
    for (what, resume) in [("snapshot", None), ("tail", Some(before))] {
        let mut peer = served.connect().await;
        let begun = Instant::now();
        peer.sender.send(&hello(Views::All, resume)).unwrap();
        let (mut count, mut bytes_read) = (0u64, 0);
        while count < ROWS {
            match peer.receiver.next().await.unwrap().unwrap() {
                Downstream::SnapshotRows { bytes, .. } => {
                    bytes_read += bytes.len();
                    let rows: Vec<_> = rows::iter(&bytes).map(|row| row.unwrap().unwrap().to_row()).collect();
                    count += rows.len() as u64;
                }
                Downstream::Records { bytes, .. } => {
                    bytes_read += bytes.len();
                    count += records::iter(&bytes).filter(|record| record.is_ok()).count() as u64;
                }
                _ => {}
            }
        }
        let took = begun.elapsed().as_secs_f64();
        let (rate, mb) = (count as f64 / took, bytes_read as f64 / took / 1e6);
        println!("{what} of {count} rows, decoded: {rate:.0} rows/s, {mb:.0} MB/s");
    }
}

async fn latency() {
    let served = serve(Config::default()).await;
    let mut peer = served.connect().await;
    peer.sender.send(&hello(Views::All, Some(served.leader.last()))).unwrap();
    next_hello(&mut peer.receiver).await;
    let mut times = Vec::new();
    for key in 0..5_000 {
        let begun = Instant::now();
        served.leader.put(1, key);
        next(&mut peer.receiver).await;
        times.push(begun.elapsed());
        tokio::time::sleep(Duration::from_micros(100)).await;
    }
    times.sort();
    println!("head moved to records received: p50 {:?}, p99 {:?}", times[2_500], times[4_950]);
}
