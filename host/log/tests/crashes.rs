//! Cuts a log while the process or the disk fails at any disk operation. Afterwards the log is the old one or the new
//! one, the removed records exist in a detached tail, and no promise is lost.
//!
//! `LITTORAL_SEEDS=2000` runs more seeds.

mod support;

use littoral_log::{
    CutError, Log, Retention, detached,
    embedded::{Embedded, Options},
    storage::{Disk, Memory, Storage},
};
use littoral_model::{
    hlc::Hlc,
    mutation::{self, Mutation},
    ports::RecordBlock,
    position::{Epoch, Lsn},
    record::ChainHash,
};
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};
use support::{
    block, chance, content,
    failing::{Failing, Fault},
};

type Records = Vec<(Epoch, ChainHash)>;

/// The expected state of a log.
#[derive(Clone, Debug, Default)]
struct Model {
    records: Records,
    /// Other states that a crash may leave: those attempted since the last success.
    tried: Vec<Records>,
    /// All removed records: the first one's number, and their content.
    removed: Vec<(u64, Records)>,
    promised: Epoch,
    committed: Lsn,
}

impl Model {
    fn becomes(&mut self, records: Records) {
        self.records = records;
        self.tried.clear();
        self.promised = self.promised.max(self.records.last().map_or(Epoch(0), |(epoch, _)| *epoch));
    }

    fn with(&self, block: &RecordBlock) -> Records {
        self.records.iter().copied().chain(content(block)).collect()
    }

    fn remove_after(&mut self, after: Lsn) {
        let rest = self.records.split_off(after.0 as usize);
        self.removed.push((after.next().0, rest));
    }
}

fn options() -> Options {
    Options { segment_bytes: 6 << 10, ..support::options() }
}

/// Returns the log's records by number; trimmed ones are taken from `model`.
fn found(log: &dyn Log, model: &Records) -> Records {
    let bounds = log.bounds();
    let mut records: Records = model.iter().copied().take(bounds.oldest.0 as usize - 1).collect();
    assert_eq!(support::all(log).len() as u64, bounds.tail.0 + 1 - bounds.oldest.0);
    let mut next = bounds.oldest;
    while next <= bounds.tail {
        let block = log.read(next, 1_000).unwrap();
        records.extend(content(&block));
        next = block.last.next();
    }
    records
}

/// Compares an open log with the model.
fn check(log: &dyn Log, model: &Model) {
    let records = found(log, &model.records);
    assert_eq!(records, model.records);
    let (bounds, history) = (log.bounds(), log.history());
    assert_eq!((history.tail(), history.base().next()), (bounds.tail, bounds.oldest));
    assert!(history.is_valid());
    for lsn in bounds.oldest.0.saturating_sub(1)..=bounds.tail.0 {
        let wanted = (lsn as usize).checked_sub(1).map_or((Epoch(0), ChainHash::GENESIS), |at| records[at]);
        assert_eq!((history.epoch_at(Lsn(lsn)), log.chain_at(Lsn(lsn)).unwrap()), (Some(wanted.0), Some(wanted.1)));
    }
    assert!(log.promised() >= model.promised, "promised {}, found {}", model.promised, log.promised());
    assert!(log.committed() <= bounds.tail && log.committed() <= model.committed);
}

fn check_removed(storage: &dyn Storage, model: &Model) {
    let tails: Vec<(u64, Records)> = (detached::list(storage).unwrap().iter())
        .map(|tail| {
            let blocks = detached::read(storage, &tail.name).unwrap();
            (tail.first.0, blocks.flat_map(|block| content(&block.unwrap())).collect::<Records>())
        })
        .collect();
    for removed in &model.removed {
        assert!(tails.contains(removed), "the removed records from {} on are lost", removed.0);
    }
}

/// The state of one seed's run.
struct Run {
    chance: u64,
    model: Model,
    /// The newest epoch in use.
    epoch: u64,
}

impl Run {
    fn pick(&mut self, below: u64) -> u64 {
        chance(&mut self.chance) % below
    }

    /// Performs a random step and updates the model with its possible results.
    fn step(&mut self, log: &Embedded) {
        let bounds = log.bounds();
        match self.pick(12) {
            0..=3 => {
                self.epoch += u64::from(self.pick(4) == 0);
                let (count, bytes) = (1 + self.pick(6), self.pick(600) as usize);
                let epoch = bounds.epoch.max(Epoch(self.epoch));
                let block = block(&bounds, &[(epoch.0, count)], bytes);
                let mut batch = littoral_log::Batch::after(&bounds, epoch, 0);
                for record in littoral_wire::records::iter(&block.bytes) {
                    batch.push(record.unwrap()).unwrap();
                }
                let after = self.model.with(&block);
                match log.append(batch) {
                    Ok(_) => self.model.becomes(after),
                    Err(_) => self.model.tried.push(after),
                }
            }
            4..=5 => {
                self.epoch = self.epoch.max(bounds.epoch.0);
                let runs: Vec<(u64, u64)> =
                    (0..1 + self.pick(3)).map(|at| (self.epoch + at, 1 + self.pick(4))).collect();
                self.epoch = runs.last().unwrap().0;
                let block = block(&bounds, &runs, self.pick(500) as usize);
                let whole = self.model.with(&block);
                let result = log.append_block(&block);
                // Records up to `done` are durable; each epoch is there completely or not at all.
                let done = log.bounds().tail.0 as usize;
                let mut end = bounds.tail.0 as usize;
                let mut ends: Vec<usize> = Vec::new();
                for (_, count) in &runs {
                    end += *count as usize;
                    ends.push(end);
                }
                if done > bounds.tail.0 as usize {
                    self.model.becomes(whole[..done].to_vec());
                }
                let beyond = ends.into_iter().filter(|end| *end > done);
                self.model.tried.extend(beyond.map(|end| whole[..end].to_vec()));
                assert_eq!(result.is_ok(), done == whole.len());
            }
            6..=8 => {
                let least = (bounds.oldest.0 - 1).max(log.committed().0);
                let after = Lsn(least + self.pick(bounds.tail.0 + 1 - least));
                let before = self.model.clone();
                let cut = log.cut(after);
                let is_cut = log.bounds().tail == after;
                assert!(is_cut || log.bounds() == bounds, "neither cut nor whole");
                if is_cut && after < bounds.tail {
                    self.model.remove_after(after);
                }
                match cut {
                    Ok(detached) => {
                        let wanted = (after < bounds.tail).then_some((after.next(), bounds.tail));
                        assert_eq!(detached.map(|tail| (tail.first, tail.last)), wanted);
                        if wanted.is_some() {
                            self.model.tried.clear();
                        }
                    }
                    Err(CutError::Unfinished(_)) if is_cut => self.model.tried.push(before.records),
                    Err(_) => assert!(!is_cut || after == bounds.tail),
                }
            }
            9 => {
                self.epoch += self.pick(3);
                if log.promise(Epoch(self.epoch)).is_ok() {
                    self.model.promised = self.model.promised.max(Epoch(self.epoch));
                }
            }
            10 => {
                let committed = Lsn(self.pick(bounds.tail.0 + 3) / 2);
                log.note_committed(committed);
                self.model.committed = self.model.committed.max(committed);
                let _ = log.mark();
            }
            _ => {
                log.prepare();
                let through = Lsn(self.pick(bounds.tail.0 + 1) / 2);
                let _ = log.trim(Retention { through, bytes_max: 12 << 10, before: Hlc(0) });
            }
        }
    }

    /// Opens the log after a crash, and sets the model to whichever possible state is found.
    fn recover(&mut self, memory: &Memory) -> Embedded {
        let log = Embedded::open(Arc::new(memory.clone()), options())
            .unwrap_or_else(|error| panic!("the log cannot be opened after a crash: {error}"));
        let found = found(&log, self.model.tried.iter().max_by_key(|tried| tried.len()).unwrap_or(&self.model.records));
        if found != self.model.records {
            assert!(self.model.tried.contains(&found), "{} records, neither the old log nor the new one", found.len());
            self.model.becomes(found);
        }
        self.model.tried.clear();
        log
    }
}

/// Runs a log with a fault, crashes it, and continues without faults. Returns whether the fault occurred, and how often
/// records were removed.
fn run_with_fault(seed: u64, fault: Fault) -> (bool, usize) {
    let memory = Memory::new();
    let mut run = Run { chance: seed, model: Model::default(), epoch: 1 };
    drop(Embedded::open(Arc::new(memory.reopened()), options()).unwrap());
    let storage = Failing::new(&memory.reopened(), fault);
    if let Ok(log) = Embedded::open(Arc::new(storage.clone()), options()) {
        for _ in 0..8 {
            run.step(&log);
            if storage.has_ended() {
                break;
            }
            check(&log, &run.model);
        }
    }
    let failed = storage.has_failed();
    let mut memory = memory.crash(chance(&mut run.chance));
    // It may fail again during recovery.
    let again = Failing::new(&memory.reopened(), Fault::EndsAt(run.pick(12)));
    drop(Embedded::open(Arc::new(again), options()));
    memory = memory.crash(chance(&mut run.chance));
    let log = run.recover(&memory);
    check(&log, &run.model);
    check_removed(&memory, &run.model);
    for _ in 0..4 {
        run.step(&log);
        check(&log, &run.model);
    }
    drop(log);
    let memory = memory.crash(chance(&mut run.chance));
    check(&run.recover(&memory), &run.model);
    check_removed(&memory, &run.model);
    (failed, run.model.removed.len())
}

/// Runs with a fault at every operation in turn, until the operations end. Returns how often records were removed.
fn run_with_every_fault(seed: u64) -> usize {
    let mut removed = 0;
    for ends in [true, false] {
        for at in 0.. {
            let fault = if ends { Fault::EndsAt(at) } else { Fault::FailsAt(at) };
            let result = catch_unwind(AssertUnwindSafe(|| run_with_fault(seed, fault)));
            match result {
                Ok((failed, tails)) => {
                    removed += tails;
                    if !failed {
                        break;
                    }
                }
                Err(panic) => {
                    eprintln!("seed {seed}, {fault:?}");
                    std::panic::resume_unwind(panic);
                }
            }
        }
    }
    removed
}

fn seeds(default: u64) -> u64 {
    std::env::var("LITTORAL_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(default)
}

#[test]
fn a_cut_is_atomic_wherever_the_disk_or_the_process_fails() {
    let removed: usize = (0..seeds(20)).map(run_with_every_fault).sum();
    assert!(removed > 500, "only {removed} tails were detached");
}

#[test]
fn every_deliberate_fault_is_found() {
    for fault in Mutation::LOG {
        let found = (0..60).any(|seed| {
            mutation::set(Some(fault));
            let found = catch_unwind(|| run_with_every_fault(seed)).is_err();
            mutation::set(None);
            found
        });
        assert!(found, "{fault:?} is not found");
    }
}

#[test]
fn a_reader_during_a_cut_receives_records_that_follow_each_other() {
    let directory = tempfile::tempdir().unwrap();
    let storage: Arc<dyn Storage> = Arc::new(Disk::at(directory.path()).unwrap());
    let log = Embedded::open(storage, Options { cache_bytes: 3_000, ..options() }).unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let (mut read, mut from) = (0_u64, 1);
            while !done.load(Relaxed) {
                let tail = log.bounds().tail.0;
                from = if from > tail { 1 + read % tail.max(1) } else { from };
                let Ok(block) = log.read(Lsn(from), 2_000) else { continue };
                if block.bytes.is_empty() {
                    continue;
                }
                assert_eq!(block.first, Lsn(from));
                let mut records = littoral_wire::records::iter(&block.bytes).map(Result::unwrap);
                let mut chain = records.next().unwrap().chain;
                for record in records {
                    assert_eq!(record.chain_after(chain), record.chain, "record {}", record.lsn);
                    chain = record.chain;
                }
                let _ = log.chain_at(Lsn(from)).unwrap();
                read += 1;
                from = block.last.0 + 1;
            }
            read
        });
        for epoch in 1..150 {
            log.append_block(&block(&log.bounds(), &[(epoch, 6)], 400)).unwrap();
            log.cut(Lsn(log.bounds().tail.0 - epoch % 6)).unwrap();
        }
        done.store(true, Relaxed);
        assert!(reader.join().unwrap() > 100);
    });
    assert_eq!(support::all(&log).len() as u64, log.bounds().tail.0);
}

#[test]
fn records_being_cut_off_cannot_become_committed() {
    let log = Embedded::open(Arc::new(Memory::new()), options()).unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Relaxed) {
                let known = log.committed();
                log.note_committed(log.bounds().tail);
                assert!(log.committed() >= known);
            }
        });
        for _ in 0..300 {
            log.append_block(&block(&log.bounds(), &[(1, 6)], 10)).unwrap();
            let after = Lsn(log.bounds().tail.0 - 3);
            match log.cut(after) {
                Ok(_) => assert_eq!(log.bounds().tail, after),
                Err(error) => assert!(matches!(error, CutError::Committed { .. }), "{error}"),
            }
            assert!(log.committed() <= log.bounds().tail);
        }
        done.store(true, Relaxed);
    });
}
