//! Columns of event timestamps.

use crate::{
    Error,
    canonical::CellError,
    sources::{self, NOT_A_TIME},
    texts,
};
use arrow_array::{Array as _, ArrayRef, Int64Array, cast::AsArray as _, types::TimestampNanosecondType};
use arrow_schema::DataType;
use littoral_model::convert::{self, Kind};

/// Checks that a timestamp column's type can hold times.
pub(crate) fn check_type(column: &str, data_type: &DataType) -> Result<(), Error> {
    match sources::kind(data_type) {
        Kind::Null | Kind::Integer | Kind::Float | Kind::Text | Kind::Instant => Ok(()),
        _ => Err(Error::TimestampType { column: column.to_owned(), got: data_type.to_string() }),
    }
}

/// Converts to nanoseconds since 1970; `None` for missing values.
pub(crate) fn times(array: &ArrayRef, bytes_max: usize) -> Result<Vec<Option<i64>>, CellError> {
    let array = texts::expand(array, bytes_max)?;
    let mut nanos = Vec::with_capacity(array.len());
    sources::for_each(&array, |source| convert::event_time(&source).map(|time| nanos.push(time.map(|time| time.0))))?;
    Ok(nanos)
}

/// Converts to nanoseconds since 1970. Missing values are an error. A column of nanoseconds, as
/// Littoral's own clients send it, is not copied.
pub(crate) fn event_times(array: &ArrayRef, bytes_max: usize) -> Result<Int64Array, CellError> {
    if let Some(nanos) = array.as_primitive_opt::<TimestampNanosecondType>()
        && nanos.null_count() == 0
        && !nanos.values().contains(&NOT_A_TIME)
    {
        return Ok(nanos.reinterpret_cast());
    }
    let times = Int64Array::from(times(array, bytes_max)?);
    match times.nulls().and_then(|nulls| (0..nulls.len()).find(|row| nulls.is_null(*row))) {
        Some(row) => Err((row, "the event timestamp is null".to_owned())),
        None => Ok(times),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::{Float64Array, StringArray, TimestampMicrosecondArray};
    use std::sync::Arc;

    fn nanos(array: impl arrow_array::Array + 'static) -> Result<Int64Array, CellError> {
        event_times(&(Arc::new(array) as ArrayRef), 1_000)
    }

    #[test]
    fn instants_of_every_unit_are_nanoseconds() {
        let micros = nanos(TimestampMicrosecondArray::from(vec![1_500_000, -1])).unwrap();
        assert_eq!(micros.values()[..], [1_500_000_000, -1_000]);
        for second in [nanos(StringArray::from(vec!["1970-01-01T00:00:01Z"])), nanos(Int64Array::from(vec![1]))] {
            assert_eq!(second.unwrap().values()[..], [1_000_000_000]);
        }
        assert_eq!(nanos(Float64Array::from(vec![1.5])).unwrap().values()[..], [1_500_000_000]);
    }

    #[test]
    fn the_error_for_an_invalid_time_names_its_row() {
        assert_eq!(
            nanos(Int64Array::from(vec![Some(1), None])).unwrap_err(),
            (1, "the event timestamp is null".to_owned())
        );
        assert_eq!(nanos(TimestampMicrosecondArray::from(vec![i64::MIN])).unwrap_err().0, 0, "numpy's NaT");
        assert_eq!(nanos(Int64Array::from(vec![i64::MAX])).unwrap_err().0, 0);
        assert_eq!(nanos(StringArray::from(vec!["1970-01-01", "soon"])).unwrap_err().0, 1);
    }
}
