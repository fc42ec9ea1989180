//! What every log must do, on every storage. A further backend runs the same suite.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should fail")]

mod support;

use littoral_log::{
    AppendError, Batch, Log, ReadError, Retention,
    embedded::Embedded,
    storage::{Disk, Memory, Storage},
};
use littoral_model::{
    hlc::Hlc,
    position::{Epoch, Lsn},
    record::ChainHash,
};
use std::sync::Arc;
use support::{all, append, batch, options, record};

/// Opens a log: the same one at every call, once the one before was dropped.
type Open<'a> = &'a mut dyn FnMut() -> Box<dyn Log>;

fn suite(mut fresh: impl FnMut() -> Box<dyn FnMut() -> Box<dyn Log>>) {
    let checks: [fn(Open<'_>); 7] = [
        an_empty_log_has_no_records,
        what_was_appended_is_read_back_in_any_size,
        a_log_that_is_opened_again_goes_on_where_it_was,
        chain_hashes_are_known_from_before_the_oldest_to_the_tail,
        what_does_not_follow_is_refused,
        an_older_epoch_is_fenced,
        trimming_keeps_what_it_must_and_says_what_is_gone,
    ];
    for check in checks {
        let mut open = fresh();
        check(&mut *open);
    }
}

#[test]
fn the_embedded_log_conforms_on_a_real_disk() {
    suite(|| {
        let directory = tempfile::tempdir().unwrap();
        Box::new(move || {
            let storage: Arc<dyn Storage> = Arc::new(Disk::at(directory.path()).unwrap());
            Box::new(support::open(&storage))
        })
    });
}

#[test]
fn the_embedded_log_conforms_in_memory_with_and_without_a_cache() {
    for cache_bytes in [0, 10_000, 1 << 30] {
        suite(|| {
            let memory = Memory::new();
            Box::new(move || {
                let storage: Arc<dyn Storage> = Arc::new(memory.reopened());
                Box::new(Embedded::open(storage, littoral_log::embedded::Options { cache_bytes, ..options() }).unwrap())
            })
        });
    }
}

fn an_empty_log_has_no_records(open: Open<'_>) {
    let log = open();
    let bounds = log.bounds();
    assert_eq!((bounds.oldest, bounds.tail, bounds.chain), (Lsn(1), Lsn::NONE, ChainHash::GENESIS));
    assert_eq!(log.read(Lsn(1), 100).unwrap().bytes.len(), 0);
    assert_eq!(log.chain_at(Lsn::NONE).unwrap(), Some(ChainHash::GENESIS));
    let incarnation = log.identity().incarnation;
    drop(log);
    assert_eq!(open().identity().incarnation, incarnation);
}

fn what_was_appended_is_read_back_in_any_size(open: Open<'_>) {
    let log = open();
    let mut tail = 0;
    for records in [1, 7, 1, 100, 3] {
        let block = append(&*log, records, 300).unwrap();
        assert_eq!((block.first, block.last), (Lsn(tail + 1), Lsn(tail + records)));
        tail += records;
    }
    assert_eq!(all(&*log).len(), 112);
    for from in [1, 2, 8, 9, 10, 50, 112] {
        for bytes_max in [1, 500, 5_000, 1 << 20] {
            let block = log.read(Lsn(from), bytes_max).unwrap();
            assert_eq!(block.first, Lsn(from));
            let records: Vec<_> = littoral_wire::records::iter(&block.bytes).map(|r| r.unwrap().lsn.0).collect();
            assert_eq!(records, (from..=block.last.0).collect::<Vec<_>>(), "{from} {bytes_max}");
            assert!(block.bytes.len() <= bytes_max.max(500), "{} of {bytes_max}", block.bytes.len());
        }
    }
    assert!(log.read(Lsn(113), 100).unwrap().bytes.is_empty());
}

fn a_log_that_is_opened_again_goes_on_where_it_was(open: Open<'_>) {
    for round in 1..=4 {
        let log = open();
        for _ in 0..10 {
            append(&*log, 10, 500).unwrap();
        }
        let bounds = log.bounds();
        assert_eq!(bounds.tail, Lsn(100 * round));
        drop(log);
        assert_eq!(open().bounds(), bounds);
    }
    assert_eq!(all(&*open()).len(), 400);
}

fn chain_hashes_are_known_from_before_the_oldest_to_the_tail(open: Open<'_>) {
    let log = open();
    let mut chains = vec![ChainHash::GENESIS];
    for _ in 0..20 {
        let block = append(&*log, 9, 1_000).unwrap();
        chains.extend(littoral_wire::records::iter(&block.bytes).map(|record| record.unwrap().chain));
    }
    for (lsn, chain) in chains.iter().enumerate() {
        assert_eq!(log.chain_at(Lsn(lsn as u64)).unwrap(), Some(*chain), "{lsn}");
    }
    assert_eq!(log.chain_at(Lsn(181)).unwrap(), None);
}

fn what_does_not_follow_is_refused(open: Open<'_>) {
    let log = open();
    let stale = batch(&*log, 2, 10);
    append(&*log, 1, 10).unwrap();
    assert_eq!(log.append(stale).unwrap_err(), AppendError::NotNext { have: Lsn(1), want: Lsn(2) });
    let empty = Batch::after(&log.bounds(), Epoch::FIRST, 0);
    assert!(matches!(log.append(empty), Err(AppendError::Size { records: 0, .. })));
    let mut gap = Batch::after(&log.bounds(), Epoch::FIRST, 0);
    assert!(gap.push(record(Lsn(3), Epoch::FIRST, b"x")).is_err());
    assert_eq!(log.bounds().tail, Lsn(1));
    append(&*log, 1, 10).unwrap();
    assert_eq!(all(&*log).len(), 2);
}

fn an_older_epoch_is_fenced(open: Open<'_>) {
    let log = open();
    let mut next = Batch::after(&log.bounds(), Epoch(5), 0);
    next.push(record(Lsn(1), Epoch(5), b"x")).unwrap();
    log.append(next).unwrap();
    drop(log);
    let log = open();
    assert_eq!(log.bounds().epoch, Epoch(5));
    let mut old = Batch::after(&log.bounds(), Epoch(4), 0);
    old.push(record(Lsn(2), Epoch(4), b"x")).unwrap();
    assert_eq!(log.append(old).unwrap_err(), AppendError::Fenced { have: Epoch(4), log: Epoch(5) });
}

fn trimming_keeps_what_it_must_and_says_what_is_gone(open: Open<'_>) {
    let log = open();
    for _ in 0..100 {
        append(&*log, 10, 500).unwrap();
    }
    let keep_all = Retention { through: Lsn(1_000), bytes_max: u64::MAX, before: Hlc(0) };
    assert_eq!(log.trim(keep_all).unwrap(), Lsn(1));
    assert_eq!(log.trim(Retention { through: Lsn::NONE, bytes_max: 0, before: Hlc(0) }).unwrap(), Lsn(1));
    let oldest = log.trim(Retention { through: Lsn(300), bytes_max: 0, before: Hlc(0) }).unwrap();
    assert!(oldest > Lsn(100) && oldest <= Lsn(301), "{oldest}");
    assert_eq!(log.bounds().oldest, oldest);
    assert_eq!(log.read(Lsn(1), 100).unwrap_err(), ReadError::Trimmed { from: Lsn(1), oldest });
    assert!(log.chain_at(Lsn(oldest.0 - 1)).unwrap().is_some());
    assert_eq!(log.chain_at(Lsn(oldest.0 - 2)).unwrap(), None);
    // By age: the clock readings of the test's records are 1,000 ms + their number.
    let by_age = log.trim(Retention { through: Lsn(1_000), bytes_max: u64::MAX, before: Hlc::new(1_600, 0) }).unwrap();
    assert!(by_age > oldest && by_age <= Lsn(601), "{by_age}");
    assert_eq!(all(&*log).len() as u64, 1_001 - by_age.0);
    let bounds = log.bounds();
    drop(log);
    let log = open();
    assert_eq!(log.bounds(), bounds);
    append(&*log, 1, 10).unwrap();
    let all_trimmed = log.trim(Retention { through: Lsn(1_001), bytes_max: 0, before: Hlc(0) }).unwrap();
    assert!(all_trimmed <= Lsn(1_001), "the segment that is written to stays");
    assert!(all(&*log).contains(&Lsn(1_001)));
}
