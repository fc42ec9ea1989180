//! Columns of time.

use crate::{Error, canonical::CellError};
use arrow_array::{
    Array, ArrayRef, Int64Array,
    cast::AsArray as _,
    types::{
        Date32Type, Date64Type, Int64Type, TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType,
        TimestampSecondType,
    },
};
use arrow_schema::{DataType, TimeUnit};
use littoral_model::event_time::EventTime;
use std::sync::Arc;

const NANOS_PER_SECOND: i64 = 1_000_000_000;

/// Whether a type says by itself when something was.
pub(crate) fn is_instant(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Timestamp(_, _) | DataType::Date32 | DataType::Date64)
}

/// Refuses a timestamp column of another type.
pub(crate) fn check_type(column: &str, data_type: &DataType) -> Result<(), Error> {
    let text = matches!(data_type, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View);
    if is_instant(data_type) || text || *data_type == DataType::Int64 {
        return Ok(());
    }
    Err(Error::TimestampType { column: column.to_owned(), got: data_type.to_string() })
}

/// Raw readings and how many of them make a second; `None` for a type that is no instant. Days count as negative.
fn readings(array: &ArrayRef) -> Option<(Int64Array, i64)> {
    Some(match array.data_type() {
        DataType::Timestamp(TimeUnit::Second, _) => {
            (array.as_primitive::<TimestampSecondType>().reinterpret_cast::<Int64Type>(), 1)
        }
        DataType::Timestamp(TimeUnit::Millisecond, _) => {
            (array.as_primitive::<TimestampMillisecondType>().reinterpret_cast::<Int64Type>(), 1_000)
        }
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            (array.as_primitive::<TimestampMicrosecondType>().reinterpret_cast::<Int64Type>(), 1_000_000)
        }
        DataType::Timestamp(TimeUnit::Nanosecond, _) => {
            (array.as_primitive::<TimestampNanosecondType>().reinterpret_cast::<Int64Type>(), NANOS_PER_SECOND)
        }
        DataType::Date32 => {
            (array.as_primitive::<Date32Type>().unary::<_, Int64Type>(|days| i64::from(days) * 86_400), 1)
        }
        DataType::Date64 => (array.as_primitive::<Date64Type>().reinterpret_cast::<Int64Type>(), 1_000),
        _ => return None,
    })
}

/// Whole seconds since 1970, rounded down.
pub(crate) fn seconds(array: &ArrayRef) -> ArrayRef {
    match readings(array) {
        None | Some((_, 0)) => Arc::clone(array),
        Some((seconds, 1)) => Arc::new(seconds),
        Some((readings, per_second)) => {
            let seconds: Int64Array = readings.unary(|reading| reading.div_euclid(per_second));
            Arc::new(seconds)
        }
    }
}

/// Nanoseconds since 1970. No row may be null.
pub(crate) fn event_times(array: &ArrayRef) -> Result<Int64Array, CellError> {
    if let Some(row) = (0..array.len()).find(|row| array.is_null(*row)) {
        return Err((row, "the event timestamp is null".to_owned()));
    }
    let (readings, per_second) = match (readings(array), array.data_type()) {
        (Some(readings), _) => readings,
        (None, DataType::Int64) => (array.as_primitive::<Int64Type>().clone(), 1),
        (None, DataType::Utf8) => return texts(array.as_string::<i32>().iter()),
        (None, DataType::LargeUtf8) => return texts(array.as_string::<i64>().iter()),
        (None, DataType::Utf8View) => return texts(array.as_string_view().iter()),
        (None, other) => return Err((0, format!("{other} holds no time"))),
    };
    let nanos = NANOS_PER_SECOND / per_second;
    if nanos == 1 {
        return Ok(readings);
    }
    match readings.values().iter().position(|reading| reading.checked_mul(nanos).is_none()) {
        Some(row) => {
            let reading = readings.value(row);
            Err((
                row,
                format!("event timestamp {reading} (1/{per_second} s since 1970) is outside the years 1678 to 2261"),
            ))
        }
        None => Ok(readings.unary(|reading| reading.wrapping_mul(nanos))),
    }
}

fn texts<'a>(texts: impl Iterator<Item = Option<&'a str>>) -> Result<Int64Array, CellError> {
    let parse = |(row, text): (usize, Option<&str>)| {
        let time = text.unwrap_or_default().parse::<EventTime>().map_err(|error| (row, error.to_string()))?;
        Ok(time.0)
    };
    let nanos: Result<Vec<i64>, CellError> = texts.enumerate().map(parse).collect();
    Ok(Int64Array::from(nanos?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::{StringArray, TimestampMicrosecondArray};

    #[test]
    fn instants_of_every_unit_are_nanoseconds() {
        let micros: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![1_500_000, -1]));
        assert_eq!(event_times(&micros).unwrap().values()[..], [1_500_000_000, -1_000]);
        assert_eq!(seconds(&micros).as_primitive::<Int64Type>().values()[..], [1, -1]);
        let text: ArrayRef = Arc::new(StringArray::from(vec!["1970-01-01T00:00:01Z"]));
        assert_eq!(event_times(&text).unwrap().values()[..], [NANOS_PER_SECOND]);
        let plain: ArrayRef = Arc::new(Int64Array::from(vec![7]));
        assert_eq!(event_times(&plain).unwrap().values()[..], [7 * NANOS_PER_SECOND]);
    }

    #[test]
    fn what_is_no_time_is_named_with_its_row() {
        let null: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), None]));
        assert_eq!(event_times(&null).unwrap_err(), (1, "the event timestamp is null".to_owned()));
        let far: ArrayRef = Arc::new(Int64Array::from(vec![i64::MAX]));
        assert_eq!(event_times(&far).unwrap_err().0, 0);
        let text: ArrayRef = Arc::new(StringArray::from(vec!["1970-01-01", "soon"]));
        assert!(event_times(&text).is_err());
    }
}
