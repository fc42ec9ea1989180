//! Converts the key columns of a lookup to entity keys.

use crate::bindings::v0_2::feature_reader::LookupError;
use littoral_model::{
    column::{Column, ColumnData, Status},
    entity_key::{self, KEY_LEN_MAX, KeyBatch},
    value::ValueType,
    view::FeatureView,
};

/// The keys of a lookup. `absent` marks the rows without a key because a key column's value is absent; `batch` has a
/// key for each of the others, in order.
#[derive(Debug)]
pub(crate) struct Keys {
    pub(crate) batch: KeyBatch,
    pub(crate) absent: Vec<bool>,
}

/// Encodes the rows of key columns, one for each join key of the view, as entity keys.
///
/// # Errors
/// [`LookupError::Invalid`], which names the column.
pub(crate) fn encode(view: &FeatureView, columns: &[Column]) -> Result<Keys, LookupError> {
    if columns.len() != view.join_keys.len() {
        let names: Vec<&str> = view.join_keys.iter().map(|key| key.name.as_str()).collect();
        return Err(LookupError::Invalid(format!(
            "view '{}' has {} join keys ({}), but the lookup has {} columns",
            view.name,
            names.len(),
            names.join(", "),
            columns.len()
        )));
    }
    let rows = columns.first().map_or(1, |column| key_values(&column.data).map_or(0, |(_, len)| len));
    for (column, key) in columns.iter().zip(&view.join_keys) {
        let Some((_, len)) = key_values(&column.data).filter(|(value_type, _)| *value_type == key.value_type) else {
            return Err(LookupError::Invalid(format!("join key '{}' needs a column of {}", key.name, key.value_type)));
        };
        if len != rows || column.statuses.len() != rows {
            return Err(LookupError::Invalid(format!("join key '{}': the key columns differ in length", key.name)));
        }
    }
    let mut keys = Keys { batch: KeyBatch::with_capacity(rows, rows * 16), absent: Vec::with_capacity(rows) };
    for row in 0..rows {
        let absent = columns.iter().any(|column| column.statuses[row] != Status::Present);
        keys.absent.push(absent);
        if absent {
            continue;
        }
        let start = keys.batch.buffer().len();
        columns.iter().for_each(|column| push(keys.batch.buffer(), &column.data, row));
        let len = keys.batch.buffer().len() - start;
        if len > KEY_LEN_MAX {
            return Err(LookupError::Invalid(format!("a key has {len} bytes; at most {KEY_LEN_MAX} are allowed")));
        }
        keys.batch.end_key();
    }
    Ok(keys)
}

/// Returns the type and number of the values, if they can be part of a key.
fn key_values(data: &ColumnData) -> Option<(ValueType, usize)> {
    match data {
        ColumnData::Int32(values) => Some((ValueType::Int32, values.len())),
        ColumnData::Int64(values) => Some((ValueType::Int64, values.len())),
        ColumnData::UnixTimestamp(values) => Some((ValueType::UnixTimestamp, values.len())),
        ColumnData::String(values) => Some((ValueType::String, values.len())),
        ColumnData::Bytes(values) => Some((ValueType::Bytes, values.len())),
        _ => None,
    }
}

fn push(key: &mut Vec<u8>, column: &ColumnData, row: usize) {
    match column {
        ColumnData::Int32(values) => entity_key::push_i64(key, i64::from(values[row])),
        ColumnData::Int64(values) | ColumnData::UnixTimestamp(values) => entity_key::push_i64(key, values[row]),
        ColumnData::String(values) => entity_key::push_bytes(key, values[row].as_bytes()),
        ColumnData::Bytes(values) => entity_key::push_bytes(key, &values[row]),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use littoral_model::{
        merge::MergePolicy,
        statuses::Statuses,
        view::{Feature, JoinKey, ViewId},
    };

    fn routes() -> FeatureView {
        let key = |name: &str| JoinKey { name: name.into(), entity: name.into(), value_type: ValueType::String };
        FeatureView {
            id: ViewId(1),
            name: "route_daily".into(),
            join_keys: vec![key("destination"), key("origin")],
            features: vec![Feature { name: "flights_7d".into(), value_type: ValueType::Int64 }],
            ttl_ms: None,
            merge: MergePolicy::LatestEvent,
        }
    }

    fn airports(values: &[Option<&str>]) -> Column {
        let status = |value: &Option<&str>| if value.is_some() { Status::Present } else { Status::NullValue };
        Column {
            statuses: values.iter().map(status).collect::<Vec<_>>().into(),
            data: ColumnData::String(values.iter().map(|value| value.unwrap_or_default().to_owned()).collect()),
        }
    }

    fn why(error: LookupError) -> String {
        match error {
            LookupError::Invalid(why) => why,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_row_without_a_complete_key_is_not_looked_up() {
        let columns = [airports(&[Some("BOS"), None, Some("JFK")]), airports(&[Some("SFO"), Some("SFO"), Some("LAX")])];
        let keys = encode(&routes(), &columns).unwrap();
        assert_eq!(keys.absent, [false, true, false]);
        let expected: Vec<&[u8]> = vec![b"\x03\0\0\0BOS\x03\0\0\0SFO", b"\x03\0\0\0JFK\x03\0\0\0LAX"];
        assert_eq!(keys.batch.iter().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn wrong_columns_are_named() {
        let error = why(encode(&routes(), &[airports(&[None])]).unwrap_err());
        assert_eq!(error, "view 'route_daily' has 2 join keys (destination, origin), but the lookup has 1 columns");
        let error = why(encode(&routes(), &[airports(&[None]), airports(&[None, None])]).unwrap_err());
        assert!(error.contains("join key 'origin'") && error.contains("differ in length"), "{error}");
        let hours = Column { data: ColumnData::Int64(vec![1]), statuses: Statuses::present(1) };
        let error = why(encode(&routes(), &[airports(&[None]), hours]).unwrap_err());
        assert_eq!(error, "join key 'origin' needs a column of string");
        let long = "x".repeat(KEY_LEN_MAX);
        let error = why(encode(&routes(), &[airports(&[Some("BOS")]), airports(&[Some(&long)])]).unwrap_err());
        assert!(error.contains("at most 4096"), "{error}");
    }
}
