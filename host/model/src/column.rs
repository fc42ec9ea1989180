//! Columns: how batches of values travel to a module and back.

use crate::{
    row_body::ValueRef,
    statuses::Statuses,
    value::{Value, ValueType},
};
use serde::{Deserialize, Serialize};

/// What is known of one value in an answer. The order is the WIT package's, and Feast's as far as Feast has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Status {
    /// The value is there and within its view's TTL.
    Present,
    /// The row is there and this feature is null.
    NullValue,
    /// There is no row of this key.
    NotFound,
    /// The row is older than its view's TTL: its value is not served.
    OutsideMaxAge,
    /// This host does not hold the row and could not ask the leader for it: whether there is one is not known.
    Unknown,
}

impl Status {
    /// Its name: Feast's, as far as Feast has one.
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

/// Values of one type, one a row. Where the status is not present, the type's zero stands.
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

/// A column with the status of each of its values. `data` and `statuses` are of one length.
#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    /// The values.
    pub data: ColumnData,
    /// What is known of each.
    pub statuses: Statuses,
}

/// Hands every variant to a macro, before what else it takes. Variants and [`ValueType`]s have the same names.
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
    /// An empty column of a type, with room for `rows` values.
    #[must_use]
    pub fn with_capacity(value_type: ValueType, rows: usize) -> Self {
        macro_rules! with_capacity {
            ([$($variant:ident),+]) => {
                match value_type { $(ValueType::$variant => Self::$variant(Vec::with_capacity(rows)),)+ }
            };
        }
        with_variants!(with_capacity)
    }

    /// The type of the values.
    #[must_use]
    pub fn value_type(&self) -> ValueType {
        macro_rules! value_type {
            ([$($variant:ident),+]) => {
                match self { $(Self::$variant(_) => ValueType::$variant,)+ }
            };
        }
        with_variants!(value_type)
    }

    /// The number of values.
    #[must_use]
    pub fn len(&self) -> usize {
        with_variants!(for_each self, values => values.len())
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Moves the values of another column behind its own. Says whether it is of the same type; nothing is moved when it is not.
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

    /// Takes the values from `at` on; none when there are not so many.
    #[must_use]
    pub fn split_off(&mut self, at: usize) -> Self {
        macro_rules! split_off {
            ([$($variant:ident),+]) => {
                match self { $(Self::$variant(values) => Self::$variant(values.split_off(at.min(values.len()))),)+ }
            };
        }
        with_variants!(split_off)
    }

    /// Appends a value; the type's zero for null or for a value of another type. Says whether it was the value.
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

    /// Appends an owned value; the type's zero for null or for a value of another type. Says whether it was the value.
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

    /// Value `row`, owned; null when there is none.
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
    /// An empty column of a type, with room for `rows` values.
    #[must_use]
    pub fn with_capacity(value_type: ValueType, rows: usize) -> Self {
        Self { data: ColumnData::with_capacity(value_type, rows), statuses: Statuses::default() }
    }

    /// Appends a stored value that is within its TTL: present, or null.
    pub fn push(&mut self, value: ValueRef<'_>) {
        let present = self.data.push(value);
        self.statuses.push(if present { Status::Present } else { Status::NullValue });
    }

    /// Appends an absent value with the reason.
    pub fn push_absent(&mut self, status: Status) {
        self.data.push(ValueRef::Null);
        self.statuses.push(status);
    }

    /// Appends an owned value: present, or null.
    pub fn push_value(&mut self, value: &Value) {
        let present = self.data.push_value(value);
        self.statuses.push(if present { Status::Present } else { Status::NullValue });
    }

    /// Moves the values of another column behind its own, with their statuses. Says whether it is of the same type; nothing is
    /// moved when it is not.
    pub fn append(&mut self, other: &mut Self) -> bool {
        let same = self.data.append(&mut other.data);
        if same {
            self.statuses.append(std::mem::take(&mut other.statuses));
        }
        same
    }

    /// Lets all values go and keeps their memory.
    pub fn clear(&mut self) {
        with_variants!(for_each &mut self.data, values => values.clear());
        self.statuses = Statuses::default();
    }

    /// Takes the values from `at` on, with their statuses; none when there are not so many.
    #[must_use]
    pub fn split_off(&mut self, at: usize) -> Self {
        Self { data: self.data.split_off(at), statuses: self.statuses.split_off(at) }
    }

    /// The number of values.
    #[must_use]
    pub fn len(&self) -> usize {
        self.statuses.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.statuses.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_absent_or_of_another_type_is_the_types_zero() {
        let mut column = Column::with_capacity(ValueType::Double, 4);
        column.push(ValueRef::Double(1.5));
        column.push(ValueRef::Int64(7));
        column.push_absent(Status::OutsideMaxAge);
        column.push_value(&Value::Double(2.5));
        assert_eq!(column.data, ColumnData::Double(vec![1.5, 0.0, 0.0, 2.5]));
        assert_eq!(column.statuses, [Status::Present, Status::NullValue, Status::OutsideMaxAge, Status::Present]);
    }

    #[test]
    fn what_is_appended_comes_off_again_with_its_statuses() {
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
