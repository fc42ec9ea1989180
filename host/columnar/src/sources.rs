//! Presents Arrow cells as the sources of [`littoral_model::convert`].

use crate::canonical::CellError;
use arrow_array::{
    Array, ArrayRef,
    cast::AsArray as _,
    types::{
        Date32Type, Date64Type, Decimal32Type, Decimal64Type, Decimal128Type, Decimal256Type, Float16Type, Float32Type,
        Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, TimestampMicrosecondType, TimestampMillisecondType,
        TimestampNanosecondType, TimestampSecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
    },
};
use arrow_schema::{DataType, TimeUnit};
use littoral_model::{
    convert::{Kind, Source},
    instant::Instant,
};

/// The value with which numpy, and some writers of Parquet, mark a missing time.
pub(crate) const NOT_A_TIME: i64 = i64::MIN;

/// Returns the kind of a column's values. For a dictionary it is the kind of its values.
pub(crate) fn kind(data_type: &DataType) -> Kind {
    match data_type {
        DataType::Null => Kind::Null,
        DataType::Boolean => Kind::Bool,
        integer if integer.is_integer() => Kind::Integer,
        DataType::Float16 | DataType::Float32 | DataType::Float64 => Kind::Float,
        decimal if decimal.is_decimal() => Kind::Decimal,
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Kind::Text,
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => Kind::Bytes,
        DataType::Timestamp(_, _) | DataType::Date32 | DataType::Date64 => Kind::Instant,
        DataType::Time32(_) | DataType::Time64(_) => Kind::TimeOfDay,
        DataType::Duration(_) | DataType::Interval(_) => Kind::Duration,
        DataType::List(_) | DataType::LargeList(_) | DataType::FixedSizeList(_, _) => Kind::List,
        DataType::Dictionary(_, values) => match kind(values) {
            // Arrow has no dictionaries of dictionaries, and a dictionary of nulls is meaningless.
            Kind::Null | Kind::List => Kind::Structure,
            _ if matches!(**values, DataType::Dictionary(..)) => Kind::Structure,
            plain => plain,
        },
        DataType::ListView(_) | DataType::LargeListView(_) | DataType::RunEndEncoded(_, _) => Kind::Encoding,
        _ => Kind::Structure,
    }
}

/// Calls `each` with every row's value, in order, until one is rejected. The column must not be a
/// dictionary.
pub(crate) fn for_each<'a, E: ToString>(
    array: &'a ArrayRef,
    mut each: impl FnMut(Source<'a>) -> Result<(), E>,
) -> Result<(), CellError> {
    macro_rules! rows {
        ($array:expr, $row:ident => $source:expr) => {{
            for $row in 0..array.len() {
                let source = if array.is_null($row) { Source::Null } else { $source };
                each(source).map_err(|why| ($row, why.to_string()))?;
            }
            Ok(())
        }};
    }
    macro_rules! primitive {
        ($type:ty, $value:ident => $source:expr) => {{
            let values = array.as_primitive::<$type>().values();
            rows!(array, row => {
                let $value = values[row];
                $source
            })
        }};
    }
    macro_rules! ticks {
        ($type:ty, $per_second:expr) => {
            primitive!($type, ticks => match ticks {
                NOT_A_TIME => Source::Null,
                ticks => Source::Instant(Instant::from_ticks(ticks, $per_second)),
            })
        };
    }
    macro_rules! digits {
        ($type:ty) => {{
            let values = array.as_primitive::<$type>();
            rows!(array, row => Source::Decimal(values.value_as_string(row)))
        }};
    }
    match array.data_type() {
        DataType::Boolean => rows!(array, row => Source::Bool(array.as_boolean().value(row))),
        DataType::Int8 => primitive!(Int8Type, value => Source::Int(value.into())),
        DataType::Int16 => primitive!(Int16Type, value => Source::Int(value.into())),
        DataType::Int32 => primitive!(Int32Type, value => Source::Int(value.into())),
        DataType::Int64 => primitive!(Int64Type, value => Source::Int(value)),
        DataType::UInt8 => primitive!(UInt8Type, value => Source::Int(value.into())),
        DataType::UInt16 => primitive!(UInt16Type, value => Source::Int(value.into())),
        DataType::UInt32 => primitive!(UInt32Type, value => Source::Int(value.into())),
        DataType::UInt64 => primitive!(UInt64Type, value => Source::Unsigned(value)),
        DataType::Float16 => primitive!(Float16Type, value => Source::Float(value.to_f64())),
        DataType::Float32 => primitive!(Float32Type, value => Source::Float(value.into())),
        DataType::Float64 => primitive!(Float64Type, value => Source::Float(value)),
        DataType::Decimal32(_, _) => digits!(Decimal32Type),
        DataType::Decimal64(_, _) => digits!(Decimal64Type),
        DataType::Decimal128(_, _) => digits!(Decimal128Type),
        DataType::Decimal256(_, _) => digits!(Decimal256Type),
        DataType::Utf8 => rows!(array, row => Source::Text(array.as_string::<i32>().value(row))),
        DataType::LargeUtf8 => rows!(array, row => Source::Text(array.as_string::<i64>().value(row))),
        DataType::Utf8View => rows!(array, row => Source::Text(array.as_string_view().value(row))),
        DataType::Binary => rows!(array, row => Source::Bytes(array.as_binary::<i32>().value(row))),
        DataType::LargeBinary => rows!(array, row => Source::Bytes(array.as_binary::<i64>().value(row))),
        DataType::BinaryView => rows!(array, row => Source::Bytes(array.as_binary_view().value(row))),
        DataType::FixedSizeBinary(_) => rows!(array, row => Source::Bytes(array.as_fixed_size_binary().value(row))),
        DataType::Timestamp(TimeUnit::Second, _) => ticks!(TimestampSecondType, 1),
        DataType::Timestamp(TimeUnit::Millisecond, _) => ticks!(TimestampMillisecondType, 1_000),
        DataType::Timestamp(TimeUnit::Microsecond, _) => ticks!(TimestampMicrosecondType, 1_000_000),
        DataType::Timestamp(TimeUnit::Nanosecond, _) => ticks!(TimestampNanosecondType, 1_000_000_000),
        DataType::Date32 => primitive!(Date32Type, days => Source::Instant(Instant::from_days(days.into()))),
        DataType::Date64 => ticks!(Date64Type, 1_000),
        DataType::Null => rows!(array, _row => Source::Null),
        other => {
            let kind = kind(other);
            rows!(array, _row => Source::Other(kind))
        }
    }
}
