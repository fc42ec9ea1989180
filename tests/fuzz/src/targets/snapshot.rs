//! A leader's snapshot.

use super::{check_words, choice};
use crate::{Target, seal};
use bytes::Bytes;
use littoral_log::{
    snapshot::{self, Head, Reader, Receipt, Remembered, Section},
    storage::{Memory, Room, Storage as _},
};
use littoral_model::{
    conflict::{Conflict, ConflictSide},
    event_time::EventTime,
    hlc::Hlc,
    lineage::{RegionLineages, Start},
    origin::{Origins, Seen},
    position::{Epoch, Incarnation, Lsn, Position},
    record::ChainHash,
    region::Region,
    row::{Row, RowMeta},
    version::Version,
    view::ViewId,
};

pub(super) const TARGET: Target = Target { name: "snapshot", run: read, seeds, memory: (2 << 20, 256) };

const AS_OF: Lsn = Lsn(9);

/// A snapshot loads completely, or is rejected with the file's name. A loaded snapshot is written again with the same
/// content.
fn read(input: &[u8]) {
    let (sealed, _, bytes) = choice(input);
    let bytes = if sealed { seal::snapshot(bytes) } else { bytes.to_vec() };
    let (storage, name) = (Memory::new(), name());
    let file = storage.create(&name, Room::None).expect("memory stores a file");
    file.write_at(0, &bytes).expect("memory stores bytes");
    match load(&storage) {
        Err(words) => {
            check_words(&words);
            assert!(words.contains(&name), "{words} does not name the file");
        }
        Ok((head, rows, remembered)) => {
            let again = Memory::new();
            let written =
                snapshot::write(&again, &head, std::iter::once(rows.clone()), &remembered).expect("memory stores it");
            assert_eq!(written.rows, rows.len() as u64);
            let (head_again, rows_again, remembered_again) = load(&again).expect("our own snapshot is read");
            assert_eq!((head_again, rows_again.len(), remembered_again), (head, rows.len(), remembered));
        }
    }
}

type Content = (Head, Vec<Row>, Remembered);

fn load(storage: &Memory) -> Result<Content, String> {
    let mut reader = Reader::open(storage, AS_OF).map_err(|error| error.to_string())?;
    let (mut rows, mut remembered) = (Vec::new(), Remembered::default());
    while let Some(section) = reader.next_section().map_err(|error| error.to_string())? {
        match section {
            Section::Rows(part) => rows.extend(part),
            Section::Receipts(part) => remembered.receipts.extend(part),
            Section::Origins(part) => remembered.origins = part,
            Section::Lineage(part) => remembered.lineages = part,
            Section::Conflicts(part) => remembered.conflicts.extend(part),
        }
    }
    Ok((reader.head.clone(), rows, remembered))
}

fn name() -> String {
    format!("snapshot-{:020}.snap", AS_OF.0)
}

fn seeds() -> Vec<(String, Vec<u8>)> {
    let region: Region = "eu".parse().unwrap_or(Region::NONE);
    let head = Head {
        region,
        incarnation: Incarnation(0xabc),
        epoch: Epoch::FIRST,
        as_of: AS_OF,
        chain: ChainHash(9),
        hlc: Hlc::new(1_000, 0),
        catalogue: super::catalogue::small().into(),
        rows_estimate: 2,
    };
    let row = |lsn: u64, body: Option<&[u8]>| {
        let version = Version { hlc: Hlc::new(lsn, 0), region };
        Row::new(
            RowMeta { view: ViewId(1), event_time: EventTime(5), version, lsn: Lsn(lsn) },
            &lsn.to_le_bytes(),
            body,
        )
    };
    let receipt = Receipt {
        idempotency_key: "once".into(),
        content: 7,
        first: Lsn(1),
        last: Lsn(2),
        hlc: Hlc::new(1_000, 0),
        outranked: littoral_model::outranked::Outranked { count: 1, rows: vec![0] },
    };
    let mut origins = Origins::default();
    let position = Position { incarnation: Incarnation(5), lsn: Lsn(70) };
    let other: Region = "us".parse().unwrap_or(Region::NONE);
    let seen = [Seen { region, lsn: Lsn(3), hlc: Hlc::new(800, 0) }];
    origins.set(other, (position, ChainHash(7)), Hlc::new(900, 0), &seen, false);
    let mut lineages = RegionLineages::default();
    lineages.entry(region, head.incarnation).begin(Start {
        life: Incarnation(0xdef),
        first: Lsn(5),
        after: head.incarnation,
        shared: Lsn(4),
    });
    let side = |region, body: &'static [u8]| ConflictSide {
        version: Version { hlc: Hlc::new(3, 0), region },
        event_time: EventTime(5),
        body: Some(Bytes::from_static(body)),
    };
    let conflict = Conflict {
        view: ViewId(1),
        key: Bytes::from_static(b"key"),
        kept: side(other, b"kept"),
        lost: side(region, b"lost"),
        lsn: Lsn(8),
    };
    let remembered = Remembered { receipts: vec![receipt], origins, lineages, conflicts: vec![conflict] };
    let storage = Memory::new();
    let chunks = [vec![row(1, Some(b"body")), row(2, None)], vec![row(3, Some(b""))]];
    snapshot::write(&storage, &head, chunks.into_iter(), &remembered).expect("memory stores it");
    let bytes = storage.bytes(&name()).unwrap_or_default();
    [0_u8, 1].map(|first| (format!("whole-{first}"), [&[first], &bytes[..]].concat())).into()
}
