//! Conversion of values: the only place that decides what an incoming value becomes as a feature,
//! join key, module parameter or event timestamp, or why it is rejected.
//!
//! An input format (JSON, Arrow streams, Parquet files) only describes its values as [`Source`]s.
//! [`rule`] holds the table of which kinds each type accepts; `host/CONVERSIONS.md` shows it.
//!
//! Two principles shape the table. Every form in which pandas and Feast write one value is
//! accepted: integers become doubles, and NaN marks a missing value. And no value changes
//! silently: a value that the type cannot hold is rejected, and only `float`, `double` and
//! `unix_timestamp` round, to their own precision.

mod number;
mod rule;

pub use rule::{Kind, Rule, rule, table};

use crate::{
    event_time::EventTime,
    instant::Instant,
    value::{Value, ValueType},
};
use number::Number;
use std::{borrow::Cow, fmt};

/// The integer with which numpy, pandas and Feast mark a missing time (NaT).
const NOT_A_TIME: i64 = i64::MIN;

/// A value as it arrived.
#[derive(Clone, Debug, PartialEq)]
pub enum Source<'a> {
    /// No value.
    Null,
    /// True or false.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// An integer that may exceed `i64`.
    Unsigned(u64),
    /// A floating-point number of any width; NaN marks a missing value.
    Float(f64),
    /// The digits of a decimal number.
    Decimal(String),
    /// Text.
    Text(&'a str),
    /// Bytes.
    Bytes(&'a [u8]),
    /// A timestamp or a date.
    Instant(Instant),
    /// A value of a kind that is not a scalar or cannot be converted.
    Other(Kind),
}

/// Why a value is rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// The type accepts no values of this kind.
    Kind,
    /// The value is outside the type's range.
    Range,
    /// The value has a fraction.
    NotWhole,
    /// The type cannot hold this value exactly, or the value may already have been rounded.
    NotExact,
    /// The text is empty.
    Empty,
    /// The text is not a number.
    NotNumber,
    /// The text is a number that a double cannot hold.
    NotDouble,
    /// The text is not a timestamp, for this reason.
    NotTime(&'static str),
    /// The list has a missing element, which feature lists cannot hold.
    NullElement,
}

/// The error for a value that cannot be converted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{expected}{} was expected, got {got}{why}", hint(*.expected))]
pub struct Rejection {
    /// The type that the value was to be converted to.
    pub expected: ValueType,
    /// The value, shortened.
    pub got: String,
    /// Why it is rejected.
    pub why: Why,
}

fn hint(expected: ValueType) -> &'static str {
    match expected {
        ValueType::Bytes => " (base64 text in JSON)",
        ValueType::UnixTimestamp => " (whole seconds since 1970, or RFC 3339 text)",
        _ => "",
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Kind => "",
            Self::Range => ", which is outside the type's range",
            Self::NotWhole => ", which is not a whole number",
            Self::NotExact => {
                ", which the type cannot represent exactly: send it as an integer, or choose a wider type"
            }
            Self::Empty => ", which is empty: write a missing value as null",
            Self::NotNumber => ", which is not a number",
            Self::NotDouble => ", which is a number that a double cannot hold",
            Self::NotTime(why) => return write!(f, ", which {why}"),
            Self::NullElement => ": only lists of float or double can hold missing elements, as NaN",
        })
    }
}

impl Rejection {
    fn new(expected: ValueType, source: &Source<'_>, why: Why) -> Self {
        Self { expected, got: source.shown(), why }
    }

    /// Creates the error for a missing element in a list that cannot hold one.
    #[must_use]
    pub fn null_element(element: ValueType) -> Self {
        Self { expected: element, got: "null".to_owned(), why: Why::NullElement }
    }
}

impl Source<'_> {
    /// Returns the kind of this value.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Null => Kind::Null,
            Self::Bool(_) => Kind::Bool,
            Self::Int(_) | Self::Unsigned(_) => Kind::Integer,
            Self::Float(_) => Kind::Float,
            Self::Decimal(_) => Kind::Decimal,
            Self::Text(_) => Kind::Text,
            Self::Bytes(_) => Kind::Bytes,
            Self::Instant(_) => Kind::Instant,
            Self::Other(kind) => *kind,
        }
    }

    /// Formats the value for a message, with bounded length.
    #[must_use]
    pub fn shown(&self) -> String {
        match self {
            Self::Null => "null".to_owned(),
            Self::Bool(v) => v.to_string(),
            Self::Int(v) => v.to_string(),
            Self::Unsigned(v) => v.to_string(),
            Self::Float(v) => v.to_string(),
            Self::Decimal(digits) => digits.chars().take(96).collect(),
            Self::Text(text) => format!("'{}'", text.chars().take(64).collect::<String>()),
            Self::Bytes(bytes) => format!("{} bytes", bytes.len()),
            Self::Instant(instant) => instant.to_string(),
            Self::Other(kind) => kind.shown().to_owned(),
        }
    }

    fn number(&self) -> Result<Number, Why> {
        match self {
            Self::Bool(v) => Ok(Number::Whole(i128::from(*v))),
            Self::Int(v) => Ok(Number::Whole(i128::from(*v))),
            Self::Unsigned(v) => Ok(Number::Whole(i128::from(*v))),
            Self::Float(v) => Ok(Number::Real(*v)),
            Self::Decimal(digits) => Number::from_digits(digits).ok_or(Why::Range),
            Self::Text(text) => Number::from_digits(text).ok_or_else(|| match text.trim() {
                "" => Why::Empty,
                text if text.parse::<f64>().is_ok() => Why::NotDouble,
                _ => Why::NotNumber,
            }),
            _ => Err(Why::Kind),
        }
    }

    /// Returns whether the value is missing: null, or the NaN that pandas writes into columns of
    /// any type.
    fn is_missing(&self) -> bool {
        matches!(self, Self::Null) || matches!(self, Self::Float(v) if v.is_nan())
    }

    /// Converts a number with `make`; returns `None` when the value is missing.
    fn numeric<T>(&self, expected: ValueType, make: impl Fn(Number) -> Result<T, Why>) -> Result<Option<T>, Rejection> {
        if self.is_missing() {
            return Ok(None);
        }
        let made = self.number().and_then(|number| match number.is_missing() {
            true => Ok(None),
            false => make(number).map(Some),
        });
        made.map_err(|why| Rejection::new(expected, self, why))
    }
}

/// Converts to a bool. Numbers 0 and 1 of any kind are accepted.
pub fn boolean(source: &Source<'_>) -> Result<Option<bool>, Rejection> {
    match source {
        Source::Bool(v) => Ok(Some(*v)),
        // Text is never interpreted: "no", "f" and "" mean what their author meant.
        Source::Text(_) => Err(Rejection::new(ValueType::Bool, source, Why::Kind)),
        _ => source.numeric(ValueType::Bool, |number| match number.integer()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Why::Range),
        }),
    }
}

/// Converts to a 32-bit integer.
pub fn int32(source: &Source<'_>) -> Result<Option<i32>, Rejection> {
    source.numeric(ValueType::Int32, |number| i32::try_from(number.integer()?).map_err(|_| Why::Range))
}

/// Converts to a 64-bit integer.
pub fn int64(source: &Source<'_>) -> Result<Option<i64>, Rejection> {
    source.numeric(ValueType::Int64, |number| i64::try_from(number.integer()?).map_err(|_| Why::Range))
}

/// Converts to a float.
pub fn float(source: &Source<'_>) -> Result<Option<f32>, Rejection> {
    source.numeric(ValueType::Float, Number::float)
}

/// Converts to a double.
pub fn double(source: &Source<'_>) -> Result<Option<f64>, Rejection> {
    source.numeric(ValueType::Double, Number::double)
}

/// Converts to whole seconds since 1970. Timestamps are rounded down.
pub fn unix_timestamp(source: &Source<'_>) -> Result<Option<i64>, Rejection> {
    let expected = ValueType::UnixTimestamp;
    let seconds = match source {
        Source::Bool(_) => return Err(Rejection::new(expected, source, Why::Kind)),
        Source::Instant(instant) => Some(instant.seconds),
        Source::Text(text) if Number::from_digits(text).is_none() => match text.trim() {
            "NaT" => None,
            "" => return Err(Rejection::new(expected, source, Why::Empty)),
            text => match text.parse::<Instant>() {
                Ok(instant) => Some(instant.seconds),
                Err(error) => return Err(Rejection::new(expected, source, Why::NotTime(error.why))),
            },
        },
        _ => source.numeric(expected, |number| i64::try_from(number.integer()?).map_err(|_| Why::Range))?,
    };
    Ok(seconds.filter(|seconds| *seconds != NOT_A_TIME))
}

/// Converts to text. An integer or a decimal becomes its digits.
pub fn string<'a>(source: &Source<'a>) -> Result<Option<Cow<'a, str>>, Rejection> {
    match source {
        Source::Text(text) => Ok(Some(Cow::Borrowed(text))),
        Source::Int(v) => Ok(Some(Cow::Owned(v.to_string()))),
        Source::Unsigned(v) => Ok(Some(Cow::Owned(v.to_string()))),
        Source::Decimal(digits) => Ok(Some(Cow::Owned(digits.clone()))),
        _ if source.is_missing() => Ok(None),
        _ => Err(Rejection::new(ValueType::String, source, Why::Kind)),
    }
}

/// Converts to bytes.
pub fn bytes<'a>(source: &Source<'a>) -> Result<Option<&'a [u8]>, Rejection> {
    match source {
        Source::Bytes(bytes) => Ok(Some(bytes)),
        _ if source.is_missing() => Ok(None),
        _ => Err(Rejection::new(ValueType::Bytes, source, Why::Kind)),
    }
}

/// Converts to a value of a scalar type. The caller converts lists element by element, with the
/// element type's own function, and passes missing elements to [`element`].
///
/// # Errors
/// [`Rejection`]; for every non-null value when the type is a list.
pub fn value(value_type: ValueType, source: &Source<'_>) -> Result<Value, Rejection> {
    fn or_null<T>(value: Option<T>, make: impl Fn(T) -> Value) -> Value {
        value.map_or(Value::Null, make)
    }
    Ok(match value_type {
        ValueType::Bool => or_null(boolean(source)?, Value::Bool),
        ValueType::Int32 => or_null(int32(source)?, Value::Int32),
        ValueType::Int64 => or_null(int64(source)?, Value::Int64),
        ValueType::Float => or_null(float(source)?, Value::Float),
        ValueType::Double => or_null(double(source)?, Value::Double),
        ValueType::String => or_null(string(source)?, |text| Value::String(text.into_owned())),
        ValueType::Bytes => or_null(bytes(source)?, |bytes| Value::Bytes(bytes.to_vec())),
        ValueType::UnixTimestamp => or_null(unix_timestamp(source)?, Value::UnixTimestamp),
        _ if source.is_missing() => Value::Null,
        list => return Err(Rejection::new(list, source, Why::Kind)),
    })
}

/// Returns a list element, which must not be missing.
pub fn element<T>(element: ValueType, value: Option<T>) -> Result<T, Rejection> {
    value.ok_or_else(|| Rejection::null_element(element))
}

/// Converts to an event time, from a timestamp, a timestamp's text, or seconds since 1970. Returns
/// `None` when the value is missing.
///
/// # Errors
/// A message that states what is wrong.
pub fn event_time(source: &Source<'_>) -> Result<Option<EventTime>, String> {
    let no_time = || format!("a timestamp was expected (RFC 3339 text, or seconds since 1970), got {}", source.shown());
    let time = |instant: Instant| EventTime::try_from(instant).map_err(|error| error.to_string());
    match source {
        _ if source.is_missing() => Ok(None),
        Source::Int(NOT_A_TIME) => Ok(None),
        Source::Int(seconds) => time(Instant { seconds: *seconds, nanos: 0 }).map(Some),
        Source::Unsigned(seconds) => {
            let seconds = i64::try_from(*seconds).map_err(|_| no_time())?;
            time(Instant { seconds, nanos: 0 }).map(Some)
        }
        Source::Instant(instant) => time(*instant).map(Some),
        Source::Text(text) if text.trim() == "NaT" => Ok(None),
        Source::Text(text) if text.trim().is_empty() => Err(no_time() + ", which is empty"),
        Source::Text(text) => {
            text.parse().map(Some).map_err(|error: crate::event_time::InvalidEventTime| error.to_string())
        }
        Source::Float(seconds) => {
            let nanos = seconds * 1e9;
            // A double of the current time in seconds is precise to about a microsecond.
            let micros = (nanos.abs() < i64::MAX as f64).then(|| (nanos / 1e3).round() as i64);
            let nanos = micros.and_then(|micros| micros.checked_mul(1_000));
            nanos.map(|nanos| Some(EventTime(nanos))).ok_or_else(no_time)
        }
        _ => Err(no_time()),
    }
}

#[cfg(test)]
mod tests;
