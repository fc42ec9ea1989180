//! List columns: one layout for the three that Arrow has, and their bytes in a packed row.

use crate::canonical::{self, CellError};
use arrow_array::{
    Array, ArrayRef, ListArray,
    cast::AsArray as _,
    new_empty_array,
    types::{Float32Type, Float64Type, Int32Type, Int64Type},
};
use arrow_buffer::{OffsetBuffer, ScalarBuffer};
use arrow_schema::{DataType, Field};
use littoral_model::value::ValueType;
use std::sync::Arc;

const NULL_ELEMENT: &str = "a list holds a null element, which lists of features cannot";

/// Brings a list column into `List` of the element's own Arrow type. Elements must not be null.
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
    if *values.data_type() == DataType::Null {
        let holds_some = |row: &usize| array.is_valid(*row) && offsets[*row] < offsets[*row + 1];
        // However many elements they claim to have, nothing is made of them.
        return match (0..array.len()).find(holds_some) {
            Some(row) => Err((row, NULL_ELEMENT.to_owned())),
            None => list_of(element, vec![0; offsets.len()], new_empty_array(&canonical::arrow_type(element)), array),
        };
    }
    let row_of = |index: usize| offsets.partition_point(|offset| *offset as usize <= index).saturating_sub(1);
    let values = canonical::canonical(values, element, bytes_max).map_err(|(index, why)| (row_of(index), why))?;
    if values.null_count() > 0 {
        for row in (0..array.len()).filter(|row| array.is_valid(*row)) {
            if (offsets[row] as usize..offsets[row + 1] as usize).any(|index| values.is_null(index)) {
                return Err((row, NULL_ELEMENT.to_owned()));
            }
        }
    }
    list_of(element, offsets, values, array)
}

/// Lists of these values, null where `array` is.
fn list_of(element: ValueType, offsets: Vec<i32>, values: ArrayRef, array: &ArrayRef) -> Result<ArrayRef, CellError> {
    let field = Arc::new(Field::new_list_field(canonical::arrow_type(element), true));
    let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets));
    let list = ListArray::try_new(field, offsets, values, array.nulls().cloned());
    Ok(Arc::new(list.map_err(|error| (0, error.to_string()))?))
}

/// Appends the packed elements of one list, as [`littoral_model::row_body`] lays them out.
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
