//! Converts Arrow columns of many types into the canonical Arrow type of each value type.
//!
//! | value type | canonical Arrow type |
//! |---|---|
//! | bool | Boolean |
//! | int32, int64 | Int32, Int64 |
//! | float, double | Float32, Float64 |
//! | string, bytes | Utf8, Binary |
//! | unix_timestamp | Int64, seconds |
//! | lists | List of these |
//!
//! [`littoral_model::convert`] decides which other types are accepted, and how they convert.

use crate::{
    Error, lists,
    sources::{self, for_each},
    texts,
};
use arrow_array::{
    Array, ArrayRef, PrimitiveArray,
    builder::{BooleanBuilder, PrimitiveBuilder},
    cast::AsArray as _,
    new_null_array,
    types::{ArrowPrimitiveType, Float32Type, Float64Type, Int32Type, Int64Type},
};
use arrow_schema::{DataType, Field};
use littoral_model::{
    convert::{self, Kind, Rejection, Rule, Source},
    value::ValueType,
};
use std::sync::Arc;

/// A value that is rejected: its row, and why.
pub(crate) type CellError = (usize, String);

/// Returns the canonical Arrow type of a value type.
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

/// Returns the rule for converting a column of this Arrow type.
fn rule(value_type: ValueType, data_type: &DataType) -> Rule {
    let whole = convert::rule(sources::kind(data_type), value_type);
    match (value_type.element(), data_type) {
        (Some(element), DataType::List(field) | DataType::LargeList(field) | DataType::FixedSizeList(field, _)) => {
            match rule(element, field.data_type()) {
                rejected @ Rule::Rejected(_) => rejected,
                _ => whole,
            }
        }
        _ => whole,
    }
}

/// Checks that a column's type is accepted; the error states what to do.
pub(crate) fn check_type(column: &str, data_type: &DataType, expected: ValueType) -> Result<(), Error> {
    let Rule::Rejected(why) = rule(expected, data_type) else { return Ok(()) };
    let accepts = |value_type: &&ValueType| {
        let is_list = sources::kind(data_type) == Kind::List;
        matches!(rule(**value_type, data_type), Rule::Accepted(_)) || is_list && canonical_list(**value_type, data_type)
    };
    let accepting: Vec<_> = ValueType::ALL.iter().filter(accepts).map(|value_type| value_type.name()).collect();
    let mut remedy = why.to_owned();
    if !accepting.is_empty() {
        remedy.push_str(&format!("; or declare it as {} in the view", accepting.join(" or ")));
    }
    Err(Error::ColumnType { column: column.to_owned(), got: data_type.to_string(), expected, remedy })
}

/// Returns whether a list type with exactly these elements is canonical for this value type.
fn canonical_list(value_type: ValueType, data_type: &DataType) -> bool {
    match (value_type.element(), data_type) {
        (Some(element), DataType::List(field) | DataType::LargeList(field) | DataType::FixedSizeList(field, _)) => {
            *field.data_type() == arrow_type(element) && element != ValueType::UnixTimestamp
        }
        _ => false,
    }
}

/// Converts a column to the canonical Arrow type of `value_type`. Free if it already has that
/// type.
///
/// `bytes_max` bounds the size to which dictionaries and views may expand.
pub(crate) fn canonical(array: &ArrayRef, value_type: ValueType, bytes_max: usize) -> Result<ArrayRef, CellError> {
    let array = &texts::expand(array, bytes_max)?;
    let data_type = array.data_type();
    if *data_type == DataType::Null {
        return Ok(new_null_array(&arrow_type(value_type), array.len()));
    }
    Ok(match value_type {
        ValueType::Bool if *data_type == DataType::Boolean => Arc::clone(array),
        ValueType::Bool => bools(array, bytes_max)?,
        ValueType::Int32 if *data_type == DataType::Int32 => Arc::clone(array),
        ValueType::Int32 => numbers::<Int32Type>(array, convert::int32, bytes_max)?,
        ValueType::Int64 if *data_type == DataType::Int64 => Arc::clone(array),
        ValueType::Int64 => numbers::<Int64Type>(array, convert::int64, bytes_max)?,
        ValueType::Float if *data_type == DataType::Float32 => without_nan::<Float32Type>(array, f32::is_nan),
        ValueType::Float => numbers::<Float32Type>(array, convert::float, bytes_max)?,
        ValueType::Double if *data_type == DataType::Float64 => without_nan::<Float64Type>(array, f64::is_nan),
        ValueType::Double => numbers::<Float64Type>(array, convert::double, bytes_max)?,
        ValueType::UnixTimestamp if *data_type == DataType::Int64 && !holds_nat(array) => Arc::clone(array),
        ValueType::UnixTimestamp => numbers::<Int64Type>(array, convert::unix_timestamp, bytes_max)?,
        ValueType::String => texts::strings(array, bytes_max)?,
        ValueType::Bytes => texts::binaries(array, bytes_max)?,
        list => match sources::kind(data_type) {
            Kind::List => lists::canonical(array, list, bytes_max)?,
            // A column of NaN, which pandas writes when every value is missing. Anything else is
            // rejected here.
            _ => {
                for_each(array, |source| convert::value(list, &source).map(drop))?;
                new_null_array(&arrow_type(list), array.len())
            }
        },
    })
}

fn holds_nat(array: &ArrayRef) -> bool {
    array.as_primitive::<Int64Type>().values().contains(&i64::MIN)
}

/// Converts every row with one of the numeric conversions.
fn numbers<T: ArrowPrimitiveType>(
    array: &ArrayRef,
    make: impl Fn(&Source<'_>) -> Result<Option<T::Native>, Rejection>,
    bytes_max: usize,
) -> Result<ArrayRef, CellError> {
    // A column of nulls or of single bytes is much smaller than its conversion.
    texts::check_len(array.len(), size_of::<T::Native>(), bytes_max)?;
    let mut values = PrimitiveBuilder::<T>::with_capacity(array.len());
    for_each(array, |source| make(&source).map(|value| values.append_option(value)))?;
    Ok(Arc::new(values.finish()))
}

fn bools(array: &ArrayRef, bytes_max: usize) -> Result<ArrayRef, CellError> {
    texts::check_len(array.len(), 1, bytes_max)?;
    let mut values = BooleanBuilder::with_capacity(array.len());
    for_each(array, |source| convert::boolean(&source).map(|value| values.append_option(value)))?;
    Ok(Arc::new(values.finish()))
}

/// Replaces NaN, which marks a missing value, by null.
fn without_nan<T: ArrowPrimitiveType>(array: &ArrayRef, is_nan: impl Fn(T::Native) -> bool) -> ArrayRef {
    let values = array.as_primitive::<T>();
    if !values.values().iter().any(|value| is_nan(*value)) {
        return Arc::clone(array);
    }
    let values: PrimitiveArray<T> = values.unary_opt(|value| (!is_nan(value)).then_some(value));
    Arc::new(values)
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::{DictionaryArray, Float64Array, Int8Array, Int32Array, Int64Array, StringArray, UInt64Array};

    fn make(array: impl Array + 'static, value_type: ValueType) -> Result<ArrayRef, CellError> {
        canonical(&(Arc::new(array) as ArrayRef), value_type, 1_000)
    }

    #[test]
    fn narrow_types_are_widened_and_wide_ones_checked() {
        let wide = make(Int8Array::from(vec![Some(-1), None]), ValueType::Int64).unwrap();
        assert_eq!(wide.as_primitive::<Int64Type>(), &Int64Array::from(vec![Some(-1), None]));
        let (row, why) = make(Int64Array::from(vec![1, 1 << 40]), ValueType::Int32).unwrap_err();
        assert_eq!((row, why.contains("int32 was expected, got 1099511627776")), (1, true), "{why}");
        assert_eq!(make(UInt64Array::from(vec![u64::MAX]), ValueType::Int64).unwrap_err().0, 0);
        let float = make(Float64Array::from(vec![0.1]), ValueType::Float).unwrap();
        assert_eq!(float.as_primitive::<Float32Type>().value(0), 0.1f32);
        assert_eq!(make(Float64Array::from(vec![0.1, 1e39]), ValueType::Float).unwrap_err().0, 1);
    }

    #[test]
    fn values_under_nulls_are_ignored() {
        let values = Int64Array::new(vec![1 << 40, 7].into(), Some(vec![false, true].into()));
        let narrow = make(values, ValueType::Int32).unwrap();
        assert_eq!(narrow.as_primitive::<Int32Type>(), &Int32Array::from(vec![None, Some(7)]));
    }

    #[test]
    fn nan_is_null_and_a_column_without_nan_is_not_copied() {
        let holes = make(Float64Array::from(vec![Some(1.5), Some(f64::NAN), None]), ValueType::Double).unwrap();
        assert_eq!(holes.as_primitive::<Float64Type>(), &Float64Array::from(vec![Some(1.5), None, None]));
        let whole: ArrayRef = Arc::new(Float64Array::from(vec![1.5]));
        let same = canonical(&whole, ValueType::Double, 1_000).unwrap();
        assert_eq!(same.to_data().buffers()[0].as_ptr(), whole.to_data().buffers()[0].as_ptr());
        for value_type in ValueType::ALL {
            let missing = make(Float64Array::from(vec![f64::NAN]), value_type).unwrap();
            assert_eq!((missing.null_count(), missing.data_type()), (1, &arrow_type(value_type)), "{value_type}");
        }
    }

    #[test]
    fn dictionaries_expand_up_to_the_limit() {
        let few: DictionaryArray<Int32Type> = vec![Some("ab"), None, Some("ab")].into_iter().collect();
        let plain = make(few, ValueType::String).unwrap();
        assert_eq!(plain.as_string::<i32>(), &StringArray::from(vec![Some("ab"), None, Some("ab")]));
        let numbers =
            DictionaryArray::<Int32Type>::new(vec![1, 0, 1].into(), Arc::new(Int64Array::from(vec![Some(5), None])));
        let plain = make(numbers, ValueType::Int64).unwrap();
        assert_eq!(plain.as_primitive::<Int64Type>(), &Int64Array::from(vec![None, Some(5), None]));
        let long = "x".repeat(400);
        let bomb: DictionaryArray<Int32Type> = std::iter::repeat_n(Some(long.as_str()), 3).collect();
        assert!(make(bomb, ValueType::String).unwrap_err().1.contains("expands"));
    }

    #[test]
    fn a_rejected_type_comes_with_a_remedy() {
        let rejected = |data_type, value_type| check_type("delay", &data_type, value_type).unwrap_err().to_string();
        assert_eq!(
            rejected(DataType::Utf8, ValueType::Bool),
            "column 'delay' is Utf8, which cannot become bool: text is not a bool: write true or false, or 1 or 0; or declare \
             it as string in the view"
        );
        let item = Arc::new(Field::new_list_field(DataType::Float64, true));
        for view in [DataType::ListView(item.clone()), DataType::LargeListView(item)] {
            let text = rejected(view, ValueType::DoubleList);
            assert!(
                text.ends_with(
                    "this encoding is not read: cast the column to List or LargeList, or to its plain values"
                ),
                "{text}"
            );
        }
        let nested = DataType::new_list(DataType::new_list(DataType::Float64, true), true);
        assert!(rejected(nested, ValueType::DoubleList).contains("a list is not a scalar"));
        let list = DataType::new_list(DataType::Float64, true);
        assert!(rejected(list, ValueType::Double).contains("declare it as double_list in the view"));
    }
}
