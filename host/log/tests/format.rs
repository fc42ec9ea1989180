//! Logs of every released format stay readable: `tests/fixtures/log/` has one of each.

mod support;

use littoral_log::{
    Log,
    embedded::Embedded,
    snapshot::{Reader, Section},
    storage::{Disk, Storage},
};
use littoral_model::{
    catalogue::Catalogue,
    position::{Epoch, Incarnation, Lsn},
    project::ProjectName,
    record::Payload,
};
use littoral_protocol::members::EpochHistory;
use std::{path::Path, sync::Arc};

/// Copies the fixture of format 1, without the given files.
fn format_1(without: &[&str]) -> tempfile::TempDir {
    copy_of("1", without)
}

/// Copies a fixture, without the given files.
fn copy_of(name: &str, without: &[&str]) -> tempfile::TempDir {
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/log").join(name);
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

/// Segments that do not state which epoch they follow: for the record before a trimmed log's oldest, the first record's
/// epoch is used.
#[test]
fn format_1_has_a_history_and_is_cut() {
    for (without, base) in [(&[][..], 0), (&["log-00000000000000000001.seg"], 6)] {
        let directory = format_1(without);
        let storage: Arc<dyn Storage> = Arc::new(Disk::at(directory.path()).unwrap());
        storage.remove("snapshot-00000000000000000018.snap").unwrap();
        let log = support::open(&storage);
        let mut history = EpochHistory::after(Epoch(u64::from(base > 0)), Lsn(base));
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

/// The tail mark from before it included the committed position.
#[test]
fn a_mark_of_format_1_is_compared_with_the_log() {
    for (tail, fits) in [(18_u64, true), (19, false)] {
        let directory = format_1(&[]);
        let content = postcard::to_allocvec(&(0x321bb0d3b81bfb69_u64, tail)).unwrap();
        let sum = xxhash_rust::xxh3::xxh3_64(&content).to_le_bytes();
        std::fs::write(directory.path().join("tail"), [b"LITLOGTL", &sum[..], &content].concat()).unwrap();
        let opened = Embedded::open(Arc::new(Disk::at(directory.path()).unwrap()), support::options());
        assert_eq!(opened.is_ok_and(|log| log.committed() == Lsn::NONE), fits);
    }
}

/// Definitions from before they had details, in the log and in a snapshot: one of its views has a TTL of zero.
#[test]
fn a_catalogue_of_format_1_is_read_and_its_ttl_of_zero_means_no_limit() {
    let directory = copy_of("1-catalogue", &[]);
    let storage: Arc<dyn Storage> = Arc::new(Disk::at(directory.path()).unwrap());
    let log = support::open(&storage);
    assert_eq!(support::all(&log), (1..=3).map(Lsn).collect::<Vec<_>>(), "every record's hash is unchanged");
    let mut from_log = Catalogue::default();
    for record in littoral_wire::records::iter(&log.read(Lsn(1), usize::MAX).unwrap().bytes) {
        if let Payload::Catalogue(change) = record.unwrap().payload {
            from_log.apply(&change);
        }
    }
    let from_snapshot = Reader::open(&*storage, Lsn(3)).unwrap().head.catalogue;
    assert_eq!(*from_snapshot, from_log);
    let view = from_log.view("old_stats").unwrap();
    assert_eq!((view.ttl_ms, view.ttl_ms()), (Some(0), None));
    assert!(from_log.view_details("old_stats").is_none());
    assert_eq!(from_log.service("old_model").unwrap().projections[0].join_key_map[0].1, "who");
    assert_eq!(from_log.push_source("old_push").unwrap().views, ["old_stats"]);
    assert!(!from_log.has_projects(), "from before projects existed");
    assert_eq!(from_log.within(&ProjectName::default()), from_log, "all of it belongs to `default`");
}
