//! Prints the cost of decoding per row: an int64 key and ten doubles, as sent by a writer.

use arrow_array::{ArrayRef, Float64Array, Int64Array, RecordBatch, TimestampMicrosecondArray};
use littoral_columnar::{Limits, decode_ipc, stream};
use littoral_model::{
    event_time::EventTime,
    merge::MergePolicy,
    value::ValueType,
    view::{Feature, FeatureView, JoinKey, ViewId},
};
use std::{sync::Arc, time::Instant};

const ROWS: usize = 10_000;
const ROUNDS: usize = 200;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let view = FeatureView {
        id: ViewId(1),
        name: "bench_stats".into(),
        join_keys: vec![JoinKey { name: "bench_id".into(), entity: "bench".into(), value_type: ValueType::Int64 }],
        features: (0..10).map(|i| Feature { name: format!("f{i}"), value_type: ValueType::Double }).collect(),
        ttl_ms: None,
        merge: MergePolicy::default(),
    };
    let mut columns: Vec<(String, ArrayRef)> =
        vec![("bench_id".into(), Arc::new(Int64Array::from_iter_values(0..ROWS as i64)))];
    for i in 0..10 {
        let values = Float64Array::from_iter_values((0..ROWS).map(|row| row as f64 + f64::from(i) / 16.0));
        columns.push((format!("f{i}"), Arc::new(values)));
    }
    columns.push(("event_timestamp".into(), Arc::new(TimestampMicrosecondArray::from_value(1, ROWS))));
    let bytes = bytes::Bytes::from(stream(&RecordBatch::try_from_iter(columns)?)?);
    let mut best = f64::MAX;
    for _ in 0..ROUNDS {
        let began = Instant::now();
        let rows = decode_ipc(bytes.clone(), &view, EventTime::EPOCH, Limits::default())?;
        assert_eq!(rows.len(), ROWS);
        best = best.min(began.elapsed().as_nanos() as f64 / ROWS as f64);
    }
    println!("{best:.0} ns a row, best of {ROUNDS} batches of {ROWS} rows");
    Ok(())
}
