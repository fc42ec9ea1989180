//! Loads directories as other programs write them: a folder for each value of a column, and hidden files.

mod node;
#[path = "../../client/tests/support/server.rs"]
mod server;

use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use littoral_ingest::{Silent, ingest};
use littoral_model::{
    entity_key,
    row_body::{ValueRef, value_at},
    value::ValueType,
};
use node::{World, route_daily};
use parquet::arrow::ArrowWriter;
use std::{path::Path, sync::Arc};

/// A file of one row: a route to ATL from an origin that only the folder may name.
fn write(path: &Path, origin: Option<&str>) {
    let one = |number: i64| -> ArrayRef { Arc::new(Int64Array::from_value(number, 1)) };
    let text = |text: &str| -> ArrayRef { Arc::new(StringArray::from(vec![text])) };
    let mut columns = vec![("destination", text("ATL")), ("delayed_7d", one(1)), ("distance_miles", one(2))];
    columns.extend(origin.map(|origin| ("origin", text(origin))));
    columns.push(("event_timestamp", Arc::new(TimestampMicrosecondArray::from_value(1, 1))));
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mut writer = ArrowWriter::try_new(std::fs::File::create(path).unwrap(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

fn key(origin: &str) -> Vec<u8> {
    let mut key = Vec::new();
    entity_key::push_bytes(&mut key, b"ATL");
    entity_key::push_bytes(&mut key, origin.as_bytes());
    key
}

#[tokio::test]
async fn folders_give_columns_and_what_is_hidden_is_left_out_and_counted() {
    let world = World::new().await;
    let table = world.dir.path().join("table");
    // The files are equal; only their folders distinguish their rows.
    write(&table.join("date=2024-01-01/origin=BOS/flights_7d=5/part-0.parquet"), None);
    write(&table.join("date=2024-01-02/origin=SFO/flights_7d=__HIVE_DEFAULT_PARTITION__/part-0.parquet"), None);
    write(&table.join("part-1.parquet"), Some("LAX"));
    // A column of the file takes precedence over one of its folder.
    write(&table.join("origin=nowhere/part-2.parquet"), Some("JFK"));
    write(&table.join(".hidden.parquet"), Some("hidden"));
    write(&table.join("_temporary/0/part-3.parquet"), Some("temporary"));
    std::fs::write(table.join("_SUCCESS"), "").unwrap();
    std::fs::write(table.join("README"), "").unwrap();
    let options = littoral_ingest::Options { missing_as_null: true, ..world.options() };
    let report = ingest(&table, &world.client, &options, &mut Silent).await.unwrap();
    assert_eq!((report.rows_sent, report.files_hidden, report.files_other), (4, 3, 1));
    assert_eq!(report.columns_ignored, ["date"]);
    {
        let node = world.node.lock();
        let keys: Vec<_> = node.rows.keys().cloned().collect();
        let mut expected: Vec<_> = ["BOS", "SFO", "LAX", "JFK"].map(key).into();
        expected.sort();
        assert_eq!(keys, expected);
        let flights = |origin: &str| match value_at(&node.rows[&key(origin)][0].1, 0, ValueType::Int64) {
            ValueRef::Int64(flights) => Some(flights),
            _ => None,
        };
        assert_eq!((flights("BOS"), flights("SFO")), (Some(5), None));
    }
    let again = ingest(&table, &world.client, &options, &mut Silent).await.unwrap();
    assert!(again.was_finished, "each file is remembered by its place");
}

#[tokio::test]
async fn a_folder_whose_value_does_not_fit_is_rejected_before_anything_is_sent() {
    let world = World::new().await;
    world.node.lock().view = route_daily();
    let table = world.dir.path().join("table");
    write(&table.join("a.parquet"), Some("LAX"));
    write(&table.join("flights_7d=many/b.parquet"), Some("SFO"));
    let options = littoral_ingest::Options { missing_as_null: true, ..world.options() };
    let error = ingest(&table, &world.client, &options, &mut Silent).await.unwrap_err().to_string();
    let expected = "b.parquet: the folder 'flights_7d=many': int64 was expected, got 'many', which is not a number";
    assert!(error.contains(expected), "{error}");
    assert_eq!(world.node.lock().taken, 0);
}
