//! An edge's own snapshot, from which it restarts.

use super::{check_words, choice};
use crate::{Target, seal};
use littoral_edge::{Config, rewrite_snapshot};
use littoral_model::{
    event_time::EventTime,
    hlc::Hlc,
    position::{Epoch, Incarnation, Lsn, Position},
    record::ChainHash,
    region::Region,
    row::{Row, RowMeta},
    version::Version,
    view::ViewId,
};
use littoral_protocol::frame::Resume;
use std::{fs, path::Path, sync::LazyLock};

pub(super) const TARGET: Target = Target { name: "edge_snapshot", run: read, seeds, memory: (16 << 20, 512) };

static DIRECTORY: LazyLock<tempfile::TempDir> = LazyLock::new(|| {
    let memory = Path::new("/dev/shm");
    let made = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    made.expect("a temporary directory")
});

/// A snapshot loads completely, or is rejected with the file's name. A loaded snapshot is written again, and then has
/// the same number of rows.
fn read(input: &[u8]) {
    let (sealed, _, bytes) = choice(input);
    let bytes = if sealed { seal::edge_snapshot(bytes) } else { bytes.to_vec() };
    let (from, to, third) =
        (DIRECTORY.path().join("from"), DIRECTORY.path().join("to.snapshot"), DIRECTORY.path().join("again.snapshot"));
    fs::write(&from, bytes).expect("a temporary file is written");
    let config = Config::default();
    match rewrite_snapshot(&config, &from, &to) {
        Err(words) => {
            check_words(&words);
            assert!(words.contains("from"), "{words} does not name the file");
        }
        Ok(None) => {}
        Ok(rows) => assert_eq!(rewrite_snapshot(&config, &to, &third), Ok(rows)),
    }
}

fn seeds() -> Vec<(String, Vec<u8>)> {
    let region: Region = "eu".parse().unwrap_or(Region::NONE);
    let resume = Resume { position: Position { incarnation: Incarnation(0xabc), lsn: Lsn(9) }, chain: ChainHash(9) };
    // The fields of the file's head, in order.
    let head = (resume, Epoch::FIRST, region, super::catalogue::small(), 3_u64, vec![1_u32], Vec::<u32>::new());
    let mut rows = Vec::new();
    for lsn in 1..4_u64 {
        let version = Version { hlc: Hlc::new(lsn, 0), region };
        let meta = RowMeta { view: ViewId(1), event_time: EventTime(5), version, lsn: Lsn(lsn) };
        let body = (lsn != 2).then_some(&[0_u8, 0][..]);
        littoral_wire::rows::push(&mut rows, Some(&Row::new(meta, &lsn.to_le_bytes(), body))).expect("a small row");
    }
    let mut file = b"LITTEDGE\x01\0\0\0".to_vec();
    let head = postcard::to_allocvec(&head).expect("a head is encoded");
    for (kind, payload) in [(1_u8, &head), (2, &rows), (3, &3_u64.to_le_bytes().to_vec())] {
        file.push(kind);
        file.extend_from_slice(&(payload.len() as u32).to_le_bytes());
        file.extend_from_slice(&[0; 8]);
        file.extend_from_slice(payload);
    }
    vec![
        ("whole".into(), [&[0], &file[..]].concat()),
        ("unsealed".into(), [&[1], &seal::edge_snapshot(&file)[..]].concat()),
    ]
}
