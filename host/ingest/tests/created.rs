//! Among rows with equal keys and event times, the one created last wins, wherever it is in the files. Also tests the
//! columns that a view's source names.

mod node;
#[path = "../../client/tests/support/server.rs"]
mod server;

use arrow_array::{ArrayRef, BooleanArray, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use littoral_ingest::{Error, Options, Report, Silent, ingest};
use littoral_model::{
    merge::MergePolicy,
    row_body::{ValueRef, value_at},
    value::ValueType,
};
use node::World;
use parquet::arrow::ArrowWriter;
use serde_json::json;
use std::{path::Path, sync::Arc};

/// A row: key, value, event time and time of creation in seconds.
type Row = (&'static str, i64, i64, Option<i64>);

fn times(seconds: impl Iterator<Item = Option<i64>>) -> ArrayRef {
    Arc::new(TimestampMicrosecondArray::from(seconds.map(|at| at.map(|at| at * 1_000_000)).collect::<Vec<_>>()))
}

/// Writes a file of these rows, with these names for the columns of times and of the value.
fn file(path: &Path, rows: &[Row], [event, created, value]: [&str; 3]) {
    let text = |one: fn(&Row) -> &str| Arc::new(StringArray::from_iter_values(rows.iter().map(one))) as ArrayRef;
    let columns = vec![
        ("origin", text(|row| row.0)),
        ("destination", text(|_| "X")),
        (value, Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.1))) as ArrayRef),
        (event, times(rows.iter().map(|row| Some(row.2)))),
        (created, times(rows.iter().map(|row| row.3))),
    ];
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let mut writer = ArrowWriter::try_new(std::fs::File::create(path).unwrap(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

const PLAIN: [&str; 3] = ["event_timestamp", "created", "flights_7d"];

/// Batches of two rows, so that ties are between batches as well as within one.
fn options(world: &World) -> Options {
    Options { batch_rows: 2, missing_as_null: true, ..world.options() }
}

/// Returns the value that each key keeps: the one with the greatest event time, and among equal event times the one
/// that arrived last.
fn state(world: &World) -> Vec<i64> {
    let node = world.node.lock();
    let last = node.rows.values().map(|rows| rows.iter().rev().max_by_key(|(time, _)| *time).unwrap());
    let last = node.rows.values().zip(last).map(|(rows, (time, _))| rows.iter().rfind(|row| row.0 == *time).unwrap());
    last.map(|(_, body)| match value_at(body, 0, ValueType::Int64) {
        ValueRef::Int64(value) => value,
        other => panic!("{other:?}"),
    })
    .collect()
}

/// Replaces the node's log by a new one, without rows.
fn forget(world: &World) {
    let mut node = world.node.lock();
    node.rows.clear();
    node.incarnation += 1;
}

async fn load(world: &World, path: &Path, options: &Options) -> Result<Report, Error> {
    ingest(path, &world.client, options, &mut Silent).await
}

/// Rows of the keys a to f; each key has another order of its rows.
const TIES: [Row; 14] = [
    ("a", 2, 100, Some(9)), // made later, stands earlier
    ("a", 1, 100, Some(8)),
    ("b", 1, 100, Some(8)), // made later, stands later
    ("b", 2, 100, Some(9)),
    ("c", 2, 200, Some(1)), // a later event, made earlier
    ("c", 1, 100, Some(9)),
    ("d", 2, 100, Some(9)), // not known when: made before all others
    ("d", 1, 100, None),
    ("e", 1, 100, Some(9)), // alike: the one that stands later
    ("e", 2, 100, Some(9)),
    ("f", 3, 100, Some(9)), // a tie of older events, then a later one
    ("f", 1, 100, Some(1)),
    ("f", 2, 300, Some(1)),
    ("f", 1, 300, None),
];

#[tokio::test]
async fn of_equal_event_times_the_row_that_was_made_last_stays() {
    let world = World::new().await;
    let path = world.dir.path().join("ties.parquet");
    file(&path, &TIES, PLAIN);
    let report = load(&world, &path, &options(&world)).await.unwrap();
    assert_eq!(state(&world), [2; 6]);
    assert_eq!((report.rows, report.rows_sent + report.rows_superseded), (14, 14));
    assert!(report.columns_ignored.is_empty(), "{report:?}");

    for (how, expected) in [
        (Options { latest_only: true, ..options(&world) }, [2; 6]),
        (Options { created: Some("created".into()), ..options(&world) }, [2; 6]),
        (Options { ignore_created: true, ..options(&world) }, [1, 2, 2, 1, 2, 1]),
    ] {
        forget(&world);
        load(&world, &path, &Options { restart: true, ..how.clone() }).await.unwrap();
        assert_eq!(state(&world), expected, "{how:?}");
    }
    // If the last write wins whatever its event, only the order of the rows matters.
    world.node.lock().view.merge = MergePolicy::LatestWrite;
    forget(&world);
    let report =
        load(&world, &path, &Options { restart: true, ignore_created: false, ..options(&world) }).await.unwrap();
    assert_eq!((report.rows_sent, report.rows_superseded), (14, 0));
}

#[tokio::test]
async fn ties_between_files_are_decided_too_and_a_cut_load_goes_on() {
    let world = World::new().await;
    let files = world.dir.path().join("files");
    std::fs::create_dir(&files).unwrap();
    let (even, odd): (Vec<_>, Vec<_>) = TIES.iter().enumerate().partition(|(at, _)| at % 2 == 0);
    for (name, rows) in [("1.parquet", odd), ("2.parquet", even)] {
        file(&files.join(name), &rows.into_iter().map(|(_, row)| *row).collect::<Vec<_>>(), PLAIN);
    }
    for patience in 1..6 {
        world.node.lock().patience = Some(patience);
        let _cut = load(&world, &files, &options(&world)).await;
    }
    world.node.lock().patience = None;
    load(&world, &files, &options(&world)).await.unwrap();
    // Rows with equal times (key e): the row of the later file wins.
    assert_eq!(state(&world), [2, 2, 2, 2, 1, 2]);

    // A later file whose row was created earlier changes nothing; one whose row was created later does.
    let late = [("a", 8, 100, Some(1)), ("b", 9, 100, Some(10))];
    file(&files.join("3.parquet"), &late, PLAIN);
    let report = load(&world, &files, &options(&world)).await.unwrap();
    assert_eq!((state(&world), report.rows_resumed), (vec![2, 9, 2, 2, 1, 2], 14));
}

#[tokio::test]
async fn the_views_source_names_the_columns() {
    let world = World::new().await;
    let path = world.dir.path().join("own.parquet");
    file(&path, &TIES, ["ts", "made", "n"]);
    let refused = load(&world, &path, &options(&world)).await.unwrap_err().to_string();
    assert!(refused.contains("none of the columns is a feature") && refused.contains("'made', 'n'"), "{refused}");
    let source =
        json!({"event_timestamp": "when", "created": "made", "field_mapping": {"n": "flights_7d", "ts": "when"}});
    world.node.lock().source = source;
    let report = load(&world, &path, &options(&world)).await.unwrap();
    assert_eq!((state(&world), report.columns_ignored.is_empty()), (vec![2; 6], true));
    // The caller's options take precedence over the source.
    let own = Options { timestamp: Some("made".into()), ignore_created: true, restart: true, ..options(&world) };
    let refused = load(&world, &path, &own).await.unwrap_err().to_string();
    assert!(refused.contains("'made'") && refused.contains("null"), "{refused}");
    let missing = Options { created: Some("nowhere".into()), restart: true, ..options(&world) };
    assert!(load(&world, &path, &missing).await.unwrap_err().to_string().contains("'nowhere'"));
    // A file without the column that the source names is loaded in its own order.
    file(&path, &TIES, ["ts", "elsewhere", "n"]);
    forget(&world);
    let report = load(&world, &path, &Options { restart: true, ..options(&world) }).await.unwrap();
    assert_eq!((state(&world), report.columns_ignored), (vec![1, 2, 2, 1, 2, 1], vec!["elsewhere".to_owned()]));
}

/// Writes a file of two rows of one key and event, of which the first has value 1 and the second 2.
fn two_alike(path: &Path, created: ArrayRef) {
    let text = |texts: [&str; 2]| Arc::new(StringArray::from(texts.to_vec())) as ArrayRef;
    let columns = vec![
        ("origin", text(["a", "a"])),
        ("destination", text(["X", "X"])),
        ("flights_7d", Arc::new(Int64Array::from(vec![1, 2])) as ArrayRef),
        ("event_timestamp", times([Some(1), Some(1)].into_iter())),
        ("created", created),
    ];
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let mut writer = ArrowWriter::try_new(std::fs::File::create(path).unwrap(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

#[tokio::test]
async fn a_column_named_created_counts_as_far_as_it_holds_times() {
    let world = World::new().await;
    let path = world.dir.path().join("text.parquet");
    let text = |texts: [&str; 2]| Arc::new(StringArray::from(texts.to_vec())) as ArrayRef;
    for (created, value) in [
        (text(["2026-01-02T00:00:00Z", "2026-01-01T00:00:00Z"]), 1),
        (Arc::new(Int64Array::from(vec![9, 8])) as ArrayRef, 1),
        (text(["2026-01-02T00:00:00Z", "by hand"]), 1),
        (text(["by hand", "by a machine"]), 2),
        (Arc::new(BooleanArray::from(vec![true, false])) as ArrayRef, 2),
    ] {
        two_alike(&path, created);
        forget(&world);
        load(&world, &path, &options(&world)).await.unwrap();
        assert_eq!(state(&world), [value]);
    }
    two_alike(&path, text(["by hand", "by a machine"]));
    let named = Options { created: Some("created".into()), restart: true, ..options(&world) };
    let refused = load(&world, &path, &named).await.unwrap_err().to_string();
    assert!(refused.contains("'created'") && refused.contains("by hand"), "{refused}");
}
