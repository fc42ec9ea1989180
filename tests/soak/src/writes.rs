//! Batches, deletions and retried writes. Single rows with a record of the acknowledged ones are in
//! `littoral_cluster::load`.

use crate::findings::Findings;
use littoral_cluster::accounts::{self, VIEW};
use littoral_provision::http::Client;
use serde_json::{Value, json};
use std::{
    net::SocketAddr,
    ops::Range,
    sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    time::Duration,
};

/// The accounts that batches write and delete. Bounded, so that rows cannot be the cause of growth.
pub(crate) const BATCH_IDS: Range<i64> = 100_000..102_000;

/// The rows of a batch.
const BATCH: i64 = 100;

/// Writes batches until `stop` is set. Every fourth deletes its rows again; every fifth is sent twice under one key.
pub(crate) fn batches(
    door: SocketAddr,
    mut chance: fastrand::Rng,
    stop: &AtomicBool,
    count: &AtomicU64,
    findings: &Findings,
) {
    let mut client = Client::new(door).with_timeout(Duration::from_secs(10));
    let mut version = 0;
    while !stop.load(Relaxed) {
        version += 1;
        let first = chance.i64(BATCH_IDS.start..BATCH_IDS.end - BATCH);
        let rows: Vec<Value> = (first..first + BATCH).map(|id| accounts::row(id, version)).collect();
        let body = if version % 4 == 0 {
            let deletes: Vec<Value> = rows
                .iter()
                .map(|row| json!({ "key": row["key"], "event_timestamp": row["event_timestamp"] }))
                .collect();
            json!({ "deletes": deletes })
        } else {
            json!({ "rows": rows })
        };
        let key = format!("soak-{}-{version}", chance.u64(..));
        let times = if version % 5 == 0 { 2 } else { 1 };
        for _ in 0..times {
            let headers = [("content-type", "application/json"), ("idempotency-key", key.as_str())];
            let path = format!("/v1/views/{VIEW}/rows");
            match client.send("POST", &path, &headers, body.to_string().as_bytes()) {
                Ok(answer) if answer.status == 200 => drop(count.fetch_add(1, Relaxed)),
                Ok(answer) if matches!(answer.status, 429 | 503) => {}
                Ok(answer) => {
                    findings.add("a batch was rejected", || format!("{} {}", answer.status, answer.text()));
                }
                // The leader was killed.
                Err(_) => std::thread::sleep(Duration::from_millis(20)),
            }
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}
