//! Arrow IPC streams, as writers send them.

use super::{catalogue::view, check_words};
use crate::Target;
use bytes::Bytes;
use littoral_columnar::{Limits, decode_ipc, encode};
use littoral_model::{
    entity_key,
    event_time::EventTime,
    row_body::BodyBuilder as Builder,
    value::Value,
    write::{RowBatch, RowWrite},
};

pub(super) const TARGET: Target = Target { name: "arrow", run: arrow, seeds, memory: (8 << 20, 512) };

const LIMITS: Limits = Limits { rows_max: 1_000, bytes_max: 1 << 20 };

/// A stream becomes rows of the view, which encode and decode to the same rows, or is rejected with a text.
fn arrow(stream: &[u8]) {
    let view = view();
    match decode_ipc(Bytes::copy_from_slice(stream), &view, EventTime(1), LIMITS) {
        Err(error) => check_words(&error.to_string()),
        Ok(rows) => {
            assert!(rows.len() <= LIMITS.rows_max && rows.is_well_formed());
            for row in rows.iter() {
                entity_key::split(row.key, view.key_types()).expect("a key of the view");
                view.check_body(row.body.unwrap_or_default()).expect("a row of the view");
            }
            let again = encode(&rows, &view).expect("rows of the view are encoded");
            let larger = Limits { bytes_max: 4 << 20, ..LIMITS };
            let again = decode_ipc(again.into(), &view, EventTime(1), larger).expect("our own stream is valid");
            assert_eq!(again, rows);
        }
    }
}

/// Returns a stream of `count` rows.
pub(super) fn stream(count: i64) -> Vec<u8> {
    let view = view();
    let mut rows = RowBatch::with_capacity(0, 0);
    for id in 0..count {
        let mut key = Vec::new();
        for join_key in &view.join_keys {
            let value = if join_key.name == "id" { Value::Int64(id) } else { Value::String(format!("n{id}")) };
            entity_key::push_value(&mut key, &join_key.name, join_key.value_type, &value).expect("its own type");
        }
        let mut body = Builder::new(view.features.len());
        for feature in &view.features {
            let value = match feature.name.as_str() {
                "f_double" => Value::Double(id as f64),
                "f_string" => Value::String("text".into()),
                "f_int64" => Value::Int64(id),
                _ => Value::Null,
            };
            body.push(feature.value_type, &value).expect("its own type");
        }
        let body = body.finish().expect("a small body");
        rows.push(RowWrite { view: view.id, event_time: EventTime(id), key: &key, body: Some(&body) });
    }
    encode(&rows, &view).expect("rows of the view are encoded")
}

fn seeds() -> Vec<(String, Vec<u8>)> {
    [0, 1, 3].map(|count| (format!("rows-{count}"), stream(count))).into()
}
