//! Columns of text and bytes, and the expansion of dictionaries, which is bounded because a few
//! bytes can represent very many values.

use crate::{canonical::CellError, sources::for_each};
use arrow_array::{Array, ArrayRef, BinaryArray, StringArray, cast::AsArray as _, new_null_array};
use arrow_schema::DataType;
use littoral_model::convert;
use std::sync::Arc;

/// The size counted for a value of fixed width.
const FIXED_LEN: usize = 32;

/// Checks that lengths add up to at most `bytes_max`. A short dictionary can represent more bytes
/// than the machine has.
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

/// Checks that a column of `rows` values of a fixed width fits `bytes_max`.
pub(crate) fn check_len(rows: usize, width: usize, bytes_max: usize) -> Result<(), CellError> {
    match rows.saturating_mul(width) > bytes_max {
        true => Err((0, format!("the column expands to more than {bytes_max} bytes; send smaller batches"))),
        false => Ok(()),
    }
}

/// Expands a dictionary column; returns other columns unchanged.
pub(crate) fn expand(array: &ArrayRef, bytes_max: usize) -> Result<ArrayRef, CellError> {
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

fn len_of(values: &ArrayRef, index: usize) -> usize {
    match values.data_type() {
        DataType::Utf8 => values.as_string::<i32>().value_length(index) as usize,
        DataType::LargeUtf8 => values.as_string::<i64>().value_length(index) as usize,
        DataType::Utf8View => values.as_string_view().value(index).len(),
        DataType::Binary => values.as_binary::<i32>().value_length(index) as usize,
        DataType::LargeBinary => values.as_binary::<i64>().value_length(index) as usize,
        DataType::BinaryView => values.as_binary_view().value(index).len(),
        DataType::FixedSizeBinary(_) => values.as_fixed_size_binary().value_length() as usize,
        _ => FIXED_LEN,
    }
}

/// Converts text to `Utf8`.
pub(crate) fn strings(array: &ArrayRef, bytes_max: usize) -> Result<ArrayRef, CellError> {
    if *array.data_type() == DataType::Utf8 {
        return Ok(Arc::clone(array));
    }
    let mut texts = Vec::with_capacity(array.len());
    for_each(array, |source| convert::string(&source).map(|text| texts.push(text)))?;
    check_expansion(texts.iter().map(|text| text.as_ref().map_or(0, |text| text.len())), bytes_max)?;
    Ok(Arc::new(StringArray::from_iter(texts)))
}

/// Converts bytes to `Binary`.
pub(crate) fn binaries(array: &ArrayRef, bytes_max: usize) -> Result<ArrayRef, CellError> {
    if *array.data_type() == DataType::Binary {
        return Ok(Arc::clone(array));
    }
    let mut values = Vec::with_capacity(array.len());
    for_each(array, |source| convert::bytes(&source).map(|value| values.push(value)))?;
    check_expansion(values.iter().map(|value| value.map_or(0, <[u8]>::len)), bytes_max)?;
    Ok(Arc::new(BinaryArray::from_iter(values)))
}
