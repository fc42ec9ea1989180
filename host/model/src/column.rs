//! Columns: batches of values on their way to a module and back.

use crate::{
    row_body::ValueRef,
    statuses::Statuses,
    value::{Value, ValueType},
};
use serde::{Deserialize, Serialize};

/// What is known about one value in an answer. The order follows the WIT package, and Feast where
/// Feast has the status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "ValueStatus"))]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Status {
    /// The value exists and is within its view's TTL.
    Present,
    /// The row exists and this feature is null.
    NullValue,
    /// No row has this key.
    NotFound,
    /// The row is older than its view's TTL, so its value is not served.
    OutsideMaxAge,
    /// This node does not hold the row and could not fetch it from the leader, so whether the row
    /// exists is unknown.
    Unknown,
}

impl Status {
    /// Returns the status's name, which is Feast's where Feast has the status.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Present => "PRESENT",
            Self::NullValue => "NULL_VALUE",
            Self::NotFound => "NOT_FOUND",
            Self::OutsideMaxAge => "OUTSIDE_MAX_AGE",
            Self::Unknown => "UNKNOWN",
        }
    }
}

/// Values of one type, one per row. A row whose status is not `Present` holds the type's zero.
#[derive(Clone, Debug, PartialEq)]
pub enum ColumnData {
    /// See [`ValueType::Bool`].
    Bool(Vec<bool>),
    /// See [`ValueType::Int32`].
    Int32(Vec<i32>),
    /// See [`ValueType::Int64`].
    Int64(Vec<i64>),
    /// See [`ValueType::Float`].
    Float(Vec<f32>),
    /// See [`ValueType::Double`].
    Double(Vec<f64>),
    /// See [`ValueType::String`].
    String(Vec<String>),
    /// See [`ValueType::Bytes`].
    Bytes(Vec<Vec<u8>>),
    /// Whole seconds since 1970.
    UnixTimestamp(Vec<i64>),
    /// See [`ValueType::BoolList`].
    BoolList(Vec<Vec<bool>>),
    /// See [`ValueType::Int32List`].
    Int32List(Vec<Vec<i32>>),
    /// See [`ValueType::Int64List`].
    Int64List(Vec<Vec<i64>>),
    /// See [`ValueType::FloatList`].
    FloatList(Vec<Vec<f32>>),
    /// See [`ValueType::DoubleList`].
    DoubleList(Vec<Vec<f64>>),
    /// See [`ValueType::StringList`].
    StringList(Vec<Vec<String>>),
    /// See [`ValueType::BytesList`].
    BytesList(Vec<Vec<Vec<u8>>>),
    /// Whole seconds since 1970, each.
    UnixTimestampList(Vec<Vec<i64>>),
}

/// A column with the status of each value. `data` and `statuses` have the same length.
#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    /// The values.
    pub data: ColumnData,
    /// The status of each value.
    pub statuses: Statuses,
}

/// Passes all variants to a macro, followed by the given arguments. Variants have the same names
/// as [`ValueType`]s.
macro_rules! with_variants {
    ($made:ident $($with:tt)*) => {
        $made!(
            [
                Bool,
                Int32,
                Int64,
                Float,
                Double,
                String,
                Bytes,
                UnixTimestamp,
                BoolList,
                Int32List,
                Int64List,
                FloatList,
                DoubleList,
                StringList,
                BytesList,
                UnixTimestampList
            ]
            $($with)*
        )
    };
}

macro_rules! for_each {
    ([$($variant:ident),+] $column:expr, $values:ident => $body:expr) => {
        match $column { $(ColumnData::$variant($values) => $body,)+ }
    };
}

macro_rules! push_or_zero {
    ($values:expr, $value:expr, $($pattern:pat => $out:expr),+) => {
        match $value { $($pattern => { $values.push($out); true })+ _ => { $values.push(Default::default()); false } }
    };
}

impl ColumnData {
    /// Creates an empty column with room for `rows` values.
    #[must_use]
    pub fn with_capacity(value_type: ValueType, rows: usize) -> Self {
        macro_rules! with_capacity {
            ([$($variant:ident),+]) => {
                match value_type { $(ValueType::$variant => Self::$variant(Vec::with_capacity(rows)),)+ }
            };
        }
        with_variants!(with_capacity)
    }

    /// Returns the type of the values.
    #[must_use]
    pub fn value_type(&self) -> ValueType {
        macro_rules! value_type {
            ([$($variant:ident),+]) => {
                match self { $(Self::$variant(_) => ValueType::$variant,)+ }
            };
        }
        with_variants!(value_type)
    }

    /// Returns the number of values.
    #[must_use]
    pub fn len(&self) -> usize {
        with_variants!(for_each self, values => values.len())
    }

    /// Returns whether the column is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Moves the values of `other` to the end of this column. Returns whether the types match; if
    /// they do not, nothing moves.
    pub fn append(&mut self, other: &mut Self) -> bool {
        macro_rules! append {
            ([$($variant:ident),+]) => {
                match (self, other) {
                    $((Self::$variant(values), Self::$variant(others)) => { values.append(others); true })+
                    _ => false,
                }
            };
        }
        with_variants!(append)
    }

    /// Splits off the values from index `at` on. Returns an empty column if there are fewer.
    #[must_use]
    pub fn split_off(&mut self, at: usize) -> Self {
        macro_rules! split_off {
            ([$($variant:ident),+]) => {
                match self { $(Self::$variant(values) => Self::$variant(values.split_off(at.min(values.len()))),)+ }
            };
        }
        with_variants!(split_off)
    }

    /// Appends a value, or the type's zero for null and for a value of another type. Returns
    /// whether the value itself was appended.
    pub fn push(&mut self, value: ValueRef<'_>) -> bool {
        if let ValueRef::List(_) = value {
            return self.push_value(&value.to_value());
        }
        match self {
            Self::Bool(values) => push_or_zero!(values, value, ValueRef::Bool(v) => v),
            Self::Int32(values) => push_or_zero!(values, value, ValueRef::Int32(v) => v),
            Self::Int64(values) => push_or_zero!(values, value, ValueRef::Int64(v) => v),
            Self::Float(values) => push_or_zero!(values, value, ValueRef::Float(v) => v),
            Self::Double(values) => push_or_zero!(values, value, ValueRef::Double(v) => v),
            Self::String(values) => push_or_zero!(values, value, ValueRef::String(v) => v.to_owned()),
            Self::Bytes(values) => push_or_zero!(values, value, ValueRef::Bytes(v) => v.to_owned()),
            Self::UnixTimestamp(values) => push_or_zero!(values, value, ValueRef::UnixTimestamp(v) => v),
            lists => lists.push_value(&Value::Null),
        }
    }

    /// Appends an owned value, or the type's zero for null and for a value of another type.
    /// Returns whether the value itself was appended.
    pub fn push_value(&mut self, value: &Value) -> bool {
        match self {
            Self::Bool(values) => push_or_zero!(values, value, Value::Bool(v) => *v),
            Self::Int32(values) => push_or_zero!(values, value, Value::Int32(v) => *v),
            Self::Int64(values) => push_or_zero!(values, value, Value::Int64(v) => *v),
            Self::Float(values) => push_or_zero!(values, value, Value::Float(v) => *v),
            Self::Double(values) => push_or_zero!(values, value, Value::Double(v) => *v),
            Self::String(values) => push_or_zero!(values, value, Value::String(v) => v.clone()),
            Self::Bytes(values) => push_or_zero!(values, value, Value::Bytes(v) => v.clone()),
            Self::UnixTimestamp(values) => push_or_zero!(values, value, Value::UnixTimestamp(v) => *v),
            Self::BoolList(values) => push_or_zero!(values, value, Value::BoolList(v) => v.clone()),
            Self::Int32List(values) => push_or_zero!(values, value, Value::Int32List(v) => v.clone()),
            Self::Int64List(values) => push_or_zero!(values, value, Value::Int64List(v) => v.clone()),
            Self::FloatList(values) => push_or_zero!(values, value, Value::FloatList(v) => v.clone()),
            Self::DoubleList(values) => push_or_zero!(values, value, Value::DoubleList(v) => v.clone()),
            Self::StringList(values) => push_or_zero!(values, value, Value::StringList(v) => v.clone()),
            Self::BytesList(values) => push_or_zero!(values, value, Value::BytesList(v) => v.clone()),
            Self::UnixTimestampList(values) => push_or_zero!(values, value, Value::UnixTimestampList(v) => v.clone()),
        }
    }

    /// Returns a copy of the value at `row`; null when out of range.
    #[must_use]
    pub fn value(&self, row: usize) -> Value {
        macro_rules! at {
            ([$($variant:ident),+]) => {
                match self { $(Self::$variant(values) => values.get(row).cloned().map_or(Value::Null, Value::$variant),)+ }
            };
        }
        with_variants!(at)
    }
}

impl Column {
    /// Creates an empty column with room for `rows` values.
    #[must_use]
    pub fn with_capacity(value_type: ValueType, rows: usize) -> Self {
        Self { data: ColumnData::with_capacity(value_type, rows), statuses: Statuses::default() }
    }

    /// Appends a stored value that is within its TTL, with the status `Present` or `NullValue`.
    pub fn push(&mut self, value: ValueRef<'_>) {
        let present = self.data.push(value);
        self.statuses.push(if present { Status::Present } else { Status::NullValue });
    }

    /// Appends a placeholder for an absent value, with its status.
    pub fn push_absent(&mut self, status: Status) {
        self.data.push(ValueRef::Null);
        self.statuses.push(status);
    }

    /// Appends an owned value, with the status `Present` or `NullValue`.
    pub fn push_value(&mut self, value: &Value) {
        let present = self.data.push_value(value);
        self.statuses.push(if present { Status::Present } else { Status::NullValue });
    }

    /// Moves the values and statuses of `other` to the end of this column. Returns whether the
    /// types match; if they do not, nothing moves.
    pub fn append(&mut self, other: &mut Self) -> bool {
        let same = self.data.append(&mut other.data);
        if same {
            self.statuses.append(std::mem::take(&mut other.statuses));
        }
        same
    }

    /// Removes all values and keeps the allocated memory.
    pub fn clear(&mut self) {
        with_variants!(for_each &mut self.data, values => values.clear());
        self.statuses = Statuses::default();
    }

    /// Splits off the values and statuses from index `at` on. Returns an empty column if there are
    /// fewer.
    #[must_use]
    pub fn split_off(&mut self, at: usize) -> Self {
        Self { data: self.data.split_off(at), statuses: self.statuses.split_off(at) }
    }

    /// Returns the number of values.
    #[must_use]
    pub fn len(&self) -> usize {
        self.statuses.len()
    }

    /// Returns whether the column is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.statuses.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absent_and_mistyped_values_become_the_types_zero() {
        let mut column = Column::with_capacity(ValueType::Double, 4);
        column.push(ValueRef::Double(1.5));
        column.push(ValueRef::Int64(7));
        column.push_absent(Status::OutsideMaxAge);
        column.push_value(&Value::Double(2.5));
        assert_eq!(column.data, ColumnData::Double(vec![1.5, 0.0, 0.0, 2.5]));
        assert_eq!(column.statuses, [Status::Present, Status::NullValue, Status::OutsideMaxAge, Status::Present]);
    }

    #[test]
    fn split_off_undoes_append() {
        let text = |values: &[&str], absent: bool| {
            let mut column = Column::with_capacity(ValueType::String, values.len());
            values.iter().for_each(|value| column.push(ValueRef::String(value)));
            absent.then(|| column.push_absent(Status::NotFound));
            column
        };
        for first_absent in [false, true] {
            for second_absent in [false, true] {
                let (first, second) = (text(&["a", "b"], first_absent), text(&["c"], second_absent));
                let mut column = first.clone();
                let mut further = second.clone();
                assert!(column.append(&mut further) && further.is_empty() && further.data.is_empty());
                assert_eq!(column.len(), first.len() + second.len());
                assert_eq!(column.split_off(first.len()), second);
                assert_eq!(column, first);
                assert!(column.split_off(9).is_empty());
            }
        }
        let mut column = text(&["a"], false);
        assert!(!column.append(&mut Column::with_capacity(ValueType::Bytes, 0)));
        assert_eq!(column, text(&["a"], false));
        column.clear();
        assert_eq!(column, text(&[], false));
    }
}
