//! Durable writes, compared with a bare loop that appends the same bytes with the same number of fsyncs.
//!
//! Writers call the leader's peer listener over loopback, like edges that forward writes. The leader's counters hold
//! what its log wrote and how often it synced; the bare loop then does the same on the same file system.

use crate::bench::{
    appends::{self, Appended},
    data::{self, Rows},
    failure::Failure,
    histogram::Latencies,
    http_load,
    load::{self, Framing, Load, Pace},
    measurement::{Figures, Measurement, median},
    names,
    session::Effort,
    setup::Setup,
};
use littoral_model::write::WriteRequest;
use serde_json::json;
use std::time::Instant;
use tokio::task::JoinSet;

/// Writers of single rows.
const CLIENTS: usize = 64;

/// Rows of one batch.
const BATCH: u64 = 1_000;

/// The writer's batches in flight: it sends the next while the last is made durable. More would share an fsync, and so
/// would the bare loop's.
const BATCHES_IN_FLIGHT: usize = 2;

/// How many different writes a writer draws from. Like the bare loop's bytes, they are created before the clock starts.
const VARIETY: usize = 64;

/// The leader's counters among its metrics: bytes that its log wrote, and appends, each with one fsync.
const BYTES: &str = "littoral_leader_log_bytes_total";
const SYNCS: &str = "littoral_leader_append_seconds_count";

/// The result of one run of writers.
struct Run {
    /// Durable rows per second.
    rate: f64,
    /// Rows per second of the bare loop.
    bare: f64,
    /// Rows per fsync.
    group: f64,
    latencies: Latencies,
}

/// Measures 64 clients with one row each.
pub fn single_rows(setup: &Setup, rows: Rows, effort: Effort) -> Result<Measurement, Failure> {
    let runs = runs(setup, rows, effort, CLIENTS, 1)?;
    let http = over_http(setup, effort)?;
    let work = format!("durable writes: {CLIENTS} clients, one row each");
    Ok(measurement(names::WRITE_ROWS, work, &runs, 0.5)
        .note(format!("over HTTP at the leader's door (JSON): {http:.0} rows/s")))
}

/// Measures one client with batches of 1,000 rows.
pub fn batches(setup: &Setup, rows: Rows, effort: Effort) -> Result<Measurement, Failure> {
    let runs = runs(setup, rows, effort, BATCHES_IN_FLIGHT, BATCH)?;
    let work = format!("durable writes: one client, batches of {BATCH} rows");
    Ok(measurement(names::WRITE_BATCHES, work, &runs, 0.6)
        .note(format!("{BATCHES_IN_FLIGHT} batches in flight on one connection")))
}

fn measurement(name: &'static str, work: String, runs: &[Run], factor: f64) -> Measurement {
    let of = |figure: fn(&Run) -> f64| median(&runs.iter().map(figure).collect::<Vec<_>>());
    let (p50, p99) = (of(|run| run.latencies.quantile_us(0.5)), of(|run| run.latencies.quantile_us(0.99)));
    let rounds = |figure: fn(&Run) -> f64| Figures::from(&runs.iter().map(figure).collect::<Vec<_>>()[..]);
    Measurement::new(name, work, "rows/s", rounds(|run| run.rate))
        .at_least(factor, "bare append + fdatasync", Some(rounds(|run| run.bare)))
        .note(format!("{:.0} rows per fsync; acknowledged p50 {p50:.0} us, p99 {p99:.0} us", of(|run| run.group)))
}

fn runs(setup: &Setup, rows: Rows, effort: Effort, writers: usize, batch: u64) -> Result<Vec<Run>, Failure> {
    (0..effort.rounds).map(|_| one_run(setup, rows, effort, writers, batch)).collect()
}

fn one_run(setup: &Setup, rows: Rows, effort: Effort, writers: usize, batch: u64) -> Result<Run, Failure> {
    let writes = (0..writers).map(|writer| drawn(rows, effort, writer, batch)).collect();
    let before = appended(setup)?;
    let start = Instant::now();
    let latencies = setup.runtime.block_on(write_for(setup, effort, writes))?;
    let seconds = start.elapsed().as_secs_f64();
    let done = appended(setup)?.since(before);
    let bare_seconds = appends::seconds(setup.cluster.dir(), done)?;
    let count = latencies.len() as f64 * batch as f64;
    Ok(Run { rate: count / seconds, bare: count / bare_seconds, group: count / done.syncs.max(1.0), latencies })
}

/// Returns the writes of one writer.
fn drawn(rows: Rows, effort: Effort, writer: usize, batch: u64) -> Vec<WriteRequest> {
    let mut random = fastrand::Rng::with_seed(writer as u64);
    let write = |_| {
        let first = random.u64(..effort.rows);
        rows.write((0..batch).map(|at| (first + at) % effort.rows), data::EVENT_TIME)
    };
    (0..VARIETY).map(write).collect()
}

async fn write_for(setup: &Setup, effort: Effort, writes: Vec<Vec<WriteRequest>>) -> Result<Latencies, Failure> {
    let end = Instant::now() + effort.run;
    let mut tasks = JoinSet::new();
    for writes in writes {
        let calls = setup.calls();
        tasks.spawn(async move {
            let mut latencies = Latencies::default();
            let mut writes = writes.iter().cycle().cloned();
            let mut next = writes.next();
            while let Some(write) = next
                && Instant::now() < end
            {
                let sent = Instant::now();
                // The next one is prepared while this one is in flight.
                let (written, ready) = tokio::join!(calls.write(write), async { writes.next() });
                written.map_err(|error| Failure::new("a write", error))?;
                latencies.record(sent.elapsed());
                next = ready;
            }
            Ok::<_, Failure>(latencies)
        });
    }
    let mut all = Latencies::default();
    while let Some(done) = tasks.join_next().await {
        all.add(&done.map_err(|error| Failure::new("a writer", error))??);
    }
    Ok(all)
}

/// Returns what the leader's log has done to its disk so far.
fn appended(setup: &Setup) -> Result<Appended, Failure> {
    let metrics = setup.cluster.leader.client().get("/metrics")?.text();
    let value = |name: &str| {
        let line = metrics.lines().find_map(|line| line.strip_prefix(name));
        let value = line.and_then(|rest| rest.split(' ').next_back()?.parse().ok());
        value.ok_or_else(|| Failure(format!("the leader's metrics have no '{name}'")))
    };
    Ok(Appended { bytes: value(BYTES)?, syncs: value(SYNCS)? })
}

/// Returns the rows per second of as many HTTP clients of the leader's door.
fn over_http(setup: &Setup, effort: Effort) -> Result<f64, Failure> {
    let mut random = fastrand::Rng::with_seed(11);
    let path = format!("/v1/views/{}/rows", data::STATS);
    let request = |_| {
        let id = random.u64(..effort.rows);
        let values: serde_json::Map<_, _> =
            (0..data::FEATURES).map(|feature| (format!("f{feature}"), json!(data::value(id, feature)))).collect();
        let row = json!({ "key": { "bench_id": id }, "values": values, "event_timestamp": "2026-01-01T00:00:00Z" });
        http_load::post(&path, &json!({ "rows": [row] }).to_string())
    };
    let requests = (0..1_024).map(request).collect();
    let (framing, pace, duration) = (Framing::Http, Pace::Closed, effort.run);
    let address = setup.cluster.leader.ready.door;
    Ok(load::run(&Load { address, requests, framing, connections: CLIENTS, pace, tls: None, duration })?.rate)
}
