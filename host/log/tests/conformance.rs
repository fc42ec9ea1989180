//! The requirements for every log on every storage. Another backend runs the same suite.

mod support;

use littoral_log::{
    AppendError, Batch, CutError, Log, ReadError, Retention,
    embedded::Embedded,
    storage::{Disk, Memory, Storage},
};
use littoral_model::{
    hlc::Hlc,
    ports::RecordBlock,
    position::{Epoch, Lsn},
    record::ChainHash,
};
use littoral_protocol::members::EpochHistory;
use std::sync::Arc;
use support::{all, append, batch, block, content, options, record};

/// Opens a log. Each call opens the same one, after the log before was dropped.
type Open<'a> = &'a mut dyn FnMut() -> Box<dyn Log>;

fn suite(mut fresh: impl FnMut() -> Box<dyn FnMut() -> Box<dyn Log>>) {
    let checks: [fn(Open<'_>); 12] = [
        an_empty_log_has_no_records,
        appended_records_are_read_back_in_blocks_of_any_size,
        a_reopened_log_continues_where_it_ended,
        chain_hashes_are_available_from_before_the_oldest_to_the_tail,
        a_batch_that_does_not_follow_is_rejected,
        an_older_epoch_is_rejected,
        trimming_keeps_to_its_bounds_and_reading_reports_trimmed_records,
        the_epoch_history_lists_where_each_epoch_begins,
        another_members_records_are_appended_unchanged_or_not_at_all,
        a_cut_log_equals_one_that_was_never_longer,
        a_cut_of_committed_or_trimmed_records_is_rejected,
        promises_and_the_committed_position_are_remembered,
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

fn appended_records_are_read_back_in_blocks_of_any_size(open: Open<'_>) {
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

fn a_reopened_log_continues_where_it_ended(open: Open<'_>) {
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

fn chain_hashes_are_available_from_before_the_oldest_to_the_tail(open: Open<'_>) {
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

fn a_batch_that_does_not_follow_is_rejected(open: Open<'_>) {
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

fn an_older_epoch_is_rejected(open: Open<'_>) {
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

fn trimming_keeps_to_its_bounds_and_reading_reports_trimmed_records(open: Open<'_>) {
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
    assert!(all_trimmed <= Lsn(1_001), "the segment that is being written remains");
    assert!(all(&*log).contains(&Lsn(1_001)));
}

fn the_epoch_history_lists_where_each_epoch_begins(open: Open<'_>) {
    let log = open();
    assert_eq!(log.history(), EpochHistory::default());
    let mut wanted = EpochHistory::default();
    for (epoch, count) in [(1, 3), (4, 200), (5, 1), (7, 200), (9, 2)] {
        for _ in 0..count {
            log.append_block(&block(&log.bounds(), &[(epoch, 1)], 800)).unwrap();
            wanted.push(Epoch(epoch), log.bounds().tail).unwrap();
        }
    }
    assert_eq!(log.history(), wanted);
    drop(log);
    let log = open();
    assert_eq!((log.history(), log.bounds().epoch), (wanted.clone(), Epoch(9)));
    let oldest = log.trim(Retention { through: Lsn(100), bytes_max: 0, before: Hlc(0) }).unwrap();
    assert!(oldest > Lsn(4), "{oldest}");
    wanted.trim(Lsn(oldest.0 - 1));
    assert_eq!(log.history(), wanted);
    drop(log);
    assert_eq!(open().history(), wanted, "including the epoch of the record before the oldest");
}

fn another_members_records_are_appended_unchanged_or_not_at_all(open: Open<'_>) {
    let log = open();
    let first = block(&log.bounds(), &[(2, 5)], 100);
    log.append_block(&first).unwrap();
    let next = block(&log.bounds(), &[(2, 2), (3, 4), (8, 1)], 100);
    let bounds = log.bounds();
    let rejected = |changed: &RecordBlock| {
        let error = log.append_block(changed).unwrap_err();
        assert_eq!(log.bounds(), bounds, "{error}");
        assert_eq!(log.history().tail(), bounds.tail);
        error
    };
    for at in 0..next.bytes.len() {
        let mut bytes = next.bytes.to_vec();
        bytes[at] ^= 1;
        let error = rejected(&RecordBlock { bytes: bytes.into(), ..next.clone() });
        let typed = matches!(error, AppendError::Broken { .. } | AppendError::Fenced { .. });
        assert!(typed, "byte {at}: {error}");
    }
    let short = next.bytes.slice(..next.bytes.len() - 1);
    assert!(matches!(rejected(&RecordBlock { bytes: short, ..next.clone() }), AppendError::Broken { at: Lsn(12), .. }));
    let early = RecordBlock { last: Lsn(11), ..next.clone() };
    assert!(matches!(rejected(&early), AppendError::Broken { at: Lsn(13), .. }));
    assert_eq!(rejected(&first), AppendError::NotNext { have: Lsn(1), want: Lsn(6) });
    assert!(matches!(rejected(&RecordBlock::default()), AppendError::Size { records: 0, .. }));
    let old = block(&bounds, &[(1, 1)], 10);
    assert_eq!(rejected(&old), AppendError::Fenced { have: Epoch(1), log: Epoch(2) });
    let back = block(&bounds, &[(4, 1), (3, 1)], 10);
    assert!(matches!(rejected(&back), AppendError::Broken { at: Lsn(7), .. }));
    log.append_block(&next).unwrap();
    drop(log);
    let log = open();
    assert_eq!(all(&*log).len(), 12);
    let mut read = Vec::new();
    while read.len() < first.bytes.len() + next.bytes.len() {
        let at = littoral_wire::records::iter(&read).count() as u64 + 1;
        read.extend_from_slice(&log.read(Lsn(at), 1 << 20).unwrap().bytes);
    }
    assert_eq!(read, [&first.bytes[..], &next.bytes[..]].concat());
}

fn a_cut_log_equals_one_that_was_never_longer(open: Open<'_>) {
    let mut log = open();
    let mut bounds = vec![log.bounds()];
    let mut records = Vec::new();
    let mut epoch = 1;
    for run in 0..40 {
        epoch += u64::from(run % 7 == 0);
        let next = block(&log.bounds(), &[(epoch, 1 + run % 5)], 1_500);
        // The bounds after each record, as if it had been the last one.
        for last in next.first.0..=next.last.0 {
            let (epoch, chain) = content(&next)[(last - next.first.0) as usize];
            records.push((epoch, chain));
            let hlc = Hlc::new(1_000 + last, 0);
            bounds.push(littoral_log::Bounds { oldest: Lsn(1), tail: Lsn(last), chain, epoch, hlc });
        }
        log.append_block(&next).unwrap();
    }
    for cut in [119, 118, 117, 100, 99, 61, 60, 20, 2, 1, 0] {
        let tail = log.bounds().tail;
        let mut history = log.history();
        if Lsn(cut) == tail {
            assert_eq!(log.cut(Lsn(cut)).unwrap(), None);
            continue;
        }
        let detached = log.cut(Lsn(cut)).unwrap().unwrap();
        assert_eq!((detached.first, detached.last, detached.records), (Lsn(cut + 1), tail, tail.0 - cut));
        assert_eq!((detached.epoch, detached.region), (records[tail.0 as usize - 1].0, options().region));
        history.cut(Lsn(cut));
        for again in [false, true] {
            if again {
                drop(log);
                log = open();
            }
            assert_eq!((log.bounds(), log.history()), (bounds[cut as usize], history.clone()), "{cut} {again}");
            assert_eq!(all(&*log).len() as u64, cut);
            assert_eq!(log.read_cached(Lsn(cut + 1), 100), None);
            assert_eq!(log.chain_at(Lsn(cut)).unwrap(), Some(bounds[cut as usize].chain));
            assert_eq!(log.chain_at(Lsn(cut + 1)).unwrap(), None);
        }
    }
    // The log continues to work at any length.
    for _ in 0..30 {
        append(&*log, 3, 900).unwrap();
        log.cut(Lsn(log.bounds().tail.0 - 1)).unwrap();
    }
    assert_eq!(all(&*log).len(), 60);
    let bounds = log.bounds();
    drop(log);
    assert_eq!(open().bounds(), bounds);
}

fn a_cut_of_committed_or_trimmed_records_is_rejected(open: Open<'_>) {
    let log = open();
    for _ in 0..100 {
        append(&*log, 10, 500).unwrap();
    }
    assert_eq!(log.cut(Lsn(1_001)).unwrap_err(), CutError::Beyond { after: Lsn(1_001), tail: Lsn(1_000) });
    let oldest = log.trim(Retention { through: Lsn(300), bytes_max: 0, before: Hlc(0) }).unwrap();
    let trimmed = Lsn(oldest.0 - 2);
    assert_eq!(log.cut(trimmed).unwrap_err(), CutError::Trimmed { after: trimmed, oldest });
    log.note_committed(Lsn(500));
    assert_eq!(log.cut(Lsn(499)).unwrap_err(), CutError::Committed { after: Lsn(499), committed: Lsn(500) });
    assert_eq!(log.bounds().tail, Lsn(1_000));
    assert!(log.cut(Lsn(500)).unwrap().is_some());
    drop(log);
    let log = open();
    assert_eq!(log.committed(), Lsn(500), "a cut makes it durable");
    assert!(matches!(log.cut(Lsn(oldest.0 - 1)), Err(CutError::Committed { .. })));
}

fn promises_and_the_committed_position_are_remembered(open: Open<'_>) {
    let log = open();
    assert_eq!((log.promised(), log.committed()), (Epoch(0), Lsn::NONE));
    log.promise(Epoch(4)).unwrap();
    log.promise(Epoch(2)).unwrap();
    log.append_block(&block(&log.bounds(), &[(3, 4)], 10)).unwrap();
    assert_eq!(log.promised(), Epoch(4));
    log.note_committed(Lsn(3));
    log.note_committed(Lsn(2));
    assert_eq!(log.committed(), Lsn(3));
    log.note_committed(Lsn(9));
    assert_eq!(log.committed(), Lsn(4), "never past the tail");
    drop(log);
    let log = open();
    assert_eq!((log.promised(), log.committed()), (Epoch(4), Lsn::NONE), "the rest was not marked");
    log.note_committed(Lsn(3));
    log.mark().unwrap();
    log.append_block(&block(&log.bounds(), &[(6, 2)], 10)).unwrap();
    assert_eq!(log.promised(), Epoch(6), "the newest record's epoch counts");
    log.cut(Lsn(4)).unwrap();
    drop(log);
    let log = open();
    assert_eq!((log.promised(), log.committed(), log.bounds().epoch), (Epoch(6), Lsn(3), Epoch(3)));
}
