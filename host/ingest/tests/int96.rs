//! INT96 timestamps before 1677 and after 2262, which overflow the nanoseconds as which Arrow reads them.

mod node;
#[path = "../../client/tests/support/server.rs"]
mod server;

use littoral_ingest::{Options, Silent, ingest};
use littoral_model::{
    event_time::EventTime,
    row_body::value_at,
    value::{Value, ValueType},
    view::{Feature, FeatureView, JoinKey},
};
use node::{World, route_daily};
use parquet::{
    data_type::{Int64Type, Int96, Int96Type},
    file::{properties::WriterProperties, writer::SerializedFileWriter},
    schema::parser::parse_message_type,
};
use std::{fs::File, path::Path, sync::Arc};

const DAY_OF_EPOCH: i64 = 2_440_588;

fn int96(seconds: i64, nanos: u32) -> Int96 {
    let day = u32::try_from(seconds.div_euclid(86_400) + DAY_OF_EPOCH).unwrap();
    let of_day = seconds.rem_euclid(86_400) * 1_000_000_000 + i64::from(nanos);
    let mut value = Int96::new();
    value.set_data((of_day & 0xffff_ffff) as u32, (of_day >> 32) as u32, day);
    value
}

/// Rows of `id`, `until` (None is null), `moments` (one a row), `event_timestamp`.
fn write(path: &Path, rows: &[(Option<i64>, i64, (i64, u32))]) {
    let schema = "message m {
        required int64 id;
        optional int96 until;
        optional group moments (LIST) { repeated group list { optional int96 element; } }
        required int96 event_timestamp;
    }";
    let schema = Arc::new(parse_message_type(schema).unwrap());
    let properties = Arc::new(WriterProperties::builder().build());
    let mut writer = SerializedFileWriter::new(File::create(path).unwrap(), schema, properties).unwrap();
    let mut group = writer.next_row_group().unwrap();
    let ids: Vec<i64> = (0..rows.len() as i64).collect();
    let mut column = group.next_column().unwrap().unwrap();
    column.typed::<Int64Type>().write_batch(&ids, None, None).unwrap();
    column.close().unwrap();
    let mut moments = |values: Vec<Int96>, defined: Option<Vec<i16>>, repeated: Option<Vec<i16>>| {
        let mut column = group.next_column().unwrap().unwrap();
        column.typed::<Int96Type>().write_batch(&values, defined.as_deref(), repeated.as_deref()).unwrap();
        column.close().unwrap();
    };
    let until = rows.iter().filter_map(|row| Some(int96(row.0?, 0))).collect();
    moments(until, Some(rows.iter().map(|row| i16::from(row.0.is_some())).collect()), None);
    let list = rows.iter().map(|row| int96(row.1, 999_999_999)).collect();
    moments(list, Some(vec![3; rows.len()]), Some(vec![0; rows.len()]));
    moments(rows.iter().map(|row| int96(row.2.0, row.2.1)).collect(), None, None);
    group.close().unwrap();
    writer.close().unwrap();
}

fn view() -> FeatureView {
    let feature = |name: &str, value_type| Feature { name: name.into(), value_type };
    FeatureView {
        join_keys: vec![JoinKey { name: "id".into(), entity: "id".into(), value_type: ValueType::Int64 }],
        features: vec![feature("until", ValueType::UnixTimestamp), feature("moments", ValueType::UnixTimestampList)],
        ..route_daily()
    }
}

/// 9999-12-31, 0001-01-01 and the last second that fits nanoseconds.
const FAR: [i64; 3] = [253_402_214_400, -62_135_596_800, 9_223_372_036];

#[tokio::test]
async fn every_day_is_taken_as_it_is() {
    let world = World::new().await;
    world.node.lock().view = view();
    let path = world.dir.path().join("far.parquet");
    let time = (1_704_067_200, 123_456_789);
    let mut rows: Vec<_> = FAR.iter().map(|seconds| (Some(*seconds), *seconds, time)).collect();
    rows.push((None, 0, time));
    write(&path, &rows);
    // Batches that begin in the middle of the file, too.
    let options = Options { batch_rows: 3, ..world.options() };
    assert_eq!(ingest(&path, &world.client, &options, &mut Silent).await.unwrap().rows_sent, 4);
    let node = world.node.lock();
    for (id, row) in rows.iter().enumerate() {
        let (time, body) = &node.rows[&(id as i64).to_le_bytes()[..]][0];
        assert_eq!(*time, EventTime(1_704_067_200_123_456_789), "its nanoseconds are kept");
        let until = value_at(body, 0, ValueType::UnixTimestamp).to_value();
        assert_eq!(until, row.0.map_or(Value::Null, Value::UnixTimestamp));
        let moments = value_at(body, 1, ValueType::UnixTimestampList).to_value();
        assert_eq!(moments, Value::UnixTimestampList(vec![row.1]));
    }
}

#[tokio::test]
async fn an_event_beyond_nanoseconds_is_rejected_with_its_row() {
    for far in [FAR[0], FAR[1]] {
        let world = World::new().await;
        world.node.lock().view = view();
        let path = world.dir.path().join("far.parquet");
        write(&path, &[(None, 0, (0, 0)), (None, 0, (far, 0))]);
        let error = ingest(&path, &world.client, &world.options(), &mut Silent).await.unwrap_err().to_string();
        assert!(error.contains("column 'event_timestamp', row 1") && error.contains("1678 to 2261"), "{error}");
        assert_eq!(world.node.lock().row_count(), 0);
    }
}
