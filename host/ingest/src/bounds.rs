//! Bounds on the rows that are read and sent at once, so that memory is bounded in bytes, however large the rows are.
//!
//! A Parquet file of a few kilobytes may expand to gigabytes, because it stores a text that many rows use, or the equal
//! elements of a list, only once. Texts and bytes are therefore read as Arrow views, which share what is stored once.
//! For other types, the file's metadata determines how many rows are read at once. The rows that were read are then
//! split into *runs* by the size that they have when they are sent, without sharing.

use arrow_array::{Array, ArrayRef, RecordBatch, cast::AsArray as _};
use arrow_schema::{DataType, Field, FieldRef, Fields, Schema, SchemaRef};
use parquet::{
    basic::{Encoding, Type as Physical},
    file::metadata::{ColumnChunkMetaData, ParquetMetaData, RowGroupMetaData},
};
use std::{ops::Range, sync::Arc};

/// The approximate size of a batch's rows in bytes.
pub(crate) const BATCH_BYTES: usize = 16 << 20;

/// The number of rows that are read at once if the file stores texts as differences from their predecessors and does
/// not state their lengths. A few bytes may then represent a long text.
const DIFFERENCES_ROWS: usize = 8;

/// Returns how many rows of these root columns to read at once: 1 to `rows_max`.
pub(crate) fn batch_rows(metadata: &ParquetMetaData, columns: &[usize], rows_max: usize) -> usize {
    let groups = metadata.row_groups().iter();
    groups.map(|group| group_rows(group, columns)).min().unwrap_or(rows_max).clamp(1, rows_max)
}

fn group_rows(group: &RowGroupMetaData, columns: &[usize]) -> usize {
    let read = |at: &usize| columns.contains(&group.schema_descr().get_column_root_idx(*at));
    let read = (0..group.num_columns()).filter(read).map(|at| group.column(at));
    let (mut bytes, mut rows) = (0, usize::MAX);
    for column in read {
        bytes += chunk_bytes(column);
        let has_differences = column.encodings().any(|encoding| encoding == Encoding::DELTA_BYTE_ARRAY);
        if has_differences && column.unencoded_byte_array_data_bytes().is_none() {
            rows = DIFFERENCES_ROWS;
        }
    }
    let per_row = bytes / usize::try_from(group.num_rows()).unwrap_or(0).max(1);
    rows.min(BATCH_BYTES / per_row.max(1))
}

/// Returns the size in memory of a row group's column, in bytes, as far as the metadata states it.
fn chunk_bytes(column: &ColumnChunkMetaData) -> usize {
    let width = match column.column_type() {
        Physical::BOOLEAN => 1,
        Physical::INT32 | Physical::FLOAT => 4,
        Physical::INT64 | Physical::DOUBLE | Physical::INT96 => 8,
        // An Arrow view has 16 bytes, however long the text. The texts themselves are counted below, by their stored
        // size.
        Physical::BYTE_ARRAY => 16,
        Physical::FIXED_LEN_BYTE_ARRAY => usize::try_from(column.column_descr().type_length()).unwrap_or(0),
    };
    let size = |bytes: i64| usize::try_from(bytes).unwrap_or(0);
    let values = size(column.num_values()).saturating_mul(width);
    let stored = size(column.uncompressed_size());
    values.max(stored).max(size(column.unencoded_byte_array_data_bytes().unwrap_or(0)))
}

/// Returns the schema with texts and bytes as views.
pub(crate) fn as_views(schema: &Schema) -> SchemaRef {
    let fields: Fields = schema.fields().iter().map(field_as_view).collect();
    Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone()))
}

fn field_as_view(field: &FieldRef) -> FieldRef {
    let data_type = match field.data_type() {
        DataType::Utf8 | DataType::LargeUtf8 => DataType::Utf8View,
        DataType::Binary | DataType::LargeBinary => DataType::BinaryView,
        DataType::List(element) => DataType::List(field_as_view(element)),
        DataType::LargeList(element) => DataType::LargeList(field_as_view(element)),
        _ => return field.clone(),
    };
    Arc::new(Field::clone(field).with_data_type(data_type))
}

/// Splits a batch's rows into runs of at most about `bytes_max` bytes, each of at least one row.
pub(crate) fn runs(batch: &RecordBatch, bytes_max: usize) -> Vec<Range<usize>> {
    let mut bytes = vec![0; batch.num_rows()];
    batch.columns().iter().for_each(|column| add_bytes(column, &mut bytes));
    let mut runs = Vec::new();
    let (mut start, mut sum) = (0, 0_usize);
    for (row, bytes) in bytes.iter().enumerate() {
        if row > start && sum.saturating_add(*bytes) > bytes_max {
            runs.push(start..row);
            (start, sum) = (row, 0);
        }
        sum = sum.saturating_add(*bytes);
    }
    if start < bytes.len() {
        runs.push(start..bytes.len());
    }
    runs
}

/// Adds the size of each value of a column, without sharing.
fn add_bytes(column: &ArrayRef, bytes: &mut [usize]) {
    macro_rules! each {
        ($len:expr) => {
            for (row, bytes) in bytes.iter_mut().enumerate() {
                *bytes = bytes.saturating_add($len(row));
            }
        };
    }
    match column.data_type() {
        DataType::Utf8View => each!(|row| length(column.as_string_view().views()[row])),
        DataType::BinaryView => each!(|row| length(column.as_binary_view().views()[row])),
        DataType::Utf8 => each!(|row| column.as_string::<i32>().value_length(row) as usize),
        DataType::LargeUtf8 => each!(|row| column.as_string::<i64>().value_length(row) as usize),
        DataType::Binary => each!(|row| column.as_binary::<i32>().value_length(row) as usize),
        DataType::LargeBinary => each!(|row| column.as_binary::<i64>().value_length(row) as usize),
        DataType::Dictionary(..) => {
            let dictionary = column.as_any_dictionary();
            let mut of_values = vec![0; dictionary.values().len()];
            add_bytes(dictionary.values(), &mut of_values);
            if of_values.is_empty() {
                return;
            }
            let keys = dictionary.normalized_keys();
            each!(|row: usize| of_values.get(keys[row]).copied().unwrap_or(0));
        }
        DataType::List(_) => {
            let list = column.as_list::<i32>();
            let sums = sums(list.values());
            each!(|row: usize| sums[list.value_offsets()[row + 1] as usize] - sums[list.value_offsets()[row] as usize]);
        }
        DataType::LargeList(_) => {
            let list = column.as_list::<i64>();
            let sums = sums(list.values());
            each!(|row: usize| sums[list.value_offsets()[row + 1] as usize] - sums[list.value_offsets()[row] as usize]);
        }
        DataType::FixedSizeList(_, len) => {
            let len = usize::try_from(*len).unwrap_or(0);
            let list = column.as_fixed_size_list();
            let sums = sums(list.values());
            each!(|row: usize| sums[(row + 1) * len] - sums[row * len]);
        }
        other => {
            let width = other.primitive_width().unwrap_or(16);
            each!(|_| width);
        }
    }
}

/// Returns the total size of the elements before each element, and of all.
fn sums(elements: &ArrayRef) -> Vec<usize> {
    let mut bytes = vec![0; elements.len()];
    add_bytes(elements, &mut bytes);
    let mut sum = 0_usize;
    let mut sums = Vec::with_capacity(bytes.len() + 1);
    sums.push(0);
    for len in bytes {
        sum = sum.saturating_add(len);
        sums.push(sum);
    }
    sums
}

/// Returns the length of a view's value: its lowest 32 bits.
fn length(view: u128) -> usize {
    view as u32 as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::{
        DictionaryArray, Int64Array, StringArray, StringViewArray,
        builder::{ListBuilder, StringViewBuilder},
        types::Int32Type,
    };

    fn batch(column: ArrayRef) -> RecordBatch {
        RecordBatch::try_from_iter([("c", column)]).unwrap()
    }

    #[test]
    fn rows_go_together_until_their_bytes_are_too_many() {
        let texts = |lengths: &[usize]| lengths.iter().map(|len| "x".repeat(*len)).collect::<Vec<_>>();
        let lengths = [4, 4, 4, 40, 1, 9, 1];
        let expected = [0..2, 2..3, 3..4, 4..6, 6..7];
        let columns: [ArrayRef; 3] = [
            Arc::new(StringViewArray::from_iter_values(texts(&lengths))),
            Arc::new(StringArray::from_iter_values(texts(&lengths))),
            Arc::new(texts(&lengths).iter().map(|text| Some(text.as_str())).collect::<DictionaryArray<Int32Type>>()),
        ];
        for column in columns {
            assert_eq!(runs(&batch(column.clone()), 10), expected, "{:?}", column.data_type());
        }
        assert_eq!(runs(&batch(Arc::new(Int64Array::from_value(1, 5))), 16), [0..2, 2..4, 4..5]);
        assert_eq!(runs(&batch(Arc::new(Int64Array::from_value(1, 0))), 16), Vec::<std::ops::Range<usize>>::new());
    }

    #[test]
    fn lists_count_their_elements() {
        let mut lists = ListBuilder::new(StringViewBuilder::new());
        for texts in [&["xxxx", "xxxx"][..], &[], &["xxxxxxxx"], &["x"]] {
            texts.iter().for_each(|text| lists.values().append_value(text));
            lists.append(true);
        }
        let column: ArrayRef = Arc::new(lists.finish());
        assert_eq!(runs(&batch(column.clone()), 8), [0..2, 2..3, 3..4]);
        assert_eq!(runs(&batch(column.slice(1, 3)), 8), [0..2, 2..3], "a part of a column counts its own elements");
    }
}
