//! Small files that expand to much data are loaded in bounded memory.

#[path = "../../http/tests/support/alone.rs"]
mod alone;
mod node;
#[path = "../../client/tests/support/server.rs"]
mod server;

use arrow_array::{
    ArrayRef, RecordBatch, StringArray, TimestampMicrosecondArray,
    builder::{Int64Builder, ListBuilder},
};
use littoral_ingest::{Options, Silent, ingest};
use littoral_model::{
    value::ValueType,
    view::{Feature, FeatureView},
};
use node::{World, route_daily};
use parquet::{
    arrow::ArrowWriter,
    basic::{Compression, Encoding},
    file::properties::{WriterProperties, WriterPropertiesBuilder},
    schema::types::ColumnPath,
};
use std::{path::Path, sync::Arc};

/// Bytes of one value.
const VALUE: usize = 1 << 20;

fn view(name: &str, value_type: ValueType) -> FeatureView {
    FeatureView { features: vec![Feature { name: name.into(), value_type }], ..route_daily() }
}

fn batch(rows: usize, first: usize, value: ArrayRef) -> RecordBatch {
    let keys: ArrayRef = Arc::new(StringArray::from_iter_values((first..first + rows).map(|row| format!("{row}"))));
    let times: ArrayRef = Arc::new(TimestampMicrosecondArray::from_value(1, rows));
    RecordBatch::try_from_iter([
        ("origin", keys.clone()),
        ("destination", keys),
        ("value", value),
        ("event_timestamp", times),
    ])
    .unwrap()
}

fn write(path: &Path, rows: usize, value: impl Fn(usize) -> ArrayRef, properties: WriterPropertiesBuilder) {
    let properties = properties.set_compression(Compression::ZSTD(Default::default())).build();
    let file = std::fs::File::create(path).unwrap();
    let mut writer = ArrowWriter::try_new(file, batch(1, 0, value(1)).schema(), Some(properties)).unwrap();
    for first in (0..rows).step_by(20) {
        writer.write(&batch(20, first, value(20))).unwrap();
    }
    writer.close().unwrap();
}

fn texts(rows: usize) -> ArrayRef {
    Arc::new(StringArray::from(vec!["x".repeat(VALUE); rows]))
}

fn lists(rows: usize) -> ArrayRef {
    let mut lists = ListBuilder::new(Int64Builder::new());
    for _ in 0..rows {
        lists.values().append_slice(&vec![7; VALUE / 8]);
        lists.append(true);
    }
    Arc::new(lists.finish())
}

const ROWS: usize = 1_000;

/// Loads a file of rows with this value in a process of its own, which has not created the file.
async fn is_loaded_in_bounded_memory(
    test: &str,
    value_type: ValueType,
    value: fn(usize) -> ArrayRef,
    properties: WriterPropertiesBuilder,
) {
    let world = World::new().await;
    let Some(path) = alone::input() else {
        let path = world.dir.path().join("large.parquet");
        write(&path, ROWS, value, properties);
        return alone::run(test, path);
    };
    world.node.lock().forgets = true;
    world.node.lock().view = view("value", value_type);
    let size = std::fs::metadata(&path).unwrap().len();
    let before = alone::peak_kib();
    let options = Options { restart: true, ..Options::new("route_daily") };
    let report = ingest(Path::new(&path), &world.client, &options, &mut Silent).await.unwrap();
    assert_eq!((report.rows_sent, world.node.lock().counted), (ROWS as u64, ROWS as u64));
    let grown = alone::peak_kib() - before;
    // All rows together are 1 GB. Both sides of the connection are in this process.
    assert!(grown < 500 << 10, "a file of {size} bytes took {} MiB", grown >> 10);
}

fn dictionary() -> WriterPropertiesBuilder {
    WriterProperties::builder().set_dictionary_page_size_limit(4 * VALUE)
}

fn plain() -> WriterPropertiesBuilder {
    WriterProperties::builder().set_dictionary_enabled(false)
}

#[tokio::test]
async fn texts_that_are_stored_once() {
    is_loaded_in_bounded_memory("texts_that_are_stored_once", ValueType::String, texts, dictionary()).await;
}

#[tokio::test]
async fn texts_that_compress() {
    is_loaded_in_bounded_memory("texts_that_compress", ValueType::String, texts, plain()).await;
}

#[tokio::test]
async fn texts_that_are_stored_as_differences() {
    let differences = plain().set_column_encoding(ColumnPath::from("value"), Encoding::DELTA_BYTE_ARRAY);
    let test = "texts_that_are_stored_as_differences";
    is_loaded_in_bounded_memory(test, ValueType::String, texts, differences).await;
}

#[tokio::test]
async fn lists_of_equal_elements() {
    is_loaded_in_bounded_memory("lists_of_equal_elements", ValueType::Int64List, lists, dictionary()).await;
}
