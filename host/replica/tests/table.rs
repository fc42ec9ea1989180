//! The table as used by leaders and edges.

use littoral_model::{
    entity_key::KeyBatch,
    event_time::EventTime,
    hlc::Hlc,
    merge::MergePolicy::{self, LatestEvent},
    position::Lsn,
    row::{Row, RowMeta},
    version::Version,
    view::ViewId,
};
use littoral_replica::{Applied, Config, FillOutcome, Held, Mode, Residency, Table};
use std::{collections::BTreeMap, sync::Arc};

const FULL: ViewId = ViewId(1);
const RESIDENT: ViewId = ViewId(2);

fn row(view: ViewId, key: u64, lsn: u64, event_time: i64, body: Option<&[u8]>) -> Row {
    let version = Version { hlc: Hlc(lsn << 16), region: "east".parse().expect("region") };
    Row::new(RowMeta { view, event_time: EventTime(event_time), version, lsn: Lsn(lsn) }, &key.to_le_bytes(), body)
}

fn put(view: ViewId, key: u64, lsn: u64) -> Row {
    row(view, key, lsn, 1, Some(&lsn.to_le_bytes()))
}

fn delete(view: ViewId, key: u64, lsn: u64) -> Row {
    row(view, key, lsn, 1, None)
}

fn table(resident_bytes: u64) -> Table {
    let table =
        Table::new(Config { shards: 8, resident_bytes: Some(resident_bytes), misses_max: 10, ..Config::default() });
    table.set_residency(RESIDENT, Residency::Resident);
    table
}

fn held(table: &Table, view: ViewId, key: u64) -> Option<u64> {
    match table.get(view, &key.to_le_bytes()) {
        Held::Row(row) => Some(row.header().lsn.0),
        Held::Absent | Held::Unknown => None,
    }
}

fn fill(table: &Table, key: u64, row: Option<Row>, as_of: u64) -> FillOutcome {
    table.fill(RESIDENT, &key.to_le_bytes(), row, Lsn(as_of))
}

#[test]
fn merging_keeps_the_greater_rank_in_any_order() {
    let table = table(1 << 20);
    assert_eq!(table.apply(row(FULL, 1, 5, 10, Some(b"xx")), LatestEvent, Mode::InsertAll), Applied::Inserted);
    assert_eq!(table.apply(row(FULL, 1, 6, 9, Some(b"xx")), LatestEvent, Mode::InsertAll), Applied::Outranked);
    assert_eq!(table.apply(row(FULL, 1, 5, 10, Some(b"xx")), LatestEvent, Mode::InsertAll), Applied::Passed);
    assert_eq!(held(&table, FULL, 1), Some(5));
    assert_eq!(table.apply(row(FULL, 1, 6, 9, None), MergePolicy::LatestWrite, Mode::InsertAll), Applied::Replaced);
    assert!(matches!(table.get(FULL, &1_u64.to_le_bytes()), Held::Absent));
    assert!(matches!(table.get(FULL, &2_u64.to_le_bytes()), Held::Unknown));
}

#[test]
fn counts_follow_every_change() {
    let table = table(1 << 20);
    for lsn in 1..=100 {
        table.apply(put(FULL, lsn % 40, lsn), LatestEvent, Mode::InsertAll);
    }
    table.apply(delete(FULL, 3, 200), LatestEvent, Mode::InsertAll);
    let counts = table.counts(FULL);
    assert_eq!((counts.rows, counts.absent), (39, 1));
    let overhead = counts.bytes / 40 - 16;
    assert!(overhead <= 140, "{overhead} bytes a row beyond key and body");
    assert_eq!(table.collect_tombstones(Hlc(200 << 16)), 0);
    assert_eq!(table.collect_tombstones(Hlc(201 << 16)), 1);
    table.drop_view(FULL);
    assert_eq!(table.counts(FULL), Default::default());
    assert!(table.is_empty());
}

#[test]
fn a_resident_view_updates_only_held_keys() {
    let table = table(1 << 20);
    assert_eq!(table.apply(put(RESIDENT, 1, 5), LatestEvent, Mode::UpdateHeld), Applied::NotHeld);
    assert_eq!(fill(&table, 1, Some(put(RESIDENT, 1, 5)), 5), FillOutcome::Inserted);
    assert_eq!(table.apply(put(RESIDENT, 1, 6), LatestEvent, Mode::UpdateHeld), Applied::Replaced);
    assert_eq!(held(&table, RESIDENT, 1), Some(6));
    assert_eq!(fill(&table, 2, None, 6), FillOutcome::Inserted);
    assert!(matches!(table.get(RESIDENT, &2_u64.to_le_bytes()), Held::Absent), "the miss is remembered");
    assert_eq!(table.apply(put(RESIDENT, 2, 7), LatestEvent, Mode::UpdateHeld), Applied::NotHeld);
    assert!(
        matches!(table.get(RESIDENT, &2_u64.to_le_bytes()), Held::Unknown),
        "a write ends a remembered miss; whether a deletion outranks it is for the leader to say"
    );
    assert_eq!(
        table.fill(FULL, &1_u64.to_le_bytes(), None, Lsn(9)),
        FillOutcome::NotKept,
        "full views are never filled"
    );
}

#[test]
fn a_fill_that_the_feed_has_overtaken_is_rejected() {
    let table = table(1 << 20);
    table.apply(put(RESIDENT, 1, 5), LatestEvent, Mode::UpdateHeld);
    assert_eq!(fill(&table, 1, Some(put(RESIDENT, 1, 3)), 4), FillOutcome::Overtaken { needs: Lsn(5) });
    assert_eq!(fill(&table, 1, None, 4), FillOutcome::Overtaken { needs: Lsn(5) });
    assert!(matches!(table.get(RESIDENT, &1_u64.to_le_bytes()), Held::Unknown));
    let floor = Table::new(Config { resident_bytes: Some(1 << 20), floor: Lsn(9), ..Config::default() });
    floor.set_residency(RESIDENT, Residency::Resident);
    assert_eq!(fill(&floor, 1, None, 8), FillOutcome::Overtaken { needs: Lsn(9) });
}

#[test]
fn remembered_misses_are_bounded_and_not_in_snapshots() {
    let table = Arc::new(table(1 << 20));
    for key in 0..50 {
        fill(&table, key, None, 1);
    }
    assert_eq!(table.counts(RESIDENT).absent, 10);
    table.apply(delete(FULL, 1, 2), LatestEvent, Mode::InsertAll);
    let rows: Vec<Row> = table.chunks(3).flatten().collect();
    assert_eq!(rows.len(), 1, "tombstones are in a snapshot, misses are not");
}

#[test]
fn resident_rows_stay_within_their_budget() {
    let table = table(100_000);
    for key in 0..10_000 {
        fill(&table, key, Some(put(RESIDENT, key, 1)), 1);
    }
    table.settle();
    let counts = table.counts(RESIDENT);
    assert!(counts.bytes <= 100_000 && counts.rows > 50, "{counts:?}");
    assert_eq!(counts.rows as usize, table.len());
    let gone = (0..10_000).find(|key| held(&table, RESIDENT, *key).is_none()).expect("some were evicted");
    assert_eq!(
        fill(&table, gone, Some(put(RESIDENT, gone, 1)), 1),
        FillOutcome::Inserted,
        "an evicted row can be filled again"
    );
}

#[test]
fn a_full_view_that_becomes_resident_shrinks_to_the_budget() {
    let table = table(50_000);
    for key in 0..5_000 {
        table.apply(put(FULL, key, key + 1), LatestEvent, Mode::InsertAll);
    }
    table.set_residency(FULL, Residency::Resident);
    table.settle();
    let counts = table.counts(FULL);
    assert!(counts.bytes <= 50_000 && counts.rows > 20, "{counts:?}");
}

#[test]
fn a_batch_answers_in_order_and_lists_unknown_keys() {
    let table = table(1 << 20);
    for key in 0..100 {
        table.apply(put(FULL, key, key + 1), LatestEvent, Mode::InsertAll);
    }
    table.apply(delete(FULL, 7, 200), LatestEvent, Mode::InsertAll);
    let mut keys = KeyBatch::default();
    let asked: Vec<u64> = (0..120).chain([5, 7, 500]).collect();
    asked.iter().for_each(|key| keys.push(&key.to_le_bytes()));
    let (mut rows, mut unknown) = (Vec::new(), Vec::new());
    table.read(FULL, &keys, &mut rows, &mut unknown);
    let expected: Vec<Option<u64>> = asked.iter().map(|key| (*key < 100 && *key != 7).then_some(key + 1)).collect();
    let read: Vec<Option<u64>> = rows.iter().map(|row| row.as_ref().map(|row| row.header().lsn.0)).collect();
    assert_eq!(read, expected);
    assert_eq!(unknown, (100..120).chain([122]).collect::<Vec<u32>>());
}

#[test]
fn pages_return_a_view_in_key_order() {
    let table = table(1 << 20);
    let mut expected = BTreeMap::new();
    for key in 0..257 {
        table.apply(put(FULL, key, key + 1), LatestEvent, Mode::InsertAll);
        expected.insert(key.to_le_bytes().to_vec(), key + 1);
    }
    table.apply(delete(FULL, 9, 999), LatestEvent, Mode::InsertAll);
    expected.remove(9_u64.to_le_bytes().as_slice());
    table.apply(put(ViewId(3), 1, 1), LatestEvent, Mode::InsertAll);
    let (mut seen, mut cursor, mut pages) = (Vec::new(), None, 0);
    loop {
        let page = table.page(FULL, cursor.as_deref(), 64);
        seen.extend(page.rows.iter().map(|row| (row.key().to_vec(), row.header().lsn.0)));
        pages += 1;
        cursor = page.cursor;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!((seen, pages), (expected.into_iter().collect::<Vec<_>>(), 4));
}

#[test]
fn chunks_are_bounded_and_contain_every_row_once() {
    let table = Arc::new(table(1 << 20));
    for key in 0..1_000 {
        table.apply(put(FULL, key, key + 1), LatestEvent, Mode::InsertAll);
    }
    let chunks: Vec<Vec<Row>> = table.chunks(33).collect();
    assert!(chunks.iter().all(|chunk| (1..=33).contains(&chunk.len())));
    let mut lsns: Vec<u64> = chunks.iter().flatten().map(|row| row.header().lsn.0).collect();
    lsns.sort_unstable();
    assert_eq!(lsns, (1..=1_000).collect::<Vec<_>>());
}

/// Runs fills, the feed and evictions in several threads: nothing deadlocks, and no key stays
/// older than its last record.
#[test]
fn fills_and_the_feed_race_without_loss() {
    use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
    const KEYS: u64 = 64;
    let table = Arc::new(table(6_000));
    // The leader's last record of each key; record `n` belongs to key `n` modulo the number of
    // keys.
    let head = Arc::new(AtomicU64::new(0));
    let applied = Arc::new(AtomicU64::new(0));
    let last_of = |key: u64, head: u64| -> Option<u64> {
        let rest = (head + KEYS - key) % KEYS;
        (head >= rest && head > rest).then(|| head - rest)
    };
    std::thread::scope(|scope| {
        for thread in 0..3_u64 {
            let (table, head, applied) = (table.clone(), head.clone(), applied.clone());
            scope.spawn(move || {
                for n in 0..20_000_u64 {
                    let key = (n * 7 + thread * 13) % KEYS;
                    let as_of = head.load(SeqCst);
                    let row = last_of(key, as_of).map(|lsn| put(RESIDENT, key, lsn));
                    if n % 3 == 0 {
                        std::thread::yield_now();
                    }
                    fill(&table, key, row, as_of);
                    let through = applied.load(SeqCst);
                    if let Some(lsn) = held(&table, RESIDENT, key) {
                        assert!(Some(lsn) >= last_of(key, through), "key {key} holds {lsn}, {through} is applied");
                    }
                }
            });
        }
        let (table, head, applied) = (table.clone(), head.clone(), applied.clone());
        scope.spawn(move || {
            for lsn in 1..=50_000_u64 {
                head.store(lsn, SeqCst);
                table.apply(put(RESIDENT, lsn % KEYS, lsn), LatestEvent, Mode::UpdateHeld);
                applied.store(lsn, SeqCst);
            }
        });
    });
    let end = head.load(SeqCst);
    for key in 0..KEYS {
        if let Some(lsn) = held(&table, RESIDENT, key) {
            assert_eq!(Some(lsn), last_of(key, end), "key {key}");
        }
    }
}

#[test]
fn a_late_event_never_restores_a_row_that_the_leader_has_deleted() {
    let table = table(1 << 20);
    // The leader has a deletion of a later event, and its reply only states that there is no row.
    assert_eq!(fill(&table, 2, None, 5), FillOutcome::Inserted);
    assert_eq!(table.apply(put(RESIDENT, 2, 6), LatestEvent, Mode::UpdateHeld), Applied::NotHeld);
    assert!(matches!(table.get(RESIDENT, &2_u64.to_le_bytes()), Held::Unknown), "the leader must be queried");
    assert_eq!(table.counts(RESIDENT).absent, 0);
}
