//! Key columns of a lookup to entity keys.

use crate::bindings::{
    feature_reader::LookupError,
    types::{Column, ColumnData, Status},
};
use littoral_model::{
    entity_key::{self, KEY_LEN_MAX, KeyBatch},
    value::ValueType,
    view::FeatureView,
};

/// The keys of a lookup, and which of its rows have none because a key column's value is absent there.
#[derive(Debug)]
pub(crate) struct Keys {
    pub(crate) batch: KeyBatch,
    pub(crate) absent: Vec<bool>,
}

/// # Errors
/// [`LookupError::Invalid`], naming the column.
pub(crate) fn encode(view: &FeatureView, columns: &[Column]) -> Result<Keys, LookupError> {
    if columns.len() != view.join_keys.len() {
        let names: Vec<&str> = view.join_keys.iter().map(|key| key.name.as_str()).collect();
        return Err(LookupError::Invalid(format!(
            "view '{}' has {} join keys ({}), {} columns were given",
            view.name,
            names.len(),
            names.join(", "),
            columns.len()
        )));
    }
    let rows = columns.first().map_or(1, |column| column.statuses.len());
    for (column, key) in columns.iter().zip(&view.join_keys) {
        let (len, fits) = match (&column.data, key.value_type) {
            (ColumnData::Int32s(values), ValueType::Int32) => (values.len(), true),
            (ColumnData::Int64s(values), ValueType::Int64) => (values.len(), true),
            (ColumnData::UnixTimestamps(values), ValueType::UnixTimestamp) => (values.len(), true),
            (ColumnData::Strings(values), ValueType::String) => (values.len(), true),
            (ColumnData::Bytes(values), ValueType::Bytes) => (values.len(), true),
            _ => (rows, false),
        };
        if !fits {
            return Err(LookupError::Invalid(format!("join key '{}' takes a column of {}", key.name, key.value_type)));
        }
        if len != rows || column.statuses.len() != rows {
            return Err(LookupError::Invalid(format!("join key '{}': key columns are not of one length", key.name)));
        }
    }
    let mut keys = Keys { batch: KeyBatch::with_capacity(rows, rows * 16), absent: Vec::with_capacity(rows) };
    for row in 0..rows {
        let absent = columns.iter().any(|column| column.statuses[row] != Status::Present);
        if !absent {
            let start = keys.batch.buffer().len();
            columns.iter().for_each(|column| push(keys.batch.buffer(), &column.data, row));
            let len = keys.batch.buffer().len() - start;
            if len > KEY_LEN_MAX {
                return Err(LookupError::Invalid(format!("a key of {len} bytes; the longest is {KEY_LEN_MAX}")));
            }
        }
        keys.batch.end_key();
        keys.absent.push(absent);
    }
    Ok(keys)
}

fn push(key: &mut Vec<u8>, column: &ColumnData, row: usize) {
    match column {
        ColumnData::Int32s(values) => entity_key::push_i64(key, i64::from(values[row])),
        ColumnData::Int64s(values) | ColumnData::UnixTimestamps(values) => entity_key::push_i64(key, values[row]),
        ColumnData::Strings(values) => entity_key::push_bytes(key, values[row].as_bytes()),
        ColumnData::Bytes(values) => entity_key::push_bytes(key, &values[row]),
        _ => {}
    }
}
