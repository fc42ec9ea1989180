//! Arrow columns of many types into the one Arrow type that stands for each of ours.
//!
//! | ours | Arrow, as made here | also taken |
//! |---|---|---|
//! | bool | Boolean | |
//! | int32, int64 | Int32, Int64 | every integer type, checked value by value |
//! | float, double | Float32, Float64 | floats and integers; a double is rounded to a float, as Feast does |
//! | string | Utf8 | LargeUtf8, Utf8View, dictionaries of them |
//! | bytes | Binary | LargeBinary, BinaryView, FixedSizeBinary, dictionaries of them |
//! | unix_timestamp | Int64, seconds | timestamps and dates, rounded down to seconds; integers |
//! | lists | List of these | LargeList, FixedSizeList |
//!
//! A column of type Null is null in every row.

use crate::{Error, event_times, lists};
use arrow_array::{
    Array, ArrayRef, BinaryArray, Float64Array, Int32Array, Int64Array, PrimitiveArray, StringArray,
    cast::AsArray as _,
    new_null_array,
    types::{
        ArrowPrimitiveType, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type, UInt16Type,
        UInt32Type, UInt64Type,
    },
};
use arrow_schema::{DataType, Field};
use littoral_model::value::ValueType;
use std::sync::Arc;

/// A value that cannot be taken: its row, and why.
pub(crate) type CellError = (usize, String);

/// The Arrow type that stands for one of ours.
pub(crate) fn arrow_type(value_type: ValueType) -> DataType {
    match value_type {
        ValueType::Bool => DataType::Boolean,
        ValueType::Int32 => DataType::Int32,
        ValueType::Int64 | ValueType::UnixTimestamp => DataType::Int64,
        ValueType::Float => DataType::Float32,
        ValueType::Double => DataType::Float64,
        ValueType::String => DataType::Utf8,
        ValueType::Bytes => DataType::Binary,
        list => {
            let element = list.element().map_or(DataType::Null, arrow_type);
            DataType::List(Arc::new(Field::new_list_field(element, true)))
        }
    }
}

/// Whether a column of this Arrow type can be taken.
pub(crate) fn accepts(value_type: ValueType, data_type: &DataType) -> bool {
    if *data_type == DataType::Null {
        return true;
    }
    if let DataType::Dictionary(_, values) = data_type {
        // Of texts or bytes as they are: Arrow has no dictionaries of dictionaries, and one of nulls says nothing.
        let plain = !matches!(**values, DataType::Dictionary(..) | DataType::Null);
        return plain && matches!(value_type, ValueType::String | ValueType::Bytes) && accepts(value_type, values);
    }
    match value_type {
        ValueType::Bool => *data_type == DataType::Boolean,
        ValueType::Int32 | ValueType::Int64 => data_type.is_integer(),
        ValueType::Float | ValueType::Double => {
            data_type.is_integer() || matches!(data_type, DataType::Float32 | DataType::Float64)
        }
        ValueType::String => matches!(data_type, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View),
        ValueType::Bytes => matches!(
            data_type,
            DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_)
        ),
        ValueType::UnixTimestamp => data_type.is_integer() || event_times::is_instant(data_type),
        list => match (data_type, list.element()) {
            (DataType::List(field) | DataType::LargeList(field) | DataType::FixedSizeList(field, _), Some(element)) => {
                accepts(element, field.data_type())
            }
            _ => false,
        },
    }
}

/// Refuses a column of a type that cannot be taken, with what to do.
pub(crate) fn check_type(column: &str, data_type: &DataType, expected: ValueType) -> Result<(), Error> {
    if accepts(expected, data_type) {
        return Ok(());
    }
    let takers: Vec<_> = (ValueType::ALL.iter()).filter(|t| accepts(**t, data_type)).map(|t| t.name()).collect();
    let remedy = if takers.is_empty() {
        format!("write the column as Arrow {}", arrow_type(expected))
    } else {
        format!(
            "write the column as Arrow {}, or declare it as {} in the view",
            arrow_type(expected),
            takers.join(" or ")
        )
    };
    Err(Error::ColumnType { column: column.to_owned(), got: data_type.to_string(), expected, remedy })
}

/// Brings a column into the Arrow type that stands for `value_type`. Costs nothing where it already is.
///
/// `bytes_max` bounds what dictionaries and views may expand to.
pub(crate) fn canonical(array: &ArrayRef, value_type: ValueType, bytes_max: usize) -> Result<ArrayRef, CellError> {
    let data_type = array.data_type();
    if *data_type == DataType::Null {
        return Ok(new_null_array(&arrow_type(value_type), array.len()));
    }
    Ok(match value_type {
        ValueType::Bool => Arc::clone(array),
        ValueType::Int32 => match data_type {
            DataType::Int32 => Arc::clone(array),
            _ => Arc::new(narrow(&integers(array)?)?),
        },
        ValueType::Int64 => integers(array)?,
        ValueType::UnixTimestamp if event_times::is_instant(data_type) => event_times::seconds(array),
        ValueType::UnixTimestamp => integers(array)?,
        ValueType::Float => match data_type {
            DataType::Float32 => Arc::clone(array),
            DataType::Float64 => Arc::new(array.as_primitive::<Float64Type>().unary::<_, Float32Type>(|v| v as f32)),
            _ => {
                let integers = integers(array)?;
                Arc::new(integers.as_primitive::<Int64Type>().unary::<_, Float32Type>(|v| v as f32)) as ArrayRef
            }
        },
        ValueType::Double => match data_type {
            DataType::Float64 => Arc::clone(array),
            DataType::Float32 => {
                let widened: Float64Array = array.as_primitive::<Float32Type>().unary::<_, Float64Type>(f64::from);
                Arc::new(widened)
            }
            _ => {
                let integers = integers(array)?;
                Arc::new(integers.as_primitive::<Int64Type>().unary::<_, Float64Type>(|v| v as f64)) as ArrayRef
            }
        },
        ValueType::String => strings(array, bytes_max)?,
        ValueType::Bytes => binaries(array, bytes_max)?,
        list => lists::canonical(array, list, bytes_max)?,
    })
}

fn integers(array: &ArrayRef) -> Result<ArrayRef, CellError> {
    fn widen<T: ArrowPrimitiveType>(array: &ArrayRef) -> ArrayRef
    where
        T::Native: Into<i64>,
    {
        let wide: Int64Array = array.as_primitive::<T>().unary(Into::into);
        Arc::new(wide)
    }
    Ok(match array.data_type() {
        DataType::Int8 => widen::<Int8Type>(array),
        DataType::Int16 => widen::<Int16Type>(array),
        DataType::Int32 => widen::<Int32Type>(array),
        DataType::UInt8 => widen::<UInt8Type>(array),
        DataType::UInt16 => widen::<UInt16Type>(array),
        DataType::UInt32 => widen::<UInt32Type>(array),
        DataType::UInt64 => {
            let values = array.as_primitive::<UInt64Type>();
            let wide: Int64Array = checked(values, |v| i64::try_from(v).ok(), "int64")?;
            Arc::new(wide)
        }
        _ => Arc::clone(array),
    })
}

fn narrow(array: &ArrayRef) -> Result<Int32Array, CellError> {
    checked(array.as_primitive::<Int64Type>(), |v| i32::try_from(v).ok(), "int32")
}

fn checked<T: ArrowPrimitiveType, U: ArrowPrimitiveType>(
    array: &PrimitiveArray<T>,
    convert: impl Fn(T::Native) -> Option<U::Native>,
    into: &str,
) -> Result<PrimitiveArray<U>, CellError>
where
    T::Native: std::fmt::Display,
{
    // What stands under a null is nobody's value and need not fit.
    if let Some(row) = (0..array.len()).find(|row| array.is_valid(*row) && convert(array.value(*row)).is_none()) {
        return Err((row, format!("{} does not fit {into}", array.value(row))));
    }
    Ok(array.unary(|v| convert(v).unwrap_or_default()))
}

/// Adds lengths up to a bound: a short dictionary can stand for more bytes than the machine has.
fn check_expansion(lengths: impl Iterator<Item = usize>, bytes_max: usize) -> Result<(), CellError> {
    let mut total = 0usize;
    for (row, len) in lengths.enumerate() {
        total = total.saturating_add(len);
        if total > bytes_max {
            return Err((row, format!("the column expands to more than {bytes_max} bytes; send smaller batches")));
        }
    }
    Ok(())
}

/// A dictionary column, value by value; other columns as they are.
fn expand(
    array: &ArrayRef,
    len_of: impl Fn(&ArrayRef, usize) -> usize,
    bytes_max: usize,
) -> Result<ArrayRef, CellError> {
    let Some(dictionary) = array.as_any_dictionary_opt() else { return Ok(Arc::clone(array)) };
    let values = dictionary.values();
    if values.is_empty() {
        return Ok(new_null_array(values.data_type(), array.len()));
    }
    let keys = dictionary.normalized_keys();
    let valid = |row: &usize| dictionary.keys().is_valid(*row);
    check_expansion((0..keys.len()).filter(valid).map(|row| len_of(values, keys[row])), bytes_max)?;
    arrow_select::take::take(values.as_ref(), dictionary.keys(), None).map_err(|error| (0, error.to_string()))
}

fn strings(array: &ArrayRef, bytes_max: usize) -> Result<ArrayRef, CellError> {
    let len_of = |values: &ArrayRef, index: usize| match values.data_type() {
        DataType::Utf8 => values.as_string::<i32>().value_length(index) as usize,
        DataType::LargeUtf8 => values.as_string::<i64>().value_length(index) as usize,
        _ => values.as_string_view().value(index).len(),
    };
    let array = expand(array, len_of, bytes_max)?;
    let from = |values: Vec<Option<&str>>| -> Result<ArrayRef, CellError> {
        check_expansion(values.iter().map(|v| v.map_or(0, str::len)), bytes_max)?;
        Ok(Arc::new(StringArray::from(values)))
    };
    match array.data_type() {
        DataType::LargeUtf8 => from(array.as_string::<i64>().iter().collect()),
        DataType::Utf8View => from(array.as_string_view().iter().collect()),
        _ => Ok(array),
    }
}

fn binaries(array: &ArrayRef, bytes_max: usize) -> Result<ArrayRef, CellError> {
    let len_of = |values: &ArrayRef, index: usize| match values.data_type() {
        DataType::Binary => values.as_binary::<i32>().value_length(index) as usize,
        DataType::LargeBinary => values.as_binary::<i64>().value_length(index) as usize,
        DataType::BinaryView => values.as_binary_view().value(index).len(),
        _ => values.as_fixed_size_binary().value_length() as usize,
    };
    let array = expand(array, len_of, bytes_max)?;
    let from = |values: Vec<Option<&[u8]>>| -> Result<ArrayRef, CellError> {
        check_expansion(values.iter().map(|v| v.map_or(0, <[u8]>::len)), bytes_max)?;
        Ok(Arc::new(BinaryArray::from(values)))
    };
    match array.data_type() {
        DataType::LargeBinary => from(array.as_binary::<i64>().iter().collect()),
        DataType::BinaryView => from(array.as_binary_view().iter().collect()),
        DataType::FixedSizeBinary(_) => from(array.as_fixed_size_binary().iter().collect()),
        _ => Ok(array),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::{DictionaryArray, Int8Array, UInt64Array, types::Int32Type};

    fn make(array: impl Array + 'static, value_type: ValueType) -> Result<ArrayRef, CellError> {
        canonical(&(Arc::new(array) as ArrayRef), value_type, 1_000)
    }

    #[test]
    fn narrow_types_are_widened_and_wide_ones_checked() {
        let wide = make(Int8Array::from(vec![Some(-1), None]), ValueType::Int64).unwrap();
        assert_eq!(wide.as_primitive::<Int64Type>(), &Int64Array::from(vec![Some(-1), None]));
        let error = make(Int64Array::from(vec![1, 1 << 40]), ValueType::Int32).unwrap_err();
        assert_eq!(error, (1, "1099511627776 does not fit int32".to_owned()));
        let error = make(UInt64Array::from(vec![u64::MAX]), ValueType::Int64).unwrap_err();
        assert_eq!(error.0, 0);
        let float = make(Float64Array::from(vec![0.1]), ValueType::Float).unwrap();
        assert_eq!(float.as_primitive::<Float32Type>().value(0), 0.1f32);
    }

    #[test]
    fn dictionaries_expand_up_to_the_bound() {
        let few: DictionaryArray<Int32Type> = vec![Some("ab"), None, Some("ab")].into_iter().collect();
        let plain = make(few, ValueType::String).unwrap();
        assert_eq!(plain.as_string::<i32>(), &StringArray::from(vec![Some("ab"), None, Some("ab")]));
        let long = "x".repeat(400);
        let bomb: DictionaryArray<Int32Type> = std::iter::repeat_n(Some(long.as_str()), 3).collect();
        assert!(make(bomb, ValueType::String).unwrap_err().1.contains("expands"));
    }

    #[test]
    fn a_refused_type_comes_with_a_remedy() {
        let error = check_type("delay", &DataType::Utf8, ValueType::Double).unwrap_err().to_string();
        assert_eq!(
            error,
            "column 'delay' is Utf8, which cannot become double; write the column as Arrow Float64, or declare it as \
             string in the view"
        );
    }
}
