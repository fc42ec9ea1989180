//! Measures a leader's durable writes, and the floor in the same run: a bare loop that writes the same bytes with as
//! many fsyncs into a file of zeros. `cargo bench -p littoral-leader [-- PART_OF_A_NAME]`; `LITTORAL_BENCH_DIR` names
//! the disk to measure.
//!
//! The floor is measured before and after, and the better of the two counts, because the speed of a shared disk varies.

#[path = "../tests/support/mod.rs"]
mod support;

use littoral_leader::{Config, Handle};
use littoral_model::{
    catalogue::CatalogueChange,
    event_time::EventTime,
    ports::{FeatureReader, FeatureWriter, Node},
    row_body::BodyBuilder,
    value::ValueType,
    view::{Feature, ViewId},
    write::{RowBatch, RowWrite, WriteRequest},
};
use std::{
    fs,
    os::unix::fs::FileExt,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio_util::sync::CancellationToken;

/// The allocator of the `littoral` program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const RUN: Duration = Duration::from_secs(3);
const FLOOR_FILE: usize = 1 << 30;
const KEYS: i64 = 100_000;

struct Load {
    name: &'static str,
    clients: usize,
    rows: usize,
    target: f64,
}

fn main() {
    let base = std::env::var_os("LITTORAL_BENCH_DIR").map_or_else(std::env::temp_dir, Into::into);
    let directory = base.join(format!("littoral-bench-{}", std::process::id()));
    fs::create_dir_all(&directory).unwrap();
    let wanted = std::env::args().skip(1).find(|argument| !argument.starts_with("--"));
    let workers = std::thread::available_parallelism().map_or(2, usize::from);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(workers).enable_all().build().unwrap();
    for load in [
        Load { name: "64 clients, one row each", clients: 64, rows: 1, target: 0.5 },
        Load { name: "batches of 1,000 rows, 4 in flight", clients: 4, rows: 1_000, target: 0.6 },
        Load { name: "batches of 1,000 rows, 1 in flight", clients: 1, rows: 1_000, target: 0.6 },
    ] {
        if wanted.as_ref().is_some_and(|part| !load.name.contains(part)) {
            continue;
        }
        let mut measured = runtime.block_on(leader(&directory.join("leader"), &load));
        let before = bare(&directory, measured.bytes_per_sync, measured.rows_per_sync);
        measured = runtime.block_on(leader(&directory.join("leader"), &load));
        let floor = before.max(bare(&directory, measured.bytes_per_sync, measured.rows_per_sync));
        let share = measured.rows_per_second / floor;
        println!(
            "{:<36} {:>9.0} rows/s, {:>6.1} rows a sync; bare loop {:>9.0} rows/s; {:>3.0}% (target {:.0}%)",
            load.name,
            measured.rows_per_second,
            measured.rows_per_sync,
            floor,
            100.0 * share,
            100.0 * load.target
        );
    }
    fs::remove_dir_all(&directory).unwrap();
}

struct Measured {
    rows_per_second: f64,
    rows_per_sync: f64,
    bytes_per_sync: usize,
}

async fn leader(directory: &Path, load: &Load) -> Measured {
    let stop = CancellationToken::new();
    let config = Config { data_dir: directory.to_owned(), ..Config::default() };
    let leader = littoral_leader::start(config, Arc::new(support::Modules::default()), stop.clone()).await.unwrap();
    let mut view = support::view("bench");
    view.features = (0..20).map(|n| Feature { name: format!("f{n}"), value_type: ValueType::Int64 }).collect();
    leader.change(CatalogueChange::PutView(view)).await.unwrap();
    let view = leader.catalogue().view("bench").unwrap().id;
    let before = leader.status();
    let begun = Instant::now();
    let clients: Vec<_> = (0..load.clients)
        .map(|client| tokio::spawn(write(leader.clone(), view, client as i64, load.rows, begun + RUN)))
        .collect();
    let mut rows = 0;
    for client in clients {
        rows += client.await.unwrap();
    }
    let seconds = begun.elapsed().as_secs_f64();
    let after = leader.status();
    let syncs = after.gauges["commits"] - before.gauges["commits"];
    let bytes = after.gauges["log_bytes_appended"] - before.gauges["log_bytes_appended"];
    stop.cancel();
    leader.stopped().await;
    drop(leader);
    fs::remove_dir_all(directory).unwrap();
    Measured {
        rows_per_second: rows as f64 / seconds,
        rows_per_sync: rows as f64 / syncs,
        bytes_per_sync: (bytes / syncs) as usize,
    }
}

async fn write(leader: Handle, view: ViewId, client: i64, rows: usize, until: Instant) -> u64 {
    let mut body = BodyBuilder::new(20);
    (0..20).for_each(|value| body.push_i64(value));
    let body = body.finish().unwrap();
    let mut written = 0;
    while Instant::now() < until {
        let mut batch = RowBatch::with_capacity(rows, 200 * rows);
        for row in 0..rows as i64 {
            let key = ((written as i64 + row) * 64 + client) % KEYS;
            let event_time = EventTime(written as i64 + row);
            batch.push(RowWrite { view, event_time, key: &key.to_le_bytes(), body: Some(&body) });
        }
        leader.write(WriteRequest { rows: batch, ..WriteRequest::default() }).await.unwrap();
        written += rows as u64;
    }
    written
}

/// Returns the floor: rows per second of a loop that writes `bytes` and syncs, repeatedly.
fn bare(directory: &Path, bytes: usize, rows: f64) -> f64 {
    let path = directory.join("bare");
    let file = fs::OpenOptions::new().create_new(true).write(true).open(&path).unwrap();
    let zeros = vec![0; 1 << 20];
    for at in 0..FLOOR_FILE / zeros.len() {
        file.write_all_at(&zeros, (at * zeros.len()) as u64).unwrap();
    }
    file.sync_all().unwrap();
    let buffer = vec![7; bytes];
    let (mut at, mut syncs) = (0, 0_u64);
    let begun = Instant::now();
    while begun.elapsed() < RUN {
        if at + bytes > FLOOR_FILE {
            at = 0;
        }
        file.write_all_at(&buffer, at as u64).unwrap();
        file.sync_data().unwrap();
        at += bytes;
        syncs += 1;
    }
    let rate = syncs as f64 * rows / begun.elapsed().as_secs_f64();
    drop(file);
    fs::remove_file(path).unwrap();
    rate
}
