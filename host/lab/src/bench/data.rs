//! The rows that reads and writes are measured on.

use littoral_model::{
    entity_key,
    event_time::EventTime,
    row_body::BodyBuilder,
    view::ViewId,
    write::{RowBatch, RowWrite, WriteRequest},
};
use serde_json::{Value, json};

/// The features of every bench view that are read.
pub const FEATURES: usize = 10;

/// The event time of the bench rows: 2026-01-01T00:00:00Z.
pub const EVENT_TIME: EventTime = EventTime(1_767_225_600_000_000_000);

/// The view of 10,000 rows; the Feast repository uses the same name.
pub const STATS: &str = "bench_stats";

/// The view of a million rows.
pub const WIDE: &str = "bench_wide";

/// A text that brings a row of the wide view, key included, to 200 bytes.
const PAD: [u8; 100] = [b'x'; 100];

/// Returns a feature's value in the row of an id.
pub fn value(id: u64, feature: usize) -> f64 {
    id as f64 + feature as f64 / 16.0
}

/// Returns the definition of the view of ten doubles.
pub fn stats_view() -> Value {
    json!({ "entities": [{ "name": "bench", "join_key": "bench_id", "value_type": "int64" }], "features": doubles() })
}

/// Returns the definition of the view of ten doubles and a text.
pub fn wide_view() -> Value {
    let mut features = doubles();
    features.push(json!({ "name": "pad", "value_type": "string" }));
    json!({ "entities": [{ "name": "bench", "join_key": "bench_id", "value_type": "int64" }], "features": features })
}

fn doubles() -> Vec<Value> {
    (0..FEATURES).map(|feature| json!({ "name": format!("f{feature}"), "value_type": "double" })).collect()
}

/// A generator of rows of one view.
#[derive(Clone, Copy, Debug)]
pub struct Rows {
    /// The view.
    pub view: ViewId,
    /// Whether they have the text.
    pub wide: bool,
}

impl Rows {
    /// Returns a write of the rows of these ids.
    pub fn write(self, ids: impl Iterator<Item = u64>, event_time: EventTime) -> WriteRequest {
        let count = ids.size_hint().0;
        let mut rows = RowBatch::with_capacity(count, count * self.payload_len());
        let mut key = Vec::with_capacity(8);
        for id in ids {
            key.clear();
            entity_key::push_i64(&mut key, id as i64);
            rows.push(RowWrite { view: self.view, event_time, key: &key, body: Some(&self.body(id)) });
        }
        WriteRequest { rows, ..WriteRequest::default() }
    }

    /// Returns the size of a row's key and body in bytes.
    pub fn payload_len(self) -> usize {
        8 + self.body(0).len()
    }

    fn body(self, id: u64) -> Vec<u8> {
        let mut body = BodyBuilder::new(FEATURES + usize::from(self.wide));
        for feature in 0..FEATURES {
            body.push_f64(value(id, feature));
        }
        if self.wide {
            body.push_bytes(&PAD);
        }
        // Eleven small values always fit.
        body.finish().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wide_row_has_two_hundred_bytes() {
        let rows = Rows { view: ViewId(1), wide: true };
        assert_eq!(rows.payload_len(), 200);
        assert_eq!(rows.write([1, 2, 3].into_iter(), EVENT_TIME).rows.payload_len(), 600);
    }
}
