//! Typed access to one column's values, row by row, without looking up the type of each value.

use crate::lists;
use arrow_array::{
    Array, ArrayRef, BinaryArray, BooleanArray, ListArray, StringArray,
    cast::AsArray as _,
    types::{Float32Type, Float64Type, Int32Type, Int64Type},
};
use arrow_buffer::NullBuffer;
use littoral_model::{row_body::BodyBuilder, value::ValueType};

/// The values of a canonical column.
pub(crate) enum Values<'a> {
    Bool(&'a BooleanArray),
    Int32(&'a [i32]),
    Int64(&'a [i64]),
    Float(&'a [f32]),
    Double(&'a [f64]),
    String(&'a StringArray),
    Bytes(&'a BinaryArray),
    List(&'a ListArray, ValueType),
}

/// A canonical column.
pub(crate) struct Cells<'a> {
    nulls: Option<&'a NullBuffer>,
    pub(crate) values: Values<'a>,
}

impl<'a> Cells<'a> {
    /// Wraps `array`, which [`crate::canonical::canonical`] has converted for this type.
    pub(crate) fn new(array: &'a ArrayRef, value_type: ValueType) -> Self {
        let values = match value_type {
            ValueType::Bool => Values::Bool(array.as_boolean()),
            ValueType::Int32 => Values::Int32(array.as_primitive::<Int32Type>().values()),
            ValueType::Int64 | ValueType::UnixTimestamp => Values::Int64(array.as_primitive::<Int64Type>().values()),
            ValueType::Float => Values::Float(array.as_primitive::<Float32Type>().values()),
            ValueType::Double => Values::Double(array.as_primitive::<Float64Type>().values()),
            ValueType::String => Values::String(array.as_string()),
            ValueType::Bytes => Values::Bytes(array.as_binary()),
            list => Values::List(array.as_list(), list.element().unwrap_or(ValueType::Int64)),
        };
        Self { nulls: array.nulls().filter(|nulls| nulls.null_count() > 0), values }
    }

    /// Appends the value of row `row` to a packed row.
    #[inline]
    pub(crate) fn push(&self, row: usize, body: &mut BodyBuilder, scratch: &mut Vec<u8>) {
        if self.nulls.is_some_and(|nulls| nulls.is_null(row)) {
            return body.push_null();
        }
        match &self.values {
            Values::Bool(values) => body.push_bool(values.value(row)),
            Values::Int32(values) => body.push_i32(values[row]),
            Values::Int64(values) => body.push_i64(values[row]),
            Values::Float(values) => body.push_f32(values[row]),
            Values::Double(values) => body.push_f64(values[row]),
            Values::String(values) => body.push_bytes(values.value(row).as_bytes()),
            Values::Bytes(values) => body.push_bytes(values.value(row)),
            Values::List(values, element) => {
                scratch.clear();
                lists::pack(values, row, *element, scratch);
                body.push_bytes(scratch);
            }
        }
    }
}
