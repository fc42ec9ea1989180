//! From JSON values to typed ones, with Feast's tolerance: `"1001"` and `1001.0` are the integer 1001.

use crate::cell::Cell;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use littoral_model::{
    entity_key,
    event_time::EventTime,
    row_body::ValueRef,
    value::{Value, ValueType},
};
use std::borrow::Cow;

/// Doubles beyond this do not tell neighbouring integers apart.
const EXACT_MAX: f64 = 9_007_199_254_740_992.0;

/// A join key's value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum KeyValue<'a> {
    Int(i64),
    Text(&'a str),
    /// A number that names a text key.
    Digits(String),
    Bytes(Vec<u8>),
}

/// What a value should have been, for messages.
type Expected = String;

fn expected(value_type: ValueType, cell: &Cell<'_>) -> Expected {
    let hint = match value_type {
        ValueType::Bytes => " (base64 text)",
        ValueType::UnixTimestamp => " (whole seconds since 1970, or RFC 3339 text)",
        _ => "",
    };
    format!("{value_type}{hint} was expected, got {}", cell.shown())
}

/// A join key's value from JSON.
///
/// # Errors
/// What was expected and what came.
#[inline]
pub(crate) fn key<'a>(value_type: ValueType, cell: &'a Cell<'_>) -> Result<KeyValue<'a>, Expected> {
    let value = match (value_type, cell) {
        (ValueType::Int64 | ValueType::UnixTimestamp, Cell::Int(v)) => Some(KeyValue::Int(*v)),
        (ValueType::String, Cell::Text(text)) => Some(KeyValue::Text(text)),
        (ValueType::String, Cell::Int(v)) => Some(KeyValue::Digits(v.to_string())),
        (ValueType::Bytes, Cell::Text(text)) => STANDARD.decode(text.as_bytes()).ok().map(KeyValue::Bytes),
        (ValueType::Int32, cell) => integer(cell).filter(|v| i32::try_from(*v).is_ok()).map(KeyValue::Int),
        (ValueType::Int64, cell) => integer(cell).map(KeyValue::Int),
        (ValueType::UnixTimestamp, cell) => seconds(cell).map(KeyValue::Int),
        _ => None,
    };
    value.ok_or_else(|| expected(value_type, cell))
}

impl KeyValue<'_> {
    /// Appends the value to a key's bytes.
    #[inline]
    pub(crate) fn push(&self, key: &mut Vec<u8>) {
        match self {
            Self::Int(v) => entity_key::push_i64(key, *v),
            Self::Text(v) => entity_key::push_bytes(key, v.as_bytes()),
            Self::Digits(v) => entity_key::push_bytes(key, v.as_bytes()),
            Self::Bytes(v) => entity_key::push_bytes(key, v),
        }
    }

    /// The value for writing JSON.
    pub(crate) fn as_ref(&self) -> ValueRef<'_> {
        match self {
            Self::Int(v) => ValueRef::Int64(*v),
            Self::Text(v) => ValueRef::String(v),
            Self::Digits(v) => ValueRef::String(v),
            Self::Bytes(v) => ValueRef::Bytes(v),
        }
    }
}

fn integer(cell: &Cell<'_>) -> Option<i64> {
    match cell {
        Cell::Int(v) => Some(*v),
        Cell::Float(v) if v.fract() == 0.0 && v.abs() <= EXACT_MAX => Some(*v as i64),
        Cell::Text(text) => text.trim().parse().ok(),
        _ => None,
    }
}

fn seconds(cell: &Cell<'_>) -> Option<i64> {
    match cell {
        Cell::Text(text) => integer(cell).or_else(|| Some(text.parse::<EventTime>().ok()?.0.div_euclid(1_000_000_000))),
        _ => integer(cell),
    }
}

fn double(cell: &Cell<'_>) -> Option<f64> {
    match cell {
        Cell::Int(v) => Some(*v as f64),
        Cell::Float(v) => Some(*v),
        // Also "NaN", "Infinity" and "-Infinity", as the doors write them.
        Cell::Text(text) => text.trim().parse().ok(),
        _ => None,
    }
}

fn float(cell: &Cell<'_>) -> Option<f32> {
    let wide = double(cell)?;
    let narrow = wide as f32;
    (narrow.is_finite() || !wide.is_finite()).then_some(narrow)
}

fn boolean(cell: &Cell<'_>) -> Option<bool> {
    match cell {
        Cell::Bool(v) => Some(*v),
        Cell::Int(v @ (0 | 1)) => Some(*v == 1),
        _ => None,
    }
}

fn text(cell: &Cell<'_>) -> Option<String> {
    if let Cell::Text(text) = cell { Some(Cow::clone(text).into_owned()) } else { None }
}

fn bytes(cell: &Cell<'_>) -> Option<Vec<u8>> {
    if let Cell::Text(text) = cell { STANDARD.decode(text.as_bytes()).ok() } else { None }
}

fn int32(cell: &Cell<'_>) -> Option<i32> {
    integer(cell).and_then(|v| i32::try_from(v).ok())
}

/// A feature's or parameter's value from JSON; null stays null.
///
/// # Errors
/// What was expected and what came.
pub(crate) fn value(value_type: ValueType, cell: &Cell<'_>) -> Result<Value, Expected> {
    fn list<T>(
        element: ValueType,
        cell: &Cell<'_>,
        one: impl Fn(&Cell<'_>) -> Option<T>,
        make: impl Fn(Vec<T>) -> Value,
    ) -> Option<Result<Value, Expected>> {
        let Cell::List(cells) = cell else { return None };
        let elements: Result<Vec<T>, Expected> = (cells.iter().enumerate())
            .map(|(at, cell)| one(cell).ok_or_else(|| format!("element {at}: {}", expected(element, cell))))
            .collect();
        Some(elements.map(make))
    }
    // Python writes NaN for what is missing, whatever the column's type.
    let is_missing =
        matches!(cell, Cell::Float(v) if v.is_nan()) && !matches!(value_type, ValueType::Float | ValueType::Double);
    if is_missing || *cell == Cell::Null {
        return Ok(Value::Null);
    }
    let value = match value_type {
        ValueType::Bool => boolean(cell).map(|v| Ok(Value::Bool(v))),
        ValueType::Int32 => int32(cell).map(|v| Ok(Value::Int32(v))),
        ValueType::Int64 => integer(cell).map(|v| Ok(Value::Int64(v))),
        ValueType::Float => float(cell).map(|v| Ok(Value::Float(v))),
        ValueType::Double => double(cell).map(|v| Ok(Value::Double(v))),
        ValueType::String => text(cell).map(|v| Ok(Value::String(v))),
        ValueType::Bytes => bytes(cell).map(|v| Ok(Value::Bytes(v))),
        ValueType::UnixTimestamp => seconds(cell).map(|v| Ok(Value::UnixTimestamp(v))),
        ValueType::BoolList => list(ValueType::Bool, cell, boolean, Value::BoolList),
        ValueType::Int32List => list(ValueType::Int32, cell, int32, Value::Int32List),
        ValueType::Int64List => list(ValueType::Int64, cell, integer, Value::Int64List),
        ValueType::FloatList => list(ValueType::Float, cell, float, Value::FloatList),
        ValueType::DoubleList => list(ValueType::Double, cell, double, Value::DoubleList),
        ValueType::StringList => list(ValueType::String, cell, text, Value::StringList),
        ValueType::BytesList => list(ValueType::Bytes, cell, bytes, Value::BytesList),
        ValueType::UnixTimestampList => list(ValueType::UnixTimestamp, cell, seconds, Value::UnixTimestampList),
    };
    value.unwrap_or_else(|| Err(expected(value_type, cell)))
}

/// An event timestamp from JSON: RFC 3339 (no offset means UTC) or seconds since 1970.
///
/// # Errors
/// What was expected and what came.
pub(crate) fn event_time(cell: &Cell<'_>) -> Result<EventTime, Expected> {
    let nanos = match cell {
        Cell::Text(text) => return text.parse::<EventTime>().map_err(|error| error.to_string()),
        Cell::Int(seconds) => seconds.checked_mul(1_000_000_000),
        Cell::Float(seconds) => {
            let nanos = seconds * 1e9;
            // Microseconds are what a double of today's seconds can tell apart.
            (nanos.abs() < i64::MAX as f64).then(|| (nanos / 1e3).round() as i64 * 1_000)
        }
        _ => None,
    };
    let shown = || format!("a timestamp was expected (RFC 3339 text, or seconds since 1970), got {}", cell.shown());
    nanos.map(EventTime).ok_or_else(shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(json: &str) -> Cell<'_> {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn keys_take_what_feast_takes() {
        for one in ["1001", "\"1001\"", "1001.0", "\" 1001 \""] {
            assert_eq!(key(ValueType::Int64, &cell(one)), Ok(KeyValue::Int(1001)), "{one}");
        }
        for bad in ["\"abc\"", "null", "1.5", "1e300", "18446744073709551615", "[]", "{}", "true"] {
            assert!(key(ValueType::Int64, &cell(bad)).is_err(), "{bad}");
        }
        assert!(key(ValueType::Int32, &cell("2147483648")).is_err());
        assert_eq!(key(ValueType::String, &cell("7")), Ok(KeyValue::Digits("7".into())));
        assert_eq!(key(ValueType::Bytes, &cell("\"AAE=\"")), Ok(KeyValue::Bytes(vec![0, 1])));
        assert_eq!(key(ValueType::UnixTimestamp, &cell("\"1970-01-01T00:00:07Z\"")), Ok(KeyValue::Int(7)));
    }

    #[test]
    fn values_are_typed_or_refused() {
        assert_eq!(value(ValueType::Float, &cell("\"-Infinity\"")), Ok(Value::Float(f32::NEG_INFINITY)));
        assert!(matches!(value(ValueType::Double, &cell("\"NaN\"")), Ok(Value::Double(v)) if v.is_nan()));
        assert!(value(ValueType::Float, &cell("1e39")).is_err(), "beyond binary32");
        assert_eq!(value(ValueType::Int64List, &cell("[1,2]")), Ok(Value::Int64List(vec![1, 2])));
        assert_eq!(value(ValueType::Int64List, &cell("null")), Ok(Value::Null));
        let error = value(ValueType::StringList, &cell("[\"a\",null]")).unwrap_err();
        assert!(error.starts_with("element 1: string was expected, got null"), "{error}");
        assert!(value(ValueType::Bytes, &cell("\"?\"")).unwrap_err().contains("base64"));
    }

    #[test]
    fn pythons_word_for_what_is_missing_is_null_and_no_text() {
        let body = crate::lenient::json(b"NaN");
        let nan: Cell<'_> = serde_json::from_slice(&body).unwrap();
        for null in
            [ValueType::String, ValueType::Int64, ValueType::Bool, ValueType::UnixTimestamp, ValueType::StringList]
        {
            assert_eq!(value(null, &nan), Ok(Value::Null), "{null}");
        }
        assert!(matches!(value(ValueType::Double, &nan), Ok(Value::Double(v)) if v.is_nan()));
        assert!(key(ValueType::String, &nan).unwrap_err().contains("NaN"), "no row is found under a missing key");
        assert_eq!(value(ValueType::String, &cell("\"NaN\"")), Ok(Value::String("NaN".into())));
    }

    #[test]
    fn event_times_are_text_or_seconds() {
        let second = EventTime(1_000_000_000);
        for one in ["1", "1.0", "\"1970-01-01T00:00:01\"", "\"1970-01-01T00:00:01Z\""] {
            assert_eq!(event_time(&cell(one)), Ok(second), "{one}");
        }
        for bad in ["null", "1e30", "\"soon\"", "9223372036854775807"] {
            assert!(event_time(&cell(bad)).is_err(), "{bad}");
        }
    }
}
