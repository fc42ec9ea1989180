//! Compares appending with this log, a bare loop, and fjall, in one run. `host/decisions/0001-embedded-log.md` quotes
//! the results. Run it with `cargo bench -p littoral-log --features fjall`; `LITTORAL_BENCH_DIR` names the disk to
//! measure.

use std::{
    fs,
    os::unix::fs::FileExt,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use littoral_log::{
    Batch, Log,
    embedded::{Embedded, Options},
    storage::{Disk, Storage},
};
use littoral_model::{
    event_time::EventTime,
    hlc::Hlc,
    position::Epoch,
    record::{ChainHash, Payload, Record},
    view::ViewId,
};

const RUN: Duration = Duration::from_secs(3);
const FLOOR_FILE: usize = 1 << 30;
/// The size of a row in bytes; the next line is the size of its record.
const ROW: usize = 160;
const RECORD: usize = 200;

fn main() {
    let base = std::env::var_os("LITTORAL_BENCH_DIR").map_or_else(std::env::temp_dir, Into::into);
    let directory = base.join(format!("littoral-append-{}", std::process::id()));
    fs::create_dir_all(&directory).unwrap();
    println!("{:<28} {:>16} {:>16}", "records/s in batches of", 64, 1_000);
    let line = |name: &str, run: &dyn Fn(&Path, usize) -> f64| {
        println!("{name:<28} {:>16.0} {:>16.0}", run(&directory, 64), run(&directory, 1_000));
    };
    line("bare loop, zeros written", &|directory, batch| bare(directory, batch, true));
    line("bare loop, file that grows", &|directory, batch| bare(directory, batch, false));
    line("this log", &ours);
    #[cfg(feature = "fjall")]
    line("fjall, one value per batch", &fjall_batches);
    fs::remove_dir_all(&directory).unwrap();
}

/// Calls `append` until the time is up. Returns records per second.
fn rate(batch: usize, mut append: impl FnMut()) -> f64 {
    let (mut batches, begun) = (0_u64, Instant::now());
    while begun.elapsed() < RUN {
        append();
        batches += 1;
    }
    (batches * batch as u64) as f64 / begun.elapsed().as_secs_f64()
}

fn bare(directory: &Path, batch: usize, zeros_first: bool) -> f64 {
    let path = directory.join("bare");
    let file = fs::OpenOptions::new().create_new(true).write(true).open(&path).unwrap();
    if zeros_first {
        let zeros = vec![0; 1 << 20];
        (0..FLOOR_FILE / zeros.len()).for_each(|at| file.write_all_at(&zeros, (at * zeros.len()) as u64).unwrap());
        file.sync_all().unwrap();
    }
    let buffer = vec![7; batch * RECORD];
    let mut at = 0;
    let rate = rate(batch, || {
        if zeros_first && at + buffer.len() > FLOOR_FILE {
            at = 0;
        }
        file.write_all_at(&buffer, at as u64).unwrap();
        file.sync_data().unwrap();
        at += buffer.len();
    });
    fs::remove_file(path).unwrap();
    rate
}

fn ours(directory: &Path, batch: usize) -> f64 {
    let path = directory.join("ours");
    let storage: Arc<dyn Storage> = Arc::new(Disk::at(&path).unwrap());
    let options = Options {
        region: "eu".parse().unwrap(),
        first_epoch: Epoch::FIRST,
        segment_bytes: 64 << 20,
        cache_bytes: 32 << 20,
        entropy: 1,
    };
    let log = Embedded::open(storage, options).unwrap();
    let row = vec![7; ROW];
    let done = std::sync::atomic::AtomicBool::new(false);
    let rate = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                log.prepare();
                std::thread::sleep(Duration::from_millis(5));
            }
        });
        let rate = rate(batch, || {
            let bounds = log.bounds();
            let mut next = Batch::after(&bounds, bounds.epoch, batch * RECORD);
            for _ in 0..batch {
                let lsn = next.next_lsn();
                let payload = Payload::Row { view: ViewId(1), event_time: EventTime(5), key: b"01234567", body: &row };
                let record = Record {
                    lsn,
                    epoch: bounds.epoch,
                    origin: options.region,
                    origin_lsn: lsn,
                    hlc: Hlc(lsn.0),
                    chain: ChainHash::GENESIS,
                    payload,
                };
                next.push(record).unwrap();
            }
            log.append(next).unwrap();
        });
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        rate
    });
    fs::remove_dir_all(path).unwrap();
    rate
}

#[cfg(feature = "fjall")]
fn fjall_batches(directory: &Path, batch: usize) -> f64 {
    let path = directory.join("fjall");
    let database = fjall::Database::builder(&path).journal_compression(fjall::CompressionType::None).open().unwrap();
    let keyspace = database
        .keyspace("log", || {
            let uncompressed = fjall::config::CompressionPolicy::all(fjall::CompressionType::None);
            fjall::KeyspaceCreateOptions::default()
                .data_block_compression_policy(uncompressed)
                .compaction_strategy(Arc::new(fjall::compaction::Fifo::new(8 << 30, None)))
        })
        .unwrap();
    let value = vec![7; batch * RECORD];
    let mut lsn = 1_u64;
    let rate = rate(batch, || {
        keyspace.insert(lsn.to_be_bytes(), &value[..]).unwrap();
        database.persist(fjall::PersistMode::SyncData).unwrap();
        lsn += batch as u64;
    });
    drop((keyspace, database));
    fs::remove_dir_all(path).unwrap();
    rate
}
