//! Disks that are full, fail and lose power. The storage is simulated; the log is the production code.

mod support;

use littoral_log::{
    AppendError, Log,
    embedded::{Embedded, Options},
    storage::{Disk, Faults, Memory, Storage},
};
use littoral_model::position::Lsn;
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering::Relaxed},
};
use support::{SEGMENT, all, append, chance, open, options};

#[test]
fn each_batch_costs_one_sync() {
    let memory = Memory::new();
    let storage: Arc<dyn Storage> = Arc::new(memory.clone());
    let log = open(&storage);
    append(&log, 1, 10).unwrap();
    let before = memory.syncs();
    for _ in 0..50 {
        append(&log, 5, 100).unwrap();
    }
    assert_eq!(memory.syncs() - before, 50);
}

#[test]
fn a_full_disk_rejects_batches_until_there_is_space() {
    let memory = Memory::new();
    let storage: Arc<dyn Storage> = Arc::new(memory.clone());
    let log = open(&storage);
    memory.set_faults(Faults { capacity: Some(2 * SEGMENT + 10_000), ..Faults::default() });
    let mut accepted = 0;
    let error = loop {
        match append(&log, 4, 1_000) {
            Ok(_) => accepted += 4,
            Err(error) => break error,
        }
    };
    assert!(matches!(error, AppendError::NoSpace(_)), "{error}");
    assert!(accepted > 80);
    assert_eq!(all(&log).len(), accepted, "reads continue");
    assert!(append(&log, 4, 1_000).is_err(), "still full");
    memory.set_faults(Faults::default());
    append(&log, 4, 1_000).unwrap();
    assert_eq!(all(&log).len(), accepted + 4);
    drop(log);
    let log = Embedded::open(Arc::new(memory.crash(3)), options()).unwrap();
    assert_eq!(all(&log).len(), accepted + 4);
}

#[test]
fn creating_files_ahead_of_time_never_disturbs_appends() {
    let directory = tempfile::tempdir().unwrap();
    let at = || -> Arc<dyn Storage> { Arc::new(Disk::at(directory.path()).unwrap()) };
    let log = Embedded::open(at(), Options { segment_bytes: 8 << 10, ..options() }).unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Relaxed) {
                log.prepare();
            }
        });
        for _ in 0..400 {
            append(&log, 3, 500).unwrap();
        }
        done.store(true, Relaxed);
    });
    assert_eq!(all(&log).len(), 1_200);
    drop(log);
    assert_eq!(all(&open(&at())).len(), 1_200);
}

#[test]
fn a_log_on_a_full_disk_opens_and_reads() {
    let memory = Memory::new();
    let storage: Arc<dyn Storage> = Arc::new(memory.clone());
    let log = open(&storage);
    append(&log, 4, 1_000).unwrap();
    drop((log, storage));
    let full = memory.crash(0);
    full.set_faults(Faults { capacity: Some(1), ..Faults::default() });
    let log = Embedded::open(Arc::new(full), options()).unwrap();
    assert_eq!(all(&log).len(), 4);
}

#[test]
fn after_a_failed_fsync_the_next_batch_uses_a_new_file_and_the_rejected_one_never_reappears() {
    for seed in 0..32 {
        let memory = Memory::new();
        let storage: Arc<dyn Storage> = Arc::new(memory.clone());
        let log = open(&storage);
        append(&log, 3, 700).unwrap();
        memory.set_faults(Faults { sync_fails_after: Some(0), ..Faults::default() });
        // Larger than the next batch, so that its remains would show.
        assert!(matches!(append(&log, 9, 700), Err(AppendError::Io(_))));
        assert_eq!(log.bounds().tail, Lsn(3));
        assert_eq!(all(&log).len(), 3);
        append(&log, 2, 50).unwrap();
        let segments = memory.list().unwrap().iter().filter(|name| name.ends_with(".seg")).count();
        assert_eq!(segments, 2, "a new file, because the old one's pages cannot be trusted");
        append(&log, 2, 50).unwrap();
        let bounds = log.bounds();
        let log = Embedded::open(Arc::new(memory.crash(seed)), options()).unwrap();
        assert_eq!(log.bounds(), bounds, "seed {seed}");
        assert_eq!(all(&log).len(), 7);
    }
}

#[test]
fn a_failure_to_begin_a_segment_leaves_no_file() {
    let memory = Memory::new();
    let storage: Arc<dyn Storage> = Arc::new(memory.clone());
    let log = open(&storage);
    for _ in 0..20 {
        memory.set_faults(Faults { sync_fails_after: Some(0), ..Faults::default() });
        append(&log, 1, 10).unwrap_err();
    }
    append(&log, 1, 10).unwrap();
    let mut names = memory.list().unwrap();
    names.sort();
    assert_eq!(names, ["identity", "log-00000000000000000001.seg"]);
}

#[test]
fn after_a_crash_a_failed_batch_is_found_complete_or_not_at_all() {
    for seed in 0..64 {
        let memory = Memory::new();
        let storage: Arc<dyn Storage> = Arc::new(memory.clone());
        let log = open(&storage);
        append(&log, 3, 700).unwrap();
        memory.set_faults(Faults { write_fails_after: Some(seed * 40), ..Faults::default() });
        let failed = append(&log, 3, 700).is_err();
        let log = Embedded::open(Arc::new(memory.crash(seed)), options()).unwrap();
        let found = all(&log).len();
        assert!(if failed { found == 3 || found == 6 } else { found == 6 }, "{found} after seed {seed}");
    }
}

/// Runs power losses, torn writes, failed fsyncs and full disks in any order. Everything acknowledged must be found
/// afterwards, in order and chained, and nothing that was never appended.
#[test]
fn no_acknowledged_batch_is_ever_lost() {
    for seed in 0..80_u64 {
        let mut seeded = seed;
        let mut memory = Memory::new();
        let mut acknowledged = 0;
        for _life in 0..6 {
            let opened = Embedded::open(Arc::new(memory.clone()), options());
            let log = match opened {
                Ok(log) => log,
                // A failing disk may prevent opening, but only while it fails.
                Err(error) => {
                    memory = memory.crash(chance(&mut seeded));
                    let retried = Embedded::open(Arc::new(memory.clone()), options());
                    retried.unwrap_or_else(|again| panic!("seed {seed}: {error}, then {again}"))
                }
            };
            let tail = log.bounds().tail.0;
            assert!(tail >= acknowledged, "seed {seed}: {acknowledged} acknowledged, {tail} found");
            assert_eq!(all(&log).len() as u64, tail, "seed {seed}");
            acknowledged = tail;
            for _ in 0..chance(&mut seeded) % 40 {
                match chance(&mut seeded) % 12 {
                    0 => memory.set_faults(Faults { sync_fails_after: Some(0), ..Faults::default() }),
                    1 => {
                        let left = chance(&mut seeded) % 5_000;
                        memory.set_faults(Faults { write_fails_after: Some(left), ..Faults::default() });
                    }
                    2 => memory.set_faults(Faults { capacity: Some(SEGMENT * 3 / 2), ..Faults::default() }),
                    3 => memory.set_faults(Faults::default()),
                    4 => log.prepare(),
                    _ => {}
                }
                let before = log.bounds();
                let (records, bytes) = (1 + chance(&mut seeded) % 20, (chance(&mut seeded) % 2_000) as usize);
                match append(&log, records, bytes) {
                    Ok(block) => acknowledged = block.last.0,
                    Err(_) => assert_eq!(log.bounds(), before, "seed {seed}: a rejected batch leaves no trace"),
                }
            }
            memory.set_faults(Faults::default());
            memory = memory.crash(chance(&mut seeded));
        }
    }
}
