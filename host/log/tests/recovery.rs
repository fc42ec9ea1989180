//! How a log treats damage: an unfinished end is cut off; any other damage is an error, and the files are left
//! unchanged.

mod support;

use littoral_log::{
    Log, OpenError, Retention,
    embedded::Embedded,
    storage::{Disk, Faults, Memory, Storage},
};
use littoral_model::{hlc::Hlc, position::Lsn};
use std::sync::Arc;
use support::{all, append, open, options};

const FIRST: &str = "log-00000000000000000001.seg";

fn filled(batches: u64) -> Memory {
    let memory = Memory::new();
    let storage: Arc<dyn Storage> = Arc::new(memory.clone());
    let log = open(&storage);
    for _ in 0..batches {
        append(&log, 3, 200).unwrap();
    }
    memory
}

fn reopen(memory: &Memory) -> Result<Embedded, OpenError> {
    Embedded::open(Arc::new(memory.crash(1)), options())
}

/// Returns the offsets of the frames in the first segment, and the end of the last one.
fn frames(memory: &Memory) -> Vec<usize> {
    let bytes = memory.bytes(FIRST).unwrap();
    let mut at = 4_096;
    let mut frames = vec![at];
    while bytes[at..at + 4] == *b"LTB1" {
        let len = u32::from_le_bytes(bytes[at + 8..at + 12].try_into().unwrap()) as usize;
        at += (96 + len).next_multiple_of(8);
        frames.push(at);
    }
    frames
}

#[test]
fn a_torn_last_batch_is_cut_off_and_writes_continue() {
    let whole = filled(5);
    let ends = frames(&whole);
    let (start, end) = (ends[4], ends[5]);
    for cut in (start..end).step_by(13) {
        let memory = whole.crash(0);
        // The bytes of the frame from `cut` on never reached the disk.
        let bytes = memory.bytes(FIRST).unwrap();
        let file = memory.open(FIRST).unwrap();
        file.write_at(cut as u64, &vec![0; end - cut]).unwrap();
        file.sync().unwrap();
        if bytes[cut..end].iter().all(|byte| *byte == 0) {
            continue;
        }
        let storage: Arc<dyn Storage> = Arc::new(memory.clone());
        let log = open(&storage);
        assert_eq!(log.bounds().tail, Lsn(12), "cut at {cut}");
        append(&log, 1, 10).unwrap();
        drop(log);
        let log = Embedded::open(Arc::new(memory.crash(1)), options()).unwrap();
        assert_eq!(all(&log).len(), 13);
    }
}

#[test]
fn damage_before_the_last_batch_is_an_error_with_file_offset_and_remedy() {
    let whole = filled(5);
    let frames = frames(&whole);
    for (index, at) in frames[..4].iter().enumerate() {
        for within in [0, 30, 90, 96, 200, 700] {
            let memory = whole.crash(0);
            assert!(memory.flip(FIRST, at + within));
            let before = memory.bytes(FIRST);
            let error = reopen(&memory).unwrap_err();
            let OpenError::Damaged { file, offset, .. } = &error else { panic!("{error}") };
            assert_eq!((file.as_str(), *offset), (FIRST, *at as u64), "batch {index}, byte {within}");
            assert!(error.to_string().contains("Remedy: the disk lost data"), "{error}");
            assert_eq!(memory.bytes(FIRST), before, "nothing was changed");
        }
    }
}

#[test]
fn a_damaged_or_missing_segment_is_an_error() {
    let memory = filled(400);
    let mut names: Vec<String> = memory.list().unwrap();
    names.retain(|name| name.ends_with(".seg"));
    names.sort();
    assert!(names.len() > 3, "{names:?}");
    let gone = memory.crash(0);
    gone.remove(&names[1]).unwrap();
    let error = Embedded::open(Arc::new(gone), options()).unwrap_err().to_string();
    assert!(error.contains(&names[0]) && error.contains("and the next file begins with record"), "{error}");
    let headless = memory.crash(0);
    headless.flip(&names[1], 20);
    let error = Embedded::open(Arc::new(headless), options()).unwrap_err().to_string();
    assert!(error.contains(&names[1]) && error.contains("header's checksum"), "{error}");
    // The end of a segment that has a successor is not an unfinished end.
    let short = memory.crash(0);
    let end = short.bytes(&names[0]).unwrap().iter().rposition(|byte| *byte != 0).unwrap();
    short.flip(&names[0], end);
    assert!(matches!(Embedded::open(Arc::new(short), options()), Err(OpenError::Damaged { .. })));
    let nameless = memory.crash(0);
    nameless.remove("identity").unwrap();
    let error = Embedded::open(Arc::new(nameless), options()).unwrap_err().to_string();
    assert!(error.contains("identity") && error.contains("the file is missing"), "{error}");
}

#[test]
fn rows_that_look_like_frames_do_not_confuse_recovery() {
    let memory = Memory::new();
    let storage: Arc<dyn Storage> = Arc::new(memory.clone());
    let log = open(&storage);
    append(&log, 1, 10).unwrap();
    let frame = memory.bytes(FIRST).unwrap()[4_096..4_300].to_vec();
    let bounds = log.bounds();
    let mut batch = littoral_log::Batch::after(&bounds, bounds.epoch, 0);
    // The salt is wrong, because no client knows it.
    let mut body = vec![0; 3];
    for padding in 0..8 {
        body.resize(body.len() + padding, 0);
        body.extend_from_slice(&frame);
        let at = body.len() - frame.len() + 16;
        body[at] ^= 1;
    }
    batch.push(support::record(Lsn(2), bounds.epoch, &body)).unwrap();
    log.append(batch).unwrap();
    drop(log);
    let end = frames(&memory)[2];
    let file = memory.open(FIRST).unwrap();
    file.write_at(end as u64 - 9, &[9]).unwrap();
    file.sync().unwrap();
    let log = Embedded::open(Arc::new(memory.crash(0)), options()).unwrap();
    assert_eq!(log.bounds().tail, Lsn(1), "the last batch counts as torn");
}

#[test]
fn two_processes_cannot_open_one_directory() {
    let directory = tempfile::tempdir().unwrap();
    let at = || -> Arc<dyn Storage> { Arc::new(Disk::at(directory.path()).unwrap()) };
    let log = open(&at());
    let error = Embedded::open(at(), options()).unwrap_err().to_string();
    assert!(error.contains("in use by another process"), "{error}");
    drop(log);
    open(&at());
}

#[test]
fn another_region_and_a_newer_format_are_errors() {
    let memory = filled(1);
    let other = littoral_log::embedded::Options { region: "us".parse().unwrap(), ..options() };
    let error = Embedded::open(Arc::new(memory.crash(0)), other).unwrap_err().to_string();
    assert!(error.contains("belongs to region 'eu', not 'us'"), "{error}");
    let newer = memory.crash(0);
    newer.open("identity").unwrap().write_at(8, &[9]).unwrap();
    let error = Embedded::open(Arc::new(newer), options()).unwrap_err().to_string();
    assert!(error.contains("format 9, and this program reads formats up to 1"), "{error}");
}

#[test]
fn a_damaged_record_is_never_returned_to_a_reader() {
    let memory = filled(4);
    let storage: Arc<dyn Storage> = Arc::new(memory.reopened());
    drop(storage);
    let log = Embedded::open(Arc::new(memory.crash(0)), options());
    let log = log.unwrap();
    drop(log);
    let live = memory.crash(0);
    let log = Embedded::open(Arc::new(live.clone()), options()).unwrap();
    live.flip(FIRST, frames(&memory)[1] + 120);
    let error = log.read(Lsn(4), 10).unwrap_err().to_string();
    assert!(error.contains(FIRST) && error.contains("is damaged at offset"), "{error}");
    live.set_faults(Faults { reads_fail: true, ..Faults::default() });
    assert!(log.read(Lsn(1), 10).unwrap_err().to_string().contains("simulated failure of a read"));
}

#[test]
fn a_log_that_ends_before_its_mark_is_an_error_and_left_unchanged() {
    let whole = filled(5);
    let storage: Arc<dyn Storage> = Arc::new(whole.clone());
    let log = open(&storage);
    log.mark().unwrap();
    append(&log, 3, 200).unwrap();
    drop((log, storage));
    let ends = frames(&whole);
    let wipe = |from: usize| {
        let memory = whole.crash(0);
        let file = memory.open(FIRST).unwrap();
        file.write_at(from as u64, &vec![0; ends[6] - from]).unwrap();
        file.sync().unwrap();
        memory
    };
    assert_eq!(reopen(&wipe(ends[5])).unwrap().bounds().tail, Lsn(15), "what was appended after the mark");
    let memory = wipe(ends[4]);
    let before = memory.bytes(FIRST);
    for _ in 0..2 {
        let error = reopen(&memory).unwrap_err();
        assert!(matches!(&error, OpenError::Damaged { file, .. } if file == FIRST), "{error}");
        assert!(error.to_string().contains("record 15 was durable"), "{error}");
    }
    assert_eq!(memory.bytes(FIRST), before);
    let memory = whole.crash(0);
    memory.remove(FIRST).unwrap();
    Storage::sync(&memory).unwrap();
    assert!(matches!(reopen(&memory), Err(OpenError::Damaged { .. })), "every segment is gone");
    // An unreadable mark proves nothing; it is no reason to reject an intact log.
    let memory = whole.crash(0);
    let mark = memory.open("tail").unwrap();
    mark.write_at(9, b"?").unwrap();
    mark.sync().unwrap();
    assert_eq!(reopen(&memory).unwrap().bounds().tail, Lsn(18));
}

/// Creates a log of a thousand records in several files, on a disk that cannot remove files.
fn whose_files_stay() -> (Memory, Embedded) {
    let memory = Memory::new();
    let storage: Arc<dyn Storage> = Arc::new(memory.clone());
    let log = open(&storage);
    for _ in 0..100 {
        append(&log, 10, 500).unwrap();
    }
    memory.set_faults(Faults { removals_fail: true, ..Faults::default() });
    (memory, log)
}

fn through(lsn: u64) -> Retention {
    Retention { through: Lsn(lsn), bytes_max: 0, before: Hlc(0) }
}

#[test]
fn files_that_could_not_be_removed_leave_no_gap() {
    let (memory, log) = whose_files_stay();
    log.trim(through(300)).unwrap_err();
    let oldest = log.bounds().oldest;
    assert!(oldest > Lsn(100), "{oldest}");
    // Later files must not be removed before earlier ones.
    log.trim(through(600)).unwrap_err();
    assert_eq!(memory.crash(2).list().unwrap().iter().filter(|name| *name == FIRST).count(), 1);
    let reopened = reopen(&memory).unwrap();
    assert_eq!(reopened.bounds().oldest, Lsn(1), "no record is missing");
    assert_eq!(all(&reopened).len(), 1_000);
    memory.set_faults(Faults::default());
    let oldest = log.trim(through(600)).unwrap();
    assert!(!memory.list().unwrap().contains(&FIRST.to_owned()));
    assert_eq!(reopen(&memory).unwrap().bounds().oldest, oldest);
}

#[test]
fn a_file_that_could_not_be_removed_keeps_later_ones() {
    let (memory, log) = whose_files_stay();
    log.trim(through(300)).unwrap_err();
    memory.set_faults(Faults::default());
    // When more is trimmed, the disk works again, and the earlier files are removed too.
    let oldest = log.trim(through(600)).unwrap();
    drop(log);
    let reopened = reopen(&memory).unwrap();
    assert_eq!(reopened.bounds().oldest, oldest);
    assert_eq!(all(&reopened).len() as u64, 1_001 - oldest.0);
}
