//! Digests are equal exactly when rows are, whatever the history; scrubs and repairs run during
//! writes.

use littoral_model::{
    digest::{Digest, bucket_of},
    event_time::EventTime,
    hlc::Hlc,
    merge::MergePolicy,
    position::Lsn,
    row::{Row, RowMeta},
    version::Version,
    view::ViewId,
};
use littoral_replica::{BucketChunk, Config, Finding, Mode, Residency, Table};
use proptest::prelude::*;
use std::{collections::BTreeMap, sync::Arc};

const VIEW: ViewId = ViewId(1);

#[derive(Clone, Debug)]
enum Step {
    Put { key: u8, event: i64, body: Option<u8> },
    Collect,
}

fn step() -> impl Strategy<Value = Step> {
    let put = (0..24_u8, 0..6_i64, prop::option::of(any::<u8>()));
    prop_oneof![
        9 => put.prop_map(|(key, event, body)| Step::Put { key, event, body }),
        1 => Just(Step::Collect),
    ]
}

fn table() -> Arc<Table> {
    Arc::new(Table::new(Config { shards: 4, ..Config::default() }))
}

fn row(lsn: u64, key: u8, event: i64, body: Option<u8>) -> Row {
    let version = Version { hlc: Hlc(lsn), region: "east".parse().unwrap() };
    let meta = RowMeta { view: VIEW, event_time: EventTime(event), version, lsn: Lsn(lsn) };
    Row::new(meta, &[key], body.as_ref().map(std::slice::from_ref))
}

fn apply(table: &Table, lsn: u64, step: &Step) {
    match step {
        Step::Put { key, event, body } => {
            table.apply(row(lsn, *key, *event, *body), MergePolicy::LatestEvent, Mode::InsertAll);
        }
        Step::Collect => drop(table.collect_tombstones(Hlc(lsn.saturating_sub(8)))),
    }
}

fn kept(table: &Table) -> Digest {
    table.digests().into_iter().find(|view| view.view == VIEW).map(|view| view.digest).unwrap_or_default()
}

fn all(table: &Arc<Table>) -> Vec<Row> {
    table.chunks(64).flatten().collect()
}

fn added_up(table: &Arc<Table>) -> Digest {
    let mut digest = Digest::default();
    all(table).iter().for_each(|row| digest.add(row));
    digest
}

fn contents(table: &Arc<Table>) -> BTreeMap<Vec<u8>, (i64, u64, Vec<u8>, bool)> {
    let of = |row: &Row| (row.header().event_time.0, row.header().lsn.0, row.body().to_vec(), row.is_tombstone());
    all(table).iter().map(|row| (row.key().to_vec(), of(row))).collect()
}

proptest! {
    #[test]
    fn kept_sums_match_the_rows_after_any_history(steps in prop::collection::vec(step(), 0..200)) {
        let table = table();
        for (step, lsn) in steps.iter().zip(1..) {
            apply(&table, lsn, step);
        }
        prop_assert_eq!(kept(&table), added_up(&table));
    }

    #[test]
    fn digests_are_equal_exactly_when_rows_are(
        steps in prop::collection::vec(step(), 0..60),
        left_out in any::<prop::sample::Index>(),
    ) {
        let (whole, other) = (table(), table());
        for (step, lsn) in steps.iter().zip(1..) {
            apply(&whole, lsn, step);
            if steps.len() > 1 && left_out.index(steps.len()) as u64 + 1 != lsn {
                apply(&other, lsn, step);
            }
        }
        prop_assert_eq!(kept(&whole) == kept(&other), contents(&whole) == contents(&other));
    }

    #[test]
    fn repeated_records_change_nothing(
        steps in prop::collection::vec((0..9_u8, 0..4_i64, prop::option::of(any::<u8>())), 1..60),
        again in any::<prop::sample::Index>(),
    ) {
        let table = table();
        let rows: Vec<Row> =
            steps.iter().zip(1..).map(|((key, event, body), lsn)| row(lsn, *key, *event, *body)).collect();
        table.apply_all(VIEW, rows.iter().cloned(), MergePolicy::LatestEvent, Mode::InsertAll, drop);
        let before = (kept(&table), contents(&table));
        for row in &rows[again.index(rows.len())..] {
            table.apply(row.clone(), MergePolicy::LatestEvent, Mode::InsertAll);
        }
        prop_assert_eq!((kept(&table), contents(&table)), before);
    }

    #[test]
    fn a_snapshot_read_during_collection_plus_the_tail_gives_the_same_rows(
        steps in prop::collection::vec(step(), 1..80),
        cut in any::<prop::sample::Index>(),
        reads in prop::collection::vec(0..4_usize, 80),
    ) {
        let (leader, edge) = (table(), table());
        let as_of = cut.index(steps.len());
        for (step, lsn) in steps[..as_of].iter().zip(1..) {
            apply(&leader, lsn, step);
        }
        let mut chunks = leader.chunks(1);
        let mut snapshot = Vec::new();
        for (index, step) in steps.iter().enumerate().skip(as_of) {
            snapshot.extend(chunks.by_ref().take(reads[index]).flatten());
            apply(&leader, index as u64 + 1, step);
        }
        snapshot.extend(chunks.flatten());
        for row in snapshot {
            edge.apply(row, MergePolicy::LatestEvent, Mode::InsertAll);
        }
        for (index, step) in steps.iter().enumerate().skip(as_of) {
            apply(&edge, index as u64 + 1, step);
        }
        prop_assert_eq!(contents(&leader), contents(&edge));
        prop_assert_eq!(kept(&leader), kept(&edge));
    }

    #[test]
    fn a_scrub_during_writes_finds_exactly_the_corruption(
        steps in prop::collection::vec(step(), 1..80),
        harmed in prop::option::of(any::<prop::sample::Index>()),
        overwritten in any::<bool>(),
    ) {
        let table = table();
        table.set_residency(VIEW, Residency::Full);
        for (step, lsn) in steps.iter().zip(1..) {
            apply(&table, lsn, step);
        }
        let held: Vec<Row> = all(&table).into_iter().filter(|row| !row.body().is_empty()).collect();
        let harmed = harmed.filter(|_| !held.is_empty()).map(|index| held[index.index(held.len())].key().to_vec());
        if let Some(key) = &harmed {
            prop_assert!(table.corrupt(VIEW, key));
        }
        let mut scrub = table.begin_scrub().unwrap();
        prop_assert!(table.begin_scrub().is_none(), "one at a time");
        let mut lsn = 1_000;
        while scrub.advance() {
            for key in 0..24 {
                if !overwritten && harmed.as_deref() == Some(&[key][..]) {
                    continue;
                }
                lsn += 1;
                apply(&table, lsn, &Step::Put { key, event: lsn as i64, body: (key % 5 > 0).then_some(key) });
            }
        }
        let corrupted = scrub.finish(Finding::Adopt);
        let found: Vec<u8> = corrupted.into_iter().flat_map(|corrupted| corrupted.buckets).collect();
        // An overwritten row is no longer corrupted, and its removal subtracted what its insertion
        // added.
        let left = harmed.filter(|_| !overwritten);
        prop_assert_eq!(found, left.iter().map(|key| bucket_of(key)).collect::<Vec<u8>>());
        prop_assert_eq!(kept(&table), added_up(&table));
    }

    #[test]
    fn repairing_every_bucket_makes_a_replica_equal_to_the_leader(
        leaders in prop::collection::vec(step(), 1..80),
        ours in prop::collection::vec(step(), 0..80),
    ) {
        let (leader, edge) = (table(), table());
        edge.set_residency(VIEW, Residency::Full);
        for (step, lsn) in leaders.iter().zip(1..) {
            apply(&leader, lsn, step);
        }
        for (step, lsn) in ours.iter().zip(1..) {
            if matches!(step, Step::Put { .. }) {
                apply(&edge, lsn, step);
            }
        }
        for bucket in 0..=u8::MAX {
            let mut after: Option<Vec<u8>> = None;
            loop {
                let (rows, more) = leader.bucket(VIEW, bucket, after.as_deref(), 1);
                let through = rows.last().filter(|_| more).map(|row| row.key().to_vec());
                let as_of = Lsn(1_000);
                edge.repair(&BucketChunk { view: VIEW, bucket, after, through: through.clone(), as_of, rows });
                after = through;
                if after.is_none() {
                    break;
                }
            }
        }
        prop_assert_eq!(contents(&leader), contents(&edge));
        prop_assert_eq!(kept(&leader), kept(&edge));
        prop_assert_eq!(kept(&edge), added_up(&edge));
    }

    #[test]
    fn buckets_that_arrive_late_change_no_correct_row(
        steps in prop::collection::vec(step(), 1..80),
        read_at in any::<prop::sample::Index>(),
    ) {
        let (leader, edge) = (table(), table());
        edge.set_residency(VIEW, Residency::Full);
        let read_at = read_at.index(steps.len());
        let mut late = Vec::new();
        for (index, step) in steps.iter().enumerate() {
            if index == read_at {
                late = (0..=u8::MAX).map(|bucket| (bucket, leader.bucket(VIEW, bucket, None, usize::MAX).0)).collect();
            }
            apply(&leader, index as u64 + 1, step);
            apply(&edge, index as u64 + 1, step);
        }
        for (bucket, rows) in late {
            edge.repair(&BucketChunk { view: VIEW, bucket, after: None, through: None, as_of: Lsn(read_at as u64), rows });
        }
        prop_assert_eq!(contents(&leader), contents(&edge));
        prop_assert_eq!(kept(&edge), added_up(&edge));
    }
}

#[test]
fn a_repair_keeps_later_records_of_the_feed() {
    let table = table();
    apply(&table, 9, &Step::Put { key: 1, event: 9, body: Some(9) });
    let stale = BucketChunk {
        view: VIEW,
        bucket: bucket_of(&[1]),
        after: None,
        through: None,
        as_of: Lsn(8),
        rows: vec![row(3, 1, 3, Some(3))],
    };
    table.repair(&stale);
    assert_eq!(contents(&table)[&vec![1]].1, 9);
    table.repair(&BucketChunk { rows: Vec::new(), ..stale.clone() });
    assert_eq!(contents(&table).len(), 1);
    table.repair(&BucketChunk { as_of: Lsn(9), rows: Vec::new(), ..stale });
    assert!(contents(&table).is_empty());
}
