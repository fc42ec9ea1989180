//! Readers of an edge: through both doors, one row and many, raw and through a module.

use crate::{findings::Findings, writes::BATCH_IDS};
use littoral_cluster::accounts::VIEW;
use littoral_provision::http::{Answer, Client};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    io,
    net::SocketAddr,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

/// The module that is called.
pub(crate) const MODULE: &str = "deeds";

/// Rows of a large read.
const MANY: i64 = 100;

/// A reader's pause: the soak tests duration, not throughput.
const PAUSE: Duration = Duration::from_millis(2);

/// Latencies of complete reads, by the second of the run in which they ended. Bounded: a few hundred per second.
#[derive(Debug, Default)]
pub(crate) struct Latencies(Mutex<BTreeMap<u64, Vec<u32>>>);

impl Latencies {
    fn record(&self, second: u64, took: Duration) {
        let micros = u32::try_from(took.as_micros()).unwrap_or(u32::MAX);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(second).or_default().push(micros);
    }

    /// Returns the 99th percentile of each second that `keep` selects, in microseconds, in order.
    pub(crate) fn p99s(&self, keep: impl Fn(u64) -> bool) -> Vec<(u64, u32)> {
        let mut seconds = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let p99 = |times: &mut Vec<u32>| {
            times.sort_unstable();
            times.get(times.len() * 99 / 100).copied().unwrap_or_default()
        };
        seconds.iter_mut().filter(|(second, _)| keep(**second)).map(|(second, times)| (*second, p99(times))).collect()
    }
}

/// The readers of one edge.
pub(crate) struct Readers<'a> {
    pub(crate) door: SocketAddr,
    pub(crate) began: Instant,
    pub(crate) stop: &'a AtomicBool,
    /// Receives latencies if the edge is never killed; every read of it must then be answered.
    pub(crate) latencies: Option<&'a Latencies>,
    pub(crate) count: &'a AtomicU64,
    pub(crate) findings: &'a Findings,
}

impl Readers<'_> {
    /// Reads until `stop` is set.
    pub(crate) fn run(&self, mut chance: fastrand::Rng) {
        let steady = self.latencies.is_some();
        let mut client = Client::new(self.door).with_timeout(Duration::from_secs(10));
        while !self.stop.load(Relaxed) {
            let begun = Instant::now();
            match one_read(&mut client, &mut chance) {
                Ok(answer) => {
                    if let Some(latencies) = self.latencies {
                        latencies.record(self.began.elapsed().as_secs(), begun.elapsed());
                    }
                    self.count.fetch_add(1, Relaxed);
                    // A module that is being replaced, or an edge that has just started, may reject reads.
                    let expected = answer.status == 200 || matches!(answer.status, 409 | 503 | 504);
                    if !expected || (steady && answer.status == 503 && !is_module(&answer)) {
                        self.findings.add("a read was rejected", || format!("{} {}", answer.status, answer.text()));
                    }
                }
                Err(error) if steady => {
                    self.findings.add("a running edge did not answer a read", || error.to_string());
                }
                Err(_) => std::thread::sleep(Duration::from_millis(20)),
            }
            std::thread::sleep(PAUSE);
        }
    }
}

fn is_module(answer: &Answer) -> bool {
    answer.text().contains("module")
}

fn one_read(client: &mut Client, chance: &mut fastrand::Rng) -> io::Result<Answer> {
    let features = json!([format!("{VIEW}:balance"), format!("{VIEW}:note")]);
    let ids = |chance: &mut fastrand::Rng, count: i64| -> Vec<i64> {
        (0..count).map(|_| BATCH_IDS.start + chance.i64(0..BATCH_IDS.end - BATCH_IDS.start)).collect()
    };
    let (path, body): (&str, Value) = match chance.u8(..10) {
        0..4 => ("/get-online-features", json!({ "features": features, "entities": { "account_id": ids(chance, 1) } })),
        4..7 => ("/v1/read", json!({ "features": features, "entities": { "account_id": ids(chance, 1) } })),
        7..9 => ("/v1/read", json!({ "features": features, "entities": { "account_id": ids(chance, MANY) } })),
        _ => {
            let entities = json!({ "account_id": [1], "deed": ["behave"], "n": [7] });
            ("/v1/read", json!({ "features": [format!("{MODULE}:out")], "entities": entities }))
        }
    };
    client.send("POST", path, &[("content-type", "application/json")], body.to_string().as_bytes())
}
