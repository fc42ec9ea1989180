//! Logs of every format that was ever released stay readable: `tests/fixtures/log/` holds one of each.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should fail")]

mod support;

use littoral_log::{
    Log,
    snapshot::{Reader, Section},
    storage::{Disk, Storage},
};
use littoral_model::position::{Incarnation, Lsn};
use std::{path::Path, sync::Arc};

#[test]
fn format_1_is_read_and_appended_to() {
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/log/1");
    let directory = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(fixture).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), directory.path().join(entry.file_name())).unwrap();
    }
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
