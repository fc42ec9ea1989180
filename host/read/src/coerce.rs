//! Converts values of requests to typed ones, by the rules of [`littoral_model::convert`]: `"1001"` and `1001.0` are
//! the integer 1001.

use crate::cell::Cell;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use littoral_model::{
    convert::{self, Kind, Rejection, Source},
    entity_key,
    event_time::EventTime,
    row_body::ValueRef,
    value::{Value, ValueType},
};
use std::borrow::Cow;

/// The value of a join key.
#[derive(Clone, Debug, PartialEq)]
pub enum KeyValue<'a> {
    /// An integer or a timestamp.
    Int(i64),
    /// A text.
    Text(&'a str),
    /// A text that the request has as a number.
    Digits(String),
    /// Bytes.
    Bytes(Vec<u8>),
}

/// What was expected and what the request has, for messages.
pub type Expected = String;

/// Returns the source of a conversion.
pub fn source<'a>(cell: &'a Cell<'_>) -> Source<'a> {
    match cell {
        Cell::Null => Source::Null,
        Cell::Bool(v) => Source::Bool(*v),
        Cell::Int(v) => Source::Int(*v),
        Cell::Unsigned(v) => Source::Unsigned(*v),
        Cell::Float(v) => Source::Float(*v),
        Cell::Text(text) => Source::Text(text),
        Cell::List(_) => Source::Other(Kind::List),
        Cell::Object => Source::Other(Kind::Structure),
    }
}

/// Converts to bytes. JSON represents them as base64 text.
fn bytes(cell: &Cell<'_>) -> Result<Option<Vec<u8>>, Rejection> {
    match cell {
        Cell::Text(text) => match STANDARD.decode(text.as_bytes()) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(_) => convert::bytes(&source(cell)).map(|_| None),
        },
        _ => Ok(convert::bytes(&source(cell))?.map(<[u8]>::to_vec)),
    }
}

/// Converts to the value of a join key.
///
/// # Errors
/// What was expected and what the request has.
#[inline]
pub fn key<'a>(value_type: ValueType, cell: &'a Cell<'_>) -> Result<KeyValue<'a>, Expected> {
    match (value_type, cell) {
        (ValueType::Int64, Cell::Int(v)) => Ok(KeyValue::Int(*v)),
        (ValueType::Int32, Cell::Int(v)) if i32::try_from(*v).is_ok() => Ok(KeyValue::Int(*v)),
        (ValueType::String, Cell::Text(text)) => Ok(KeyValue::Text(text)),
        _ => some_key(value_type, cell)?.ok_or_else(|| {
            format!("{value_type} was expected, got {}: a join key may not be missing", source(cell).shown())
        }),
    }
}

/// Converts to the value of a join key. `None` if it is missing.
///
/// # Errors
/// What was expected and what the request has.
pub fn some_key<'a>(value_type: ValueType, cell: &'a Cell<'_>) -> Result<Option<KeyValue<'a>>, Expected> {
    let value = match value_type {
        ValueType::Int32 => convert::int32(&source(cell)).map(|v| v.map(|v| KeyValue::Int(v.into()))),
        ValueType::UnixTimestamp => convert::unix_timestamp(&source(cell)).map(|v| v.map(KeyValue::Int)),
        ValueType::String => convert::string(&source(cell)).map(|v| {
            v.map(|text| match text {
                Cow::Borrowed(text) => KeyValue::Text(text),
                Cow::Owned(digits) => KeyValue::Digits(digits),
            })
        }),
        ValueType::Bytes => bytes(cell).map(|v| v.map(KeyValue::Bytes)),
        // No other type is a join key's.
        _ => convert::int64(&source(cell)).map(|v| v.map(KeyValue::Int)),
    };
    value.map_err(|refusal| refusal.to_string())
}

impl KeyValue<'_> {
    /// Appends the value to the bytes of a key.
    #[inline]
    pub fn push(&self, key: &mut Vec<u8>) {
        match self {
            Self::Int(v) => entity_key::push_i64(key, *v),
            Self::Text(v) => entity_key::push_bytes(key, v.as_bytes()),
            Self::Digits(v) => entity_key::push_bytes(key, v.as_bytes()),
            Self::Bytes(v) => entity_key::push_bytes(key, v),
        }
    }

    /// Returns the value.
    pub fn as_ref(&self) -> ValueRef<'_> {
        match self {
            Self::Int(v) => ValueRef::Int64(*v),
            Self::Text(v) => ValueRef::String(v),
            Self::Digits(v) => ValueRef::String(v),
            Self::Bytes(v) => ValueRef::Bytes(v),
        }
    }
}

/// Converts to the value of a feature or parameter. A missing one is null.
///
/// # Errors
/// What was expected and what the request has.
pub fn value(value_type: ValueType, cell: &Cell<'_>) -> Result<Value, Expected> {
    fn list<T>(
        element: ValueType,
        cells: &[Cell<'_>],
        one: impl Fn(&Cell<'_>) -> Result<Option<T>, Rejection>,
        missing: Option<T>,
    ) -> Result<Vec<T>, Expected>
    where
        T: Clone,
    {
        let element = |(at, cell)| {
            let value = one(cell).and_then(|value| convert::element(element, value.or_else(|| missing.clone())));
            value.map_err(|refusal| format!("element {at}: {refusal}"))
        };
        cells.iter().enumerate().map(element).collect()
    }
    let text = |cell: &Cell<'_>| Ok(convert::string(&source(cell))?.map(Cow::into_owned));
    let Cell::List(cells) = cell else {
        return match value_type {
            ValueType::Bytes => bytes(cell).map(|bytes| bytes.map_or(Value::Null, Value::Bytes)),
            _ => convert::value(value_type, &source(cell)),
        }
        .map_err(|refusal| refusal.to_string());
    };
    Ok(match value_type {
        ValueType::BoolList => {
            Value::BoolList(list(ValueType::Bool, cells, |cell| convert::boolean(&source(cell)), None)?)
        }
        ValueType::Int32List => {
            Value::Int32List(list(ValueType::Int32, cells, |cell| convert::int32(&source(cell)), None)?)
        }
        ValueType::Int64List => {
            Value::Int64List(list(ValueType::Int64, cells, |cell| convert::int64(&source(cell)), None)?)
        }
        ValueType::FloatList => {
            Value::FloatList(list(ValueType::Float, cells, |cell| convert::float(&source(cell)), Some(f32::NAN))?)
        }
        ValueType::DoubleList => {
            Value::DoubleList(list(ValueType::Double, cells, |cell| convert::double(&source(cell)), Some(f64::NAN))?)
        }
        ValueType::StringList => Value::StringList(list(ValueType::String, cells, text, None)?),
        ValueType::BytesList => Value::BytesList(list(ValueType::Bytes, cells, bytes, None)?),
        ValueType::UnixTimestampList => {
            let seconds = |cell: &Cell<'_>| convert::unix_timestamp(&source(cell));
            Value::UnixTimestampList(list(ValueType::UnixTimestamp, cells, seconds, None)?)
        }
        scalar => return convert::value(scalar, &source(cell)).map_err(|refusal| refusal.to_string()),
    })
}

/// Converts to an event timestamp, from RFC 3339 (UTC without an offset) or seconds since 1970. `None` if it is
/// missing.
///
/// # Errors
/// What was expected and what the request has.
pub fn event_time(cell: &Cell<'_>) -> Result<Option<EventTime>, Expected> {
    convert::event_time(&source(cell))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(json: &str) -> Cell<'_> {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn keys_take_what_feast_takes() {
        for one in ["1001", "\"1001\"", "1001.0", "\" 1001 \"", "\"1001.0\""] {
            assert_eq!(key(ValueType::Int64, &cell(one)), Ok(KeyValue::Int(1001)), "{one}");
        }
        for bad in ["\"abc\"", "null", "1.5", "1e300", "18446744073709551615", "9007199254740993.0", "[]", "{}"] {
            assert!(key(ValueType::Int64, &cell(bad)).is_err(), "{bad}");
        }
        assert!(key(ValueType::Int32, &cell("2147483648")).is_err());
        assert_eq!(key(ValueType::String, &cell("7")), Ok(KeyValue::Digits("7".into())));
        assert_eq!(key(ValueType::Bytes, &cell("\"AAE=\"")), Ok(KeyValue::Bytes(vec![0, 1])));
        assert_eq!(key(ValueType::UnixTimestamp, &cell("\"1970-01-01T00:00:07Z\"")), Ok(KeyValue::Int(7)));
        assert_eq!(some_key(ValueType::Int32, &cell("null")), Ok(None));
    }

    #[test]
    fn lists_are_made_element_by_element() {
        assert_eq!(value(ValueType::Int64List, &cell("[1,\"2\",3.0]")), Ok(Value::Int64List(vec![1, 2, 3])));
        assert_eq!(value(ValueType::Int64List, &cell("null")), Ok(Value::Null));
        assert_eq!(value(ValueType::StringList, &cell("[]")), Ok(Value::StringList(vec![])));
        let error = value(ValueType::StringList, &cell("[\"a\",null]")).unwrap_err();
        assert!(error.starts_with("element 1: string was expected, got null"), "{error}");
        let error = value(ValueType::DoubleList, &cell("[[1.0]]")).unwrap_err();
        assert!(error.starts_with("element 0: double was expected, got a list"), "{error}");
        assert!(value(ValueType::Bytes, &cell("\"?\"")).unwrap_err().contains("base64"));
        assert!(value(ValueType::Double, &cell("[1.0]")).unwrap_err().contains("got a list"));
        assert!(value(ValueType::DoubleList, &cell("1.0")).is_err());
        let Ok(Value::DoubleList(vector)) = value(ValueType::DoubleList, &cell("[1.5,null,\"NaN\"]")) else {
            panic!("a missing element of a vector is NaN")
        };
        assert!(vector[0] == 1.5 && vector[1].is_nan() && vector[2].is_nan(), "{vector:?}");
    }

    #[test]
    fn pythons_word_for_what_is_missing_is_null_and_no_text() {
        let body = crate::python::json(b"NaN");
        let nan: Cell<'_> = serde_json::from_slice(&body).unwrap();
        for value_type in ValueType::ALL {
            assert_eq!(value(value_type, &nan), Ok(Value::Null), "{value_type}");
        }
        assert!(key(ValueType::String, &nan).unwrap_err().contains("NaN"), "no row is found under a missing key");
        assert_eq!(value(ValueType::String, &cell("\"NaN\"")), Ok(Value::String("NaN".into())));
    }

    #[test]
    fn every_text_is_kept_whatever_it_begins_with() {
        for text in ["\u{1}littoral:NaN", "\u{1}littoral:5", "\u{1}NaN", "\u{1}"] {
            let json = serde_json::to_string(&[text]).unwrap();
            // A bare word beside it makes the body one of Python.
            let body = format!("[{json},NaN]");
            let body = crate::python::json(body.as_bytes());
            let python: Vec<Cell<'_>> = serde_json::from_slice(&body).unwrap();
            let (plain, python) = (cell(&json), &python[0]);
            let kept = Ok(Value::StringList(vec![text.to_owned()]));
            assert_eq!(value(ValueType::StringList, &plain), kept, "{text:?}");
            assert_eq!(value(ValueType::StringList, python), kept, "{text:?} beside a bare word");
        }
    }

    #[test]
    fn event_times_are_text_or_seconds() {
        let second = EventTime(1_000_000_000);
        for one in ["1", "1.0", "\"1970-01-01T00:00:01\"", "\"1970-01-01T00:00:01Z\""] {
            assert_eq!(event_time(&cell(one)), Ok(Some(second)), "{one}");
        }
        for bad in ["1e30", "\"soon\"", "9223372036854775807", "true"] {
            assert!(event_time(&cell(bad)).is_err(), "{bad}");
        }
        assert_eq!(event_time(&cell("null")), Ok(None));
    }
}
