//! Snapshots: what was written is read back, damaged files are errors, and old snapshots are pruned.

use littoral_log::{
    OpenError,
    snapshot::{self, Head, Reader, Receipt, Remembered, Section},
    storage::{Faults, Memory, Room, Storage},
};
use littoral_model::{
    event_time::EventTime,
    hlc::Hlc,
    outranked::Outranked,
    position::{Epoch, Incarnation, Lsn},
    record::ChainHash,
    row::{Row, RowMeta},
    version::Version,
    view::ViewId,
};
use std::sync::Arc;

fn head(as_of: u64) -> Head {
    Head {
        region: "eu".parse().unwrap(),
        incarnation: Incarnation(7),
        epoch: Epoch(3),
        as_of: Lsn(as_of),
        chain: ChainHash(99),
        hlc: Hlc(1_234),
        catalogue: Arc::default(),
        rows_estimate: 10,
    }
}

fn row(number: u64) -> Row {
    let version = Version { hlc: Hlc(number), region: "eu".parse().unwrap() };
    let meta = RowMeta { view: ViewId(1), event_time: EventTime(5), version, lsn: Lsn(number) };
    Row::new(meta, &number.to_le_bytes(), (!number.is_multiple_of(3)).then_some(b"body".as_slice()))
}

fn write(storage: &Memory, as_of: u64) -> std::io::Result<snapshot::Written> {
    let chunks = (0..10).map(|chunk| (chunk * 100..chunk * 100 + 100).map(row).collect());
    let receipts: Vec<Receipt> = (0..3_000)
        .map(|at| Receipt {
            idempotency_key: format!("key {at}"),
            content: at,
            first: Lsn(at),
            last: Lsn(at + 1),
            hlc: Hlc(at),
            outranked: Outranked { count: at % 7, rows: (0..at as u32 % 7).collect() },
        })
        .collect();
    snapshot::write(storage, &head(as_of), chunks, &Remembered { receipts, ..Remembered::default() })
}

fn read(storage: &Memory, as_of: u64) -> Result<(Vec<Row>, Vec<Receipt>), OpenError> {
    let mut reader = Reader::open(storage, Lsn(as_of))?;
    assert_eq!(reader.head, head(as_of));
    let (mut rows, mut receipts) = (Vec::new(), Vec::new());
    while let Some(section) = reader.next_section()? {
        match section {
            Section::Rows(part) => rows.extend(part),
            Section::Receipts(part) => receipts.extend(part),
            other => panic!("unexpected section: {other:?}"),
        }
    }
    Ok((rows, receipts))
}

const NAME: &str = "snapshot-00000000000000000040.snap";

#[test]
fn rows_tombstones_and_receipts_read_back_after_a_loss_of_power() {
    let storage = Memory::new();
    assert_eq!(write(&storage, 40).unwrap().rows, 1_000);
    for seed in 0..8 {
        let (rows, receipts) = read(&storage.crash(seed), 40).unwrap();
        assert_eq!((rows.len(), receipts.len()), (1_000, 3_000));
        assert_eq!((rows[4].header(), rows[4].body()), (row(4).header(), row(4).body()));
        assert!(rows[3].is_tombstone());
    }
}

#[test]
fn a_changed_or_missing_byte_is_detected() {
    let storage = Memory::new();
    write(&storage, 40).unwrap();
    let len = storage.bytes(NAME).unwrap().len();
    for at in (0..len).step_by(211).chain([0, 8, 12, 17, len - 1]).filter(|at| !(12..16).contains(at)) {
        let damaged = storage.crash(0);
        damaged.flip(NAME, at);
        assert!(read(&damaged, 40).is_err(), "byte {at}");
    }
    for len in [0, 7, 16, 20, 500, len - 1] {
        let short = Memory::new();
        let file = short.create(NAME, Room::None).unwrap();
        file.write_at(0, &storage.bytes(NAME).unwrap()[..len]).unwrap();
        let error = read(&short, 40).unwrap_err();
        assert!(matches!(error, OpenError::Damaged { .. }), "{len} bytes: {error}");
    }
}

#[test]
fn blocks_are_bounded_even_if_rows_are_large() {
    let storage = Memory::new();
    let meta = *row(4).header();
    let meta = RowMeta { view: meta.view, event_time: meta.event_time, version: meta.version, lsn: meta.lsn };
    let large: Vec<Row> = (0..9_u8).map(|key| Row::new(meta, &[key], Some(&vec![key; 3 << 20]))).collect();
    snapshot::write(&storage, &head(40), [large].into_iter(), &snapshot::Remembered::default()).unwrap();
    let bytes = storage.bytes(NAME).unwrap();
    let (mut at, mut longest) = (16, 0);
    while at < bytes.len() {
        let len = u32::from_le_bytes(*bytes[at + 4..].first_chunk().unwrap()) as usize;
        (longest, at) = (len.max(longest), at + 16 + len);
    }
    assert!((6 << 20..8 << 20).contains(&longest), "two of the rows: {longest} bytes");
    let (rows, _) = read(&storage, 40).unwrap();
    assert!(rows.iter().all(|row| row.body().len() == 3 << 20) && rows.len() == 9);
}

#[test]
fn two_snapshots_are_kept_and_the_older_one_bounds_trimming() {
    let storage = Memory::new();
    assert_eq!(snapshot::prune(&storage).unwrap(), Lsn::NONE);
    write(&storage, 10).unwrap();
    assert_eq!(snapshot::prune(&storage).unwrap(), Lsn::NONE, "the only snapshot may turn out to be damaged");
    for (as_of, through) in [(20, 10), (30, 20), (40, 30)] {
        write(&storage, as_of).unwrap();
        assert_eq!(snapshot::prune(&storage).unwrap(), Lsn(through));
    }
    assert_eq!(snapshot::newest(&storage).unwrap(), [Lsn(40), Lsn(30)]);
}

#[test]
fn a_failed_snapshot_frees_its_space_and_keeps_the_earlier_one() {
    let storage = Memory::new();
    write(&storage, 30).unwrap();
    storage.set_faults(Faults { capacity: Some(150_000), ..Faults::default() });
    assert_eq!(write(&storage, 40).unwrap_err().kind(), std::io::ErrorKind::StorageFull);
    storage.set_faults(Faults::default());
    assert_eq!(storage.list().unwrap(), ["snapshot-00000000000000000030.snap"]);
    read(&storage, 30).unwrap();
    write(&storage, 40).unwrap();
    for fails_after in 0..3 {
        storage.set_faults(Faults { sync_fails_after: Some(fails_after), ..Faults::default() });
        let _ = write(&storage, 50);
        read(&storage, 40).unwrap();
    }
}
