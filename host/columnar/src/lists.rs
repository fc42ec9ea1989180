//! List columns: converts Arrow's three list layouts into one, and packs lists into rows.

use crate::{
    canonical::{self, CellError},
    texts,
};
use arrow_array::{
    Array, ArrayRef, ListArray, PrimitiveArray,
    cast::AsArray as _,
    make_array, new_empty_array, new_null_array,
    types::{ArrowPrimitiveType, Float32Type, Float64Type, Int32Type, Int64Type},
};
use arrow_buffer::{BooleanBufferBuilder, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow_schema::{DataType, Field};
use littoral_model::{convert::Rejection, value::ValueType};
use std::sync::Arc;

/// Converts a list column to `List` of the element's canonical Arrow type. A missing element
/// becomes NaN in a list of floats or doubles, and is an error in other lists.
pub(crate) fn canonical(array: &ArrayRef, list: ValueType, bytes_max: usize) -> Result<ArrayRef, CellError> {
    let Some(element) = list.element() else { return Ok(Arc::clone(array)) };
    let (values, offsets): (&ArrayRef, Vec<i32>) = match array.data_type() {
        DataType::LargeList(_) => {
            let large = array.as_list::<i64>();
            let fit = large.value_offsets().iter().map(|offset| i32::try_from(*offset)).collect::<Result<_, _>>();
            (large.values(), fit.map_err(|_| (0, "the column's lists have more than 2^31 elements".to_owned()))?)
        }
        DataType::FixedSizeList(_, _) => {
            let fixed = array.as_fixed_size_list();
            let ends = (0..=fixed.len()).map(|row| i32::try_from(row * fixed.value_length() as usize));
            let fit = ends.collect::<Result<_, _>>();
            (fixed.values(), fit.map_err(|_| (0, "the column's lists have more than 2^31 elements".to_owned()))?)
        }
        _ => {
            let plain = array.as_list::<i32>();
            (plain.values(), plain.value_offsets().to_vec())
        }
    };
    let null_element = || Rejection::null_element(element).to_string();
    if *values.data_type() == DataType::Null && !matches!(element, ValueType::Float | ValueType::Double) {
        let holds_some = |row: &usize| array.is_valid(*row) && offsets[*row] < offsets[*row + 1];
        // No element is created here, however many these lists claim to have.
        return match (0..array.len()).find(holds_some) {
            Some(row) => Err((row, null_element())),
            None => list_of(element, vec![0; offsets.len()], new_empty_array(&canonical::arrow_type(element)), array),
        };
    }
    let row_of = |index: usize| offsets.partition_point(|offset| *offset as usize <= index).saturating_sub(1);
    let in_row = |(index, why)| (row_of(index), why);
    let values = match *values.data_type() {
        DataType::Null => nulls(values.len(), element, bytes_max).map_err(in_row)?,
        _ => canonical::canonical(&listed(values, &offsets, array)?, element, bytes_max).map_err(in_row)?,
    };
    let values = match element {
        ValueType::Float => nan_for_null::<Float32Type>(&values, f32::NAN),
        ValueType::Double => nan_for_null::<Float64Type>(&values, f64::NAN),
        _ => values,
    };
    if values.null_count() > 0 {
        for row in (0..array.len()).filter(|row| array.is_valid(*row)) {
            if (offsets[row] as usize..offsets[row + 1] as usize).any(|index| values.is_null(index)) {
                return Err((row, null_element()));
            }
        }
    }
    list_of(element, offsets, values, array)
}

/// Returns the elements. Those that belong to no list become null, so that their content is never converted or
/// rejected: elements of null rows, and elements outside of the column's slice.
fn listed(values: &ArrayRef, offsets: &[i32], array: &ArrayRef) -> Result<ArrayRef, CellError> {
    let of_row = |row: usize| offsets[row] as usize..offsets[row + 1] as usize;
    let valid = || (0..array.len()).filter(|row| array.is_valid(*row)).map(of_row);
    if valid().map(|elements| elements.len()).sum::<usize>() == values.len() {
        return Ok(Arc::clone(values));
    }
    let mut has = BooleanBufferBuilder::new(values.len());
    for elements in valid() {
        has.append_n(elements.start.saturating_sub(has.len()), false);
        has.append_n(elements.end.saturating_sub(has.len()), true);
    }
    has.append_n(values.len().saturating_sub(has.len()), false);
    let has = NullBuffer::union(Some(&NullBuffer::new(has.finish())), values.nulls());
    let data = values.to_data().into_builder().nulls(has).build();
    Ok(make_array(data.map_err(|error| (0, error.to_string()))?))
}

/// Creates null elements. A few bytes of Arrow can claim any number of them, so the number is
/// bounded.
fn nulls(len: usize, element: ValueType, bytes_max: usize) -> Result<ArrayRef, CellError> {
    texts::check_len(len, size_of::<f64>(), bytes_max)?;
    Ok(new_null_array(&canonical::arrow_type(element), len))
}

/// Replaces null elements by NaN, so that a vector keeps its length.
fn nan_for_null<T: ArrowPrimitiveType>(values: &ArrayRef, nan: T::Native) -> ArrayRef {
    let numbers = values.as_primitive::<T>();
    if numbers.null_count() == 0 {
        return Arc::clone(values);
    }
    let numbers: PrimitiveArray<T> = numbers.iter().map(|value| Some(value.unwrap_or(nan))).collect();
    Arc::new(numbers)
}

/// Creates lists of these values, null where `array` is null.
fn list_of(element: ValueType, offsets: Vec<i32>, values: ArrayRef, array: &ArrayRef) -> Result<ArrayRef, CellError> {
    let field = Arc::new(Field::new_list_field(canonical::arrow_type(element), true));
    let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets));
    let list = ListArray::try_new(field, offsets, values, array.nulls().cloned());
    Ok(Arc::new(list.map_err(|error| (0, error.to_string()))?))
}

/// Appends the packed elements of one list, in the layout of [`littoral_model::row_body`].
pub(crate) fn pack(list: &ListArray, row: usize, element: ValueType, out: &mut Vec<u8>) {
    let (start, end) = (list.value_offsets()[row] as usize, list.value_offsets()[row + 1] as usize);
    let values = list.values();
    macro_rules! numbers {
        ($type:ty) => {
            for value in &values.as_primitive::<$type>().values()[start..end] {
                out.extend_from_slice(&value.to_le_bytes());
            }
        };
    }
    macro_rules! texts {
        ($values:expr, $bytes:expr) => {
            for index in start..end {
                let bytes: &[u8] = $bytes($values.value(index));
                out.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
                out.extend_from_slice(bytes);
            }
        };
    }
    match element {
        ValueType::Bool => {
            let values = values.as_boolean();
            out.extend((start..end).map(|index| u8::from(values.value(index))));
        }
        ValueType::Int32 => numbers!(Int32Type),
        ValueType::Float => numbers!(Float32Type),
        ValueType::Double => numbers!(Float64Type),
        ValueType::String => texts!(values.as_string::<i32>(), str::as_bytes),
        ValueType::Bytes => texts!(values.as_binary::<i32>(), std::convert::identity),
        _ => numbers!(Int64Type),
    }
}
