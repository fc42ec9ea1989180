//! Logs of every format that was ever released stay readable: `tests/fixtures/log/` holds one of each.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should fail")]

mod support;

use littoral_log::{
    Log,
    embedded::Embedded,
    snapshot::{Reader, Section},
    storage::{Disk, Storage},
};
use littoral_model::position::{Epoch, Incarnation, Lsn};
use littoral_protocol::members::History;
use std::{path::Path, sync::Arc};

/// The fixture of format 1, without the files that are named.
fn format_1(without: &[&str]) -> tempfile::TempDir {
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/log/1");
    let directory = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(fixture).unwrap() {
        let entry = entry.unwrap();
        if !without.contains(&entry.file_name().to_str().unwrap()) {
            std::fs::copy(entry.path(), directory.path().join(entry.file_name())).unwrap();
        }
    }
    directory
}

#[test]
fn format_1_is_read_and_appended_to() {
    let directory = format_1(&[]);
    let storage: Arc<dyn Storage> = Arc::new(Disk::at(directory.path()).unwrap());
    let log = support::open(&storage);
    assert_eq!(log.identity().incarnation, Incarnation(0x321bb0d3b81bfb69));
    assert_eq!(log.bounds().chain.0, 178153659707883808556584840393444604338);
    assert_eq!(support::all(&log), (1..=18).map(Lsn).collect::<Vec<_>>());
    support::append(&log, 3, 10).unwrap();
    assert_eq!(support::all(&log).len(), 21);

    let mut reader = Reader::open(&*storage, Lsn(18)).unwrap();
    assert_eq!(reader.head.as_of, Lsn(18));
    let Some(Section::Rows(rows)) = reader.next_section().unwrap() else { panic!("rows come first") };
    assert_eq!((rows[0].body(), rows[1].is_tombstone()), (b"body".as_slice(), true));
    let Some(Section::Receipts(receipts)) = reader.next_section().unwrap() else { panic!("receipts follow") };
    assert_eq!((receipts[0].idempotency_key.as_str(), receipts[0].last), ("once", Lsn(3)));
    assert!(reader.next_section().unwrap().is_none());
}

/// Segments that do not say which epoch they follow: before a trimmed log's oldest record that of its first one stands.
#[test]
fn format_1_has_a_history_and_is_cut() {
    for (without, base) in [(&[][..], 0), (&["log-00000000000000000001.seg"], 6)] {
        let directory = format_1(without);
        let storage: Arc<dyn Storage> = Arc::new(Disk::at(directory.path()).unwrap());
        storage.remove("snapshot-00000000000000000018.snap").unwrap();
        let log = support::open(&storage);
        let mut history = History::after(Epoch(u64::from(base > 0)), Lsn(base));
        (base + 1..=18).for_each(|lsn| history.push(Epoch(1), Lsn(lsn)).unwrap());
        assert_eq!(log.history(), history);
        for after in [15, 12, base] {
            log.cut(Lsn(after)).unwrap().unwrap();
            history.cut(Lsn(after));
            assert_eq!((log.history(), support::all(&log).len() as u64), (history.clone(), after - base));
        }
        drop((log, storage));
        let storage: Arc<dyn Storage> = Arc::new(Disk::at(directory.path()).unwrap());
        let log = support::open(&storage);
        assert_eq!(log.history(), history);
        support::append(&log, 2, 10).unwrap();
        assert_eq!(support::all(&log), [Lsn(base + 1), Lsn(base + 2)]);
    }
}

/// The tail mark as it was before it also said what is committed.
#[test]
fn a_mark_of_format_1_is_held_against_the_log() {
    for (tail, fits) in [(18_u64, true), (19, false)] {
        let directory = format_1(&[]);
        let content = postcard::to_allocvec(&(0x321bb0d3b81bfb69_u64, tail)).unwrap();
        let sum = xxhash_rust::xxh3::xxh3_64(&content).to_le_bytes();
        std::fs::write(directory.path().join("tail"), [b"LITLOGTL", &sum[..], &content].concat()).unwrap();
        let opened = Embedded::open(Arc::new(Disk::at(directory.path()).unwrap()), support::options());
        assert_eq!(opened.is_ok_and(|log| log.committed() == Lsn::NONE), fits);
    }
}
