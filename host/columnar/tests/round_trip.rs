//! Rows of every type survive a round trip through an Arrow IPC stream.

#[path = "../../model/src/row_body/tests/values.rs"]
mod values;

use littoral_columnar::{Limits, decode_ipc, encode};
use littoral_model::{
    entity_key,
    event_time::EventTime,
    merge::MergePolicy,
    row_body::BodyBuilder,
    value::{Value, ValueType},
    view::{Feature, FeatureView, JoinKey, ViewId},
    write::{RowBatch, RowWrite},
};
use proptest::prelude::*;
use values::value;

fn view() -> FeatureView {
    let features = ValueType::ALL.map(|t| Feature { name: format!("f_{t}"), value_type: t });
    let key = |name: &str, value_type| JoinKey { name: name.into(), entity: name.into(), value_type };
    FeatureView {
        id: ViewId(9),
        name: "all_types".into(),
        join_keys: vec![
            key("k_bytes", ValueType::Bytes),
            key("k_int32", ValueType::Int32),
            key("k_int64", ValueType::Int64),
            key("k_string", ValueType::String),
            key("k_ts", ValueType::UnixTimestamp),
        ],
        features: features.to_vec(),
        ttl_ms: None,
        merge: MergePolicy::default(),
    }
}

prop_compose! {
    fn row()(
        key in (any::<Vec<u8>>(), any::<i32>(), any::<i64>(), ".{0,9}", any::<i64>()),
        values in ValueType::ALL.map(value),
        time in any::<i64>(),
    ) -> (Vec<u8>, Vec<u8>, EventTime) {
        let mut bytes = Vec::new();
        entity_key::push_bytes(&mut bytes, &key.0);
        entity_key::push_i64(&mut bytes, i64::from(key.1));
        entity_key::push_i64(&mut bytes, key.2);
        entity_key::push_bytes(&mut bytes, key.3.as_bytes());
        entity_key::push_i64(&mut bytes, key.4);
        let mut body = BodyBuilder::new(values.len());
        ValueType::ALL.iter().zip(&values).for_each(|(t, v)| body.push(*t, v).unwrap());
        (bytes, body.finish().unwrap(), EventTime(time))
    }
}

fn batch(rows: &[(Vec<u8>, Vec<u8>, EventTime)]) -> RowBatch {
    let mut batch = RowBatch::default();
    for (key, body, event_time) in rows {
        batch.push(RowWrite { view: ViewId(9), event_time: *event_time, key, body: Some(body) });
    }
    batch
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn encoded_rows_decode_to_the_same_rows(rows in proptest::collection::vec(row(), 0..20)) {
        let mut rows = batch(&rows);
        rows.stamp(EventTime::EPOCH);
        let stream = encode(&rows, &view()).unwrap();
        let back = decode_ipc(stream.into(), &view(), EventTime::EPOCH, Limits::default()).unwrap();
        prop_assert_eq!(back, rows);
    }

    #[test]
    fn damaged_streams_are_rejected_or_decode_to_rows_of_the_view(
        rows in proptest::collection::vec(row(), 1..4),
        at in any::<prop::sample::Index>(),
        bit in 0u8..8,
        cut in any::<prop::sample::Index>(),
        cuts in any::<bool>(),
    ) {
        let mut stream = encode(&batch(&rows), &view()).unwrap();
        let at = at.index(stream.len());
        stream[at] ^= 1 << bit;
        if cuts {
            stream.truncate(cut.index(stream.len() + 1));
        }
        if let Ok(rows) = decode_ipc(stream.into(), &view(), EventTime::EPOCH, Limits::default()) {
            for row in rows.iter() {
                view().check_body(row.body.unwrap()).unwrap();
                entity_key::split(row.key, view().key_types()).unwrap();
            }
        }
    }
}

#[test]
fn deletions_are_skipped_in_columns() {
    let mut rows = RowBatch::default();
    rows.push(RowWrite { view: ViewId(9), event_time: EventTime::EPOCH, key: b"k", body: None });
    let stream = encode(&rows, &view()).unwrap();
    assert!(decode_ipc(stream.into(), &view(), EventTime::EPOCH, Limits::default()).unwrap().is_empty());
}
