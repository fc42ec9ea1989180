//! A closed log joins another log, or is replaced by another member's snapshot.

mod support;

use littoral_log::{
    CutError, Log, OpenError, Retention, begin_after, begin_as, detached,
    embedded::Embedded,
    peek,
    snapshot::{self, Head, Receiver, Remembered},
    storage::{Memory, Room, Storage},
};
use littoral_model::{
    event_time::EventTime,
    hlc::Hlc,
    position::{Epoch, Incarnation, Lsn},
    record::ChainHash,
    region::Region,
    row::{Row, RowMeta},
    version::Version,
    view::ViewId,
};
use littoral_protocol::members::EpochHistory;
use std::sync::Arc;
use support::{
    all, block, content,
    failing::{Failing, Fault},
    options,
};

const LEADERS: Incarnation = Incarnation(77);

fn region() -> Region {
    options().region
}

fn open(memory: &Memory) -> Embedded {
    Embedded::open(Arc::new(memory.reopened()), options()).unwrap()
}

fn head(incarnation: Incarnation, as_of: u64) -> Head {
    Head {
        region: region(),
        incarnation,
        epoch: Epoch(5),
        as_of: Lsn(as_of),
        chain: ChainHash(99),
        hlc: Hlc(1 << 40),
        catalogue: Arc::default(),
        rows_estimate: 500,
    }
}

fn write_snapshot(storage: &dyn Storage, head: &Head) {
    let row = |number: u64| {
        let version = Version { hlc: Hlc(number), region: region() };
        let meta = RowMeta { view: ViewId(1), event_time: EventTime(5), version, lsn: Lsn(number) };
        Row::new(meta, &number.to_le_bytes(), Some(b"body"))
    };
    let chunks = (0..5).map(|chunk| (chunk * 100..chunk * 100 + 100).map(row).collect());
    snapshot::write(storage, head, chunks, &Remembered::default()).unwrap();
}

/// Sends a snapshot from one directory to another.
fn send(from: &dyn Storage, lsn: Lsn, to: Arc<dyn Storage>, chunk: usize) -> Result<Head, OpenError> {
    let failed = |source| OpenError::Io { file: "the snapshot".to_owned(), source };
    let mut receiver = Receiver::begin(to).map_err(failed)?;
    let len = snapshot::file_len(from, lsn).unwrap();
    while receiver.offset() < len {
        let chunk = snapshot::read_chunk(from, lsn, receiver.offset(), chunk).unwrap();
        receiver.write(&chunk).map_err(failed)?;
    }
    receiver.finish()
}

/// Returns a directory whose log has records of epochs 1 and 2, three of them committed; the log's name; and the
/// records.
fn member() -> (Memory, Incarnation, Vec<(Epoch, ChainHash)>) {
    let memory = Memory::new();
    let log = open(&memory);
    let records = block(&log.bounds(), &[(1, 4), (2, 6)], 300);
    log.append_block(&records).unwrap();
    log.note_committed(Lsn(3));
    log.mark().unwrap();
    write_snapshot(&memory, &head(log.identity().incarnation, 2));
    let incarnation = log.identity().incarnation;
    drop(log);
    (memory, incarnation, content(&records))
}

#[test]
fn a_snapshot_is_sent_between_members_in_chunks_and_checked_as_a_whole() {
    let from = Memory::new();
    write_snapshot(&from, &head(LEADERS, 40));
    for chunk in [7, 1_000, 1 << 20] {
        let to = Memory::new();
        assert_eq!(send(&from, Lsn(40), Arc::new(to.clone()), chunk).unwrap(), head(LEADERS, 40));
        assert_eq!(snapshot::newest(&to).unwrap(), [], "no log uses it yet");
        assert_eq!(begin_after(&to, region(), LEADERS, &head(LEADERS, 40)).unwrap(), None);
        assert_eq!(to.bytes("snapshot-00000000000000000040.snap"), from.bytes("snapshot-00000000000000000040.snap"));
    }
    let len = snapshot::file_len(&from, Lsn(40)).unwrap();
    assert_eq!(snapshot::read_chunk(&from, Lsn(40), len - 3, 100).unwrap().len(), 3);
    assert_eq!(snapshot::read_chunk(&from, Lsn(40), len + 3, 100).unwrap().len(), 0);
    for at in (0..len as usize).step_by(97) {
        let damaged = from.crash(0);
        damaged.flip("snapshot-00000000000000000040.snap", at);
        let to = Memory::new();
        send(&damaged, Lsn(40), Arc::new(to.clone()), 500).unwrap_err();
        assert!(to.list().unwrap().is_empty(), "nothing is left behind");
    }
}

#[test]
fn a_log_is_replaced_by_a_snapshot_and_its_records_are_detached() {
    for same in [true, false] {
        let (memory, old, records) = member();
        let incarnation = if same { old } else { LEADERS };
        let (from, head) = (Memory::new(), head(incarnation, 40));
        write_snapshot(&from, &head);
        send(&from, Lsn(40), Arc::new(memory.reopened()), 500).unwrap();
        let detached = begin_after(&memory.reopened(), region(), incarnation, &head).unwrap().unwrap();
        // Committed records of another log are detached too.
        let first = if same { 4 } else { 1 };
        assert_eq!((detached.first, detached.last, detached.epoch), (Lsn(first), Lsn(10), Epoch(2)));
        assert_eq!(detached.incarnation, old);
        let memory = memory.crash(1);
        assert_eq!(peek(&memory, region()).unwrap().map(|identity| identity.incarnation), Some(incarnation));
        for _ in 0..2 {
            let log = open(&memory);
            let bounds = log.bounds();
            assert_eq!((bounds.oldest, bounds.tail, bounds.chain), (Lsn(41), Lsn(40), ChainHash(99)));
            assert_eq!((bounds.epoch, bounds.hlc, log.identity().incarnation), (Epoch(5), head.hlc, incarnation));
            assert_eq!((log.history(), log.committed()), (EpochHistory::after(Epoch(5), Lsn(40)), Lsn(40)));
            assert_eq!((log.promised(), log.chain_at(Lsn(40)).unwrap()), (Epoch(5), Some(ChainHash(99))));
            assert!(all(&log).is_empty());
            assert!(matches!(log.cut(Lsn(39)), Err(CutError::Trimmed { .. })));
        }
        assert_eq!(snapshot::newest(&memory).unwrap(), [Lsn(40)]);
        let log = open(&memory);
        log.append_block(&block(&log.bounds(), &[(5, 2), (6, 1)], 100)).unwrap();
        assert!(log.cut(Lsn(40)).unwrap().is_some());
        log.append_block(&block(&log.bounds(), &[(7, 2)], 100)).unwrap();
        drop(log);
        assert_eq!(all(&open(&memory.crash(2))), [Lsn(41), Lsn(42)]);
        let read = detached::read(&memory, &detached.name).unwrap();
        let kept: Vec<_> = read.flat_map(|block| content(&block.unwrap())).collect();
        assert_eq!(kept, records[first as usize - 1..]);
        assert_eq!(detached::list(&memory).unwrap().len(), 2);
        detached::remove(&memory, &detached.name).unwrap();
        assert_eq!(detached::list(&memory).unwrap().len(), 1);
        assert!(detached::remove(&memory, "identity").is_err());
    }
}

#[test]
fn committed_records_are_not_replaced_and_nothing_is_without_its_snapshot() {
    let (memory, old, records) = member();
    let committed = head(old, 2);
    let error = begin_after(&memory.reopened(), region(), old, &committed).unwrap_err();
    assert!(matches!(error, OpenError::Committed { as_of: Lsn(2), committed: Lsn(3) }), "{error}");
    assert!(begin_after(&memory.reopened(), region(), old, &head(old, 40)).is_err(), "no such snapshot is there");
    assert!(begin_after(&memory.reopened(), region(), LEADERS, &committed).is_err(), "the snapshot is of another log");
    let error = begin_as(&memory.reopened(), region(), LEADERS).unwrap_err();
    assert!(matches!(error, OpenError::NotEmpty { incarnation, .. } if incarnation == old), "{error}");
    let log = open(&memory);
    assert_eq!((all(&log).len(), log.identity().incarnation), (records.len(), old));
}

#[test]
fn a_cut_deletes_snapshots_of_removed_records_but_never_the_last_one_of_a_trimmed_log() {
    let memory = Memory::new();
    let log = open(&memory);
    for _ in 0..60 {
        log.append_block(&block(&log.bounds(), &[(1, 10)], 500)).unwrap();
    }
    let oldest = log.trim(Retention { through: Lsn(300), bytes_max: 0, before: Hlc(0) }).unwrap();
    assert!(oldest > Lsn::OLDEST);
    let incarnation = log.identity().incarnation;
    write_snapshot(&memory, &head(incarnation, 500));
    assert_eq!(log.cut(Lsn(499)).unwrap_err(), CutError::Snapshot { after: Lsn(499), as_of: Lsn(500) });
    assert_eq!(log.bounds().tail, Lsn(600));
    write_snapshot(&memory, &head(incarnation, 400));
    assert!(log.cut(Lsn(499)).unwrap().is_some());
    assert_eq!(snapshot::newest(&memory).unwrap(), [Lsn(400)]);
}

#[test]
fn a_crash_at_any_moment_leaves_the_old_log_or_the_new_one() {
    let mut old_found = 0;
    for (at, seed) in (0..).zip(0_u64..) {
        let (memory, old, records) = member();
        let head = head(LEADERS, 40);
        let from = Memory::new();
        write_snapshot(&from, &head);
        let storage = Failing::new(&memory.reopened(), Fault::EndsAt(at));
        let result = send(&from, Lsn(40), Arc::new(storage.clone()), 9_000)
            .and_then(|head| begin_after(&storage, region(), LEADERS, &head));
        let mut memory = memory.crash(seed);
        for again in 0..3 {
            drop(Embedded::open(
                Arc::new(Failing::new(&memory.reopened(), Fault::EndsAt(seed % 9 + again))),
                options(),
            ));
            memory = memory.crash(seed + again);
        }
        let log = open(&memory);
        if log.identity().incarnation == old {
            assert!(result.is_err(), "operation {at}");
            assert_eq!((all(&log).len(), log.committed()), (records.len(), Lsn(3)));
            assert_eq!(snapshot::newest(&memory).unwrap(), [Lsn(2)]);
            old_found += 1;
        } else {
            assert_eq!((log.bounds().tail, log.history().base()), (Lsn(40), Lsn(40)));
            assert_eq!(snapshot::newest(&memory).unwrap(), [Lsn(40)]);
            let tails = detached::list(&memory).unwrap();
            let kept: Vec<_> =
                detached::read(&memory, &tails[0].name).unwrap().flat_map(|block| content(&block.unwrap())).collect();
            assert_eq!(kept, records);
        }
        assert!(log.promised() >= Epoch(2));
        if result.is_ok() {
            assert!(at > 20 && old_found > 5, "{at} operations, {old_found} times the old log");
            return;
        }
    }
}

#[test]
fn an_empty_log_joins_the_log_of_the_other_members() {
    let memory = Memory::new();
    assert_eq!(peek(&memory, region()).unwrap(), None);
    begin_as(&memory.reopened(), region(), Incarnation(5)).unwrap();
    drop(open(&memory));
    begin_as(&memory.reopened(), region(), LEADERS).unwrap();
    begin_as(&memory.reopened(), region(), LEADERS).unwrap();
    let log = open(&memory);
    assert_eq!((log.identity().incarnation, log.history()), (LEADERS, EpochHistory::default()));
    log.append_block(&block(&log.bounds(), &[(1, 3)], 10)).unwrap();
    // A log whose records were all removed is empty too.
    log.cut(Lsn::NONE).unwrap();
    drop(log);
    begin_as(&memory.reopened(), region(), Incarnation(6)).unwrap();
    let log = open(&memory);
    log.append_block(&block(&log.bounds(), &[(1, 1)], 10)).unwrap();
    assert_eq!((log.identity().incarnation, all(&log).len()), (Incarnation(6), 1));
    assert_eq!(peek(&memory, region()).unwrap(), Some(log.identity()));
    assert!(matches!(begin_as(&memory.reopened(), region(), LEADERS), Err(OpenError::Locked(_))));
}

#[test]
fn tails_of_two_logs_with_the_same_numbers_are_both_kept() {
    let memory = Memory::new();
    let mut names = Vec::new();
    for life in [5, 6] {
        begin_as(&memory.reopened(), region(), Incarnation(life)).unwrap();
        let log = open(&memory);
        for _ in 0..2 {
            // The same records of the same log are one tail.
            log.append_block(&block(&log.bounds(), &[(1, 3)], 10)).unwrap();
            names.push(log.cut(Lsn::NONE).unwrap().unwrap().name);
        }
    }
    assert_eq!((&names[0], &names[2]), (&names[1], &names[3]));
    let lives: Vec<u64> = detached::list(&memory).unwrap().iter().map(|tail| tail.incarnation.0).collect();
    assert_eq!(lives, [6, 5], "ordered by name");
}

#[test]
fn an_error_about_a_damaged_tail_names_it() {
    let memory = Memory::new();
    let log = open(&memory);
    log.append_block(&block(&log.bounds(), &[(1, 3), (2, 2)], 100)).unwrap();
    let tail = log.cut(Lsn(1)).unwrap().unwrap();
    drop(log);
    let whole = memory.bytes(&tail.name).unwrap();
    let read = |bytes: &[u8]| -> Result<u64, OpenError> {
        let memory = Memory::new();
        memory.create(&tail.name, Room::None).unwrap().write_at(0, bytes).unwrap();
        let blocks = detached::read(&memory, &tail.name)?.collect::<Result<Vec<_>, _>>()?;
        Ok(blocks.iter().map(|block| block.last.0 - block.first.0 + 1).sum())
    };
    assert_eq!((read(&whole).unwrap(), tail.bytes), (4, whole.len() as u64));
    for at in (0..whole.len()).filter(|at| whole[*at] != 0 || *at > 512) {
        let mut bytes = whole.clone();
        bytes[at] ^= 0xff;
        // Padding is not checked.
        if let Err(error) = read(&bytes) {
            assert!(error.to_string().contains(&tail.name) || matches!(error, OpenError::Format { .. }), "{error}");
        } else {
            assert_eq!(whole[at], 0, "the change of byte {at} was not detected");
        }
    }
    for len in (0..whole.len()).step_by(7) {
        assert!(read(&whole[..len]).is_err(), "{len} bytes");
    }
    assert!(read(&[&whole[..], &[0; 8]].concat()).is_err());
}

#[test]
fn an_unreadable_promise_prevents_opening_the_log() {
    let memory = Memory::new();
    open(&memory).promise(Epoch(9)).unwrap();
    let len = memory.bytes("promise").unwrap().len();
    for at in 0..len {
        let damaged = memory.crash(0);
        damaged.flip("promise", at);
        let error = Embedded::open(Arc::new(damaged), options()).unwrap_err().to_string();
        assert!(error.contains("promise is damaged") && error.contains("Remedy"), "{error}");
    }
    assert_eq!(open(&memory.crash(0)).promised(), Epoch(9));
}
