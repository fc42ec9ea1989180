//! Loads real Parquet files into a node: every row arrives once and in order, an interrupted load resumes, and files
//! that do not match the view are rejected before anything is sent.

mod node;
#[path = "../../client/tests/support/server.rs"]
mod server;

use arrow_array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use littoral_ingest::{Error, Options, Progress, Report, Silent, ingest};
use littoral_model::{
    entity_key,
    row_body::{ValueRef, value_at},
    value::ValueType,
};
use node::{World, fixture, route_daily};
use parquet::arrow::ArrowWriter;
use std::{collections::BTreeSet, path::Path, sync::Arc};

/// Rows in `route_daily_last_week.parquet`, and entity keys among them.
const ROUTE_ROWS: u64 = 25_101;
const ROUTES: u64 = 3_190;

async fn load(world: &World, options: &Options) -> Result<Report, Error> {
    ingest(&fixture("route_daily_last_week.parquet"), &world.client, options, &mut Silent).await
}

#[tokio::test]
async fn every_row_arrives_once_and_each_keys_rows_in_file_order() {
    let world = World::new().await;
    let report = load(&world, &world.options()).await.unwrap();
    let node = world.node.lock();
    assert_eq!((report.rows, report.rows_sent, node.row_count()), (ROUTE_ROWS, ROUTE_ROWS, ROUTE_ROWS));
    assert_eq!((report.rows_resumed, report.rows_superseded, report.was_finished), (0, 0, false));
    assert!(report.batches >= ROUTE_ROWS / 1_000 && report.rows_per_second > 0.0);
    assert_eq!(node.rows.len() as u64, ROUTES);
    assert_eq!(
        report.token,
        Some(format!("us@0000000000000001:{}", report.batches)),
        "the token of the last batch in the log"
    );
    for (key, rows) in &node.rows {
        assert!(rows.is_sorted_by_key(|(time, _)| *time), "{key:?}");
    }
    // One row that the file is known to hold, value by value: from ABE to ATL.
    let mut key = Vec::new();
    entity_key::push_bytes(&mut key, b"ATL");
    entity_key::push_bytes(&mut key, b"ABE");
    let (_, body) = node.rows[&key].last().unwrap();
    let delay = value_at(body, 2, ValueType::Double);
    assert!(matches!(delay, ValueRef::Double(mean) if (mean - 6.642857).abs() < 1e-6), "{delay:?}");
    assert!(matches!(value_at(body, 3, ValueType::Int64), ValueRef::Int64(692)));
}

#[tokio::test]
async fn a_load_whose_rows_the_log_has_lost_since_sends_them_again_and_says_so() {
    let world = World::new().await;
    world.node.lock().patience = Some(30);
    load(&world, &world.options()).await.unwrap_err();
    let taken = {
        let mut node = world.node.lock();
        node.patience = None;
        let taken = node.taken as u64;
        // A life that begins after the sent rows has lost none of them.
        node.roll_back(taken);
        taken
    };
    world.node.lock().patience = Some(usize::try_from(taken).unwrap() + 2);
    load(&world, &world.options()).await.unwrap_err();
    let before = world.node.lock().row_count();
    world.node.lock().roll_back(0);
    world.node.lock().patience = None;
    let report = load(&world, &world.options()).await.unwrap();
    assert!(before > 0 && report.lost_since && report.rows_resumed == 0 && report.rows_known == 0, "{report:?}");
    assert_eq!((report.rows_sent, world.node.lock().row_count()), (ROUTE_ROWS, ROUTE_ROWS));
}

#[tokio::test]
async fn a_cut_load_goes_on_and_a_finished_one_says_so() {
    let world = World::new().await;
    world.node.lock().patience = Some(30);
    let error = load(&world, &world.options()).await.unwrap_err().to_string();
    assert!(error.contains("no more today") && error.contains("run the same command again to continue"), "{error}");
    let before = world.node.lock().row_count();
    assert!(before > 0 && before < ROUTE_ROWS);

    world.node.lock().patience = None;
    let report = load(&world, &world.options()).await.unwrap();
    assert!(report.rows_resumed > 0 && report.rows_resumed <= before, "{report:?}");
    assert_eq!(report.rows_resumed + report.rows_sent, ROUTE_ROWS);
    {
        let node = world.node.lock();
        // Rows that were accepted after the last recorded row are sent again, and the node recognises them.
        assert_eq!((node.row_count(), report.batches_known), (ROUTE_ROWS, node.duplicates));
    }
    let again = load(&world, &world.options()).await.unwrap();
    assert!(again.was_finished && again.rows_sent == 0 && again.rows_resumed == ROUTE_ROWS);

    // If the leader's log is new, or the user requests a restart, all rows are sent, whatever the state file contains.
    world.node.lock().incarnation = 2;
    assert_eq!(load(&world, &world.options()).await.unwrap().rows_sent, ROUTE_ROWS);
    let restart = Options { restart: true, ..world.options() };
    assert_eq!(load(&world, &restart).await.unwrap().rows_sent, ROUTE_ROWS);
}

#[tokio::test]
async fn latest_only_sends_the_last_row_of_each_key() {
    let whole = World::new().await;
    load(&whole, &whole.options()).await.unwrap();
    let latest = World::new().await;
    let options = Options { latest_only: true, in_flight: 3, ..latest.options() };
    let report = load(&latest, &options).await.unwrap();
    assert_eq!((report.rows_sent, report.rows_superseded), (ROUTES, ROUTE_ROWS - ROUTES));
    let (whole, latest) = (whole.node.lock(), latest.node.lock());
    assert_eq!(whole.rows.keys().collect::<BTreeSet<_>>(), latest.rows.keys().collect());
    for (key, rows) in &latest.rows {
        assert_eq!((rows.len(), rows.last()), (1, whole.rows[key].last()));
    }
}

#[derive(Default)]
struct Heard {
    planned: u64,
    scanned: u64,
    done: u64,
    files: usize,
}

impl Progress for Heard {
    fn planned(&mut self, _: usize, rows: u64) {
        self.planned = rows;
    }
    fn scanned(&mut self, rows: u64) {
        self.scanned = rows;
    }
    fn file(&mut self, _: &Path, _: u64, _: u64) {
        self.files += 1;
    }
    fn done(&mut self, rows: u64) {
        self.done += rows;
    }
}

#[tokio::test]
async fn a_directory_is_one_load_bodies_are_bounded_and_progress_adds_up() {
    let world = World::new().await;
    let dir = tempfile::tempdir().unwrap();
    for name in ["a.parquet", "b.parquet"] {
        std::fs::copy(fixture("route_daily_last_week.parquet"), dir.path().join(name)).unwrap();
    }
    std::fs::write(dir.path().join("notes.txt"), "not Parquet").unwrap();
    let mut heard = Heard::default();
    let options = Options { body_bytes_max: 5_000, latest_only: true, state: None, ..world.options() };
    let report = ingest(dir.path(), &world.client, &options, &mut heard).await.unwrap();
    let all = 2 * ROUTE_ROWS;
    assert_eq!((heard.planned, heard.scanned, heard.done, heard.files), (all, all, all, 2));
    // If two files are equal, the rows of the later one win.
    assert_eq!((report.rows_sent, report.rows_superseded), (ROUTES, all - ROUTES));
    assert_eq!(world.node.lock().row_count(), ROUTES);
    assert!(world.node.lock().body_bytes_max <= 5_000);
    assert!(dir.path().join(".littoral-ingest.json").exists());
}

#[tokio::test]
async fn what_does_not_fit_is_rejected_before_anything_is_sent() {
    let world = World::new().await;
    let words = |result: Result<Report, Error>| result.unwrap_err().to_string();
    world.node.lock().view.features[0].value_type = ValueType::Bytes;
    let error = words(load(&world, &world.options()).await);
    assert!(
        error.contains("route_daily_last_week.parquet: column 'flights_7d' is Int")
            && error.contains("cannot become bytes"),
        "{error}"
    );
    world.node.lock().view = route_daily();
    world.node.lock().view.features[2].value_type = ValueType::String;
    let error = words(load(&world, &world.options()).await);
    assert!(error.contains("column 'mean_delay_7d', row 0: string was expected, got "), "{error}");
    world.node.lock().view = route_daily();
    let renamed = Options { renamed: [("delayed_7d".to_owned(), "late_7d".to_owned())].into(), ..world.options() };
    let error = words(load(&world, &renamed).await);
    assert!(error.contains("'late_7d'") && error.contains("'delayed_7d'"), "{error}");
    let error = words(load(&world, &Options { timestamp: Some("at".into()), ..world.options() }).await);
    assert!(error.contains("timestamp column 'at' is missing"), "{error}");
    let error = words(load(&world, &Options { view: "routes".into(), ..world.options() }).await);
    assert!(error.contains("no feature view 'routes'"), "{error}");
    let error = words(ingest(&fixture("airports.csv"), &world.client, &world.options(), &mut Silent).await);
    assert!(error.contains("airports.csv is not a readable Parquet file"), "{error}");
    let error = words(ingest(world.dir.path(), &world.client, &world.options(), &mut Silent).await);
    assert!(error.contains("holds no *.parquet file"), "{error}");
    let nowhere = Options { state: Some("/nowhere/state.json".into()), ..world.options() };
    let error = words(load(&world, &nowhere).await);
    assert!(
        error.contains("cannot write the load's state /nowhere/state.json") && error.contains("--state"),
        "{error}"
    );
    assert_eq!(world.node.lock().taken, 0);
}

/// Routes of which one row has no origin.
fn with_a_hole(rows: usize, hole: usize) -> RecordBatch {
    let text = |null: Option<usize>| -> ArrayRef {
        Arc::new((0..rows).map(|row| (Some(row) != null).then_some("ATL")).collect::<StringArray>())
    };
    let numbers: ArrayRef = Arc::new(Int64Array::from_value(1, rows));
    let delays: ArrayRef = Arc::new(Float64Array::from_value(1.0, rows));
    let times: ArrayRef = Arc::new(TimestampMicrosecondArray::from_value(1, rows));
    RecordBatch::try_from_iter_with_nullable([
        ("origin", text(Some(hole)), true),
        ("destination", text(None), true),
        ("flights_7d", Arc::clone(&numbers), true),
        ("delayed_7d", Arc::clone(&numbers), true),
        ("mean_delay_7d", delays, true),
        ("distance_miles", numbers, true),
        ("event_timestamp", times, true),
    ])
    .unwrap()
}

#[tokio::test]
async fn a_null_key_names_file_column_and_row() {
    let world = World::new().await;
    let batch = with_a_hole(2_500, 2_100);
    let path = world.dir.path().join("holes.parquet");
    let mut writer = ArrowWriter::try_new(std::fs::File::create(&path).unwrap(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    for latest_only in [false, true] {
        let options = Options { latest_only, restart: true, ..world.options() };
        let error = ingest(&path, &world.client, &options, &mut Silent).await.unwrap_err().to_string();
        assert!(error.contains("holes.parquet: column 'origin', row 2100: the join key is null"), "{error}");
    }
}
