//! Small files that expand to much data are loaded in bounded memory. This file has a single test, because it measures
//! the memory of its process.

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

/// Returns the peak memory of the process, in bytes.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() << 10
}

#[tokio::test]
async fn a_file_that_expands_to_much_is_loaded_in_bounded_memory() {
    const ROWS: usize = 1_000;
    let column = || ColumnPath::from("value");
    let properties = WriterProperties::builder;
    let dictionary = || properties().set_dictionary_page_size_limit(4 * VALUE);
    let plain = || properties().set_dictionary_enabled(false);
    let differences = || plain().set_column_encoding(column(), Encoding::DELTA_BYTE_ARRAY);
    let world = World::new().await;
    world.node.lock().forgets = true;
    for (name, value_type, value, properties) in [
        ("texts that are stored once", ValueType::String, texts as fn(usize) -> ArrayRef, dictionary()),
        ("texts that compress", ValueType::String, texts, plain()),
        ("texts that are stored as differences", ValueType::String, texts, differences()),
        ("lists of equal elements", ValueType::Int64List, lists, dictionary()),
    ] {
        world.node.lock().view = view("value", value_type);
        world.node.lock().counted = 0;
        let path = world.dir.path().join("large.parquet");
        write(&path, ROWS, value, properties);
        let size = std::fs::metadata(&path).unwrap().len();
        let before = peak();
        let options = Options { restart: true, ..Options::new("route_daily") };
        let report = ingest(&path, &world.client, &options, &mut Silent).await.unwrap();
        assert_eq!((report.rows_sent, world.node.lock().counted), (ROWS as u64, ROWS as u64), "{name}");
        let grown = peak().saturating_sub(before);
        // All rows together are 1 GB. Both sides of the connection are in this process.
        assert!(grown < 500 << 20, "{name}: a file of {size} bytes took {} MiB", grown >> 20);
    }
}
