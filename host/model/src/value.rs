//! Feature values and their types, which are Feast's.

use crate::event_time::EventTime;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The type of a feature, a join key, or a module's input or output.
///
/// In JSON, bytes are base64, timestamps are seconds since 1970, and numbers that are not finite are
/// "NaN", "Infinity" and "-Infinity". A NaN that is written to a float or a double becomes null.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum ValueType {
    /// True or false.
    Bool,
    /// 32-bit signed integer.
    Int32,
    /// 64-bit signed integer.
    Int64,
    /// IEEE 754 binary32 (Feast's FLOAT).
    Float,
    /// IEEE 754 binary64.
    Double,
    /// UTF-8 text.
    String,
    /// Bytes; base64 in JSON.
    Bytes,
    /// Whole seconds since 1970 (Feast's UNIX_TIMESTAMP).
    UnixTimestamp,
    /// List of `bool`.
    BoolList,
    /// List of `int32`.
    Int32List,
    /// List of `int64`.
    Int64List,
    /// List of `float`.
    FloatList,
    /// List of `double`.
    DoubleList,
    /// List of `string`.
    StringList,
    /// List of `bytes`.
    BytesList,
    /// List of `unix_timestamp`.
    UnixTimestampList,
}

impl ValueType {
    /// Every type, scalars first.
    pub const ALL: [ValueType; 16] = [
        Self::Bool,
        Self::Int32,
        Self::Int64,
        Self::Float,
        Self::Double,
        Self::String,
        Self::Bytes,
        Self::UnixTimestamp,
        Self::BoolList,
        Self::Int32List,
        Self::Int64List,
        Self::FloatList,
        Self::DoubleList,
        Self::StringList,
        Self::BytesList,
        Self::UnixTimestampList,
    ];

    /// Returns the name in configuration and in the API, such as `int64` or `string_list`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bool => "bool",
            Self::Int32 => "int32",
            Self::Int64 => "int64",
            Self::Float => "float",
            Self::Double => "double",
            Self::String => "string",
            Self::Bytes => "bytes",
            Self::UnixTimestamp => "unix_timestamp",
            Self::BoolList => "bool_list",
            Self::Int32List => "int32_list",
            Self::Int64List => "int64_list",
            Self::FloatList => "float_list",
            Self::DoubleList => "double_list",
            Self::StringList => "string_list",
            Self::BytesList => "bytes_list",
            Self::UnixTimestampList => "unix_timestamp_list",
        }
    }

    /// Returns the type of a list's elements; `None` for a scalar.
    #[must_use]
    pub const fn element(self) -> Option<ValueType> {
        Some(match self {
            Self::BoolList => Self::Bool,
            Self::Int32List => Self::Int32,
            Self::Int64List => Self::Int64,
            Self::FloatList => Self::Float,
            Self::DoubleList => Self::Double,
            Self::StringList => Self::String,
            Self::BytesList => Self::Bytes,
            Self::UnixTimestampList => Self::UnixTimestamp,
            _ => return None,
        })
    }

    /// Returns whether all values have one fixed size, unlike strings, bytes and lists.
    #[must_use]
    pub const fn is_fixed_size(self) -> bool {
        self.element().is_none() && !matches!(self, Self::String | Self::Bytes)
    }

    /// Returns whether a join key may have this type (Feast's entity key types).
    #[must_use]
    pub const fn is_key(self) -> bool {
        matches!(self, Self::Int32 | Self::Int64 | Self::String | Self::Bytes | Self::UnixTimestamp)
    }
}

impl fmt::Display for ValueType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One owned value. As in Feast, lists contain no nulls.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Value {
    /// No value.
    Null,
    /// See [`ValueType::Bool`].
    Bool(bool),
    /// See [`ValueType::Int32`].
    Int32(i32),
    /// See [`ValueType::Int64`].
    Int64(i64),
    /// See [`ValueType::Float`].
    Float(f32),
    /// See [`ValueType::Double`].
    Double(f64),
    /// See [`ValueType::String`].
    String(String),
    /// See [`ValueType::Bytes`].
    Bytes(Vec<u8>),
    /// Whole seconds since 1970.
    UnixTimestamp(i64),
    /// See [`ValueType::BoolList`].
    BoolList(Vec<bool>),
    /// See [`ValueType::Int32List`].
    Int32List(Vec<i32>),
    /// See [`ValueType::Int64List`].
    Int64List(Vec<i64>),
    /// See [`ValueType::FloatList`].
    FloatList(Vec<f32>),
    /// See [`ValueType::DoubleList`].
    DoubleList(Vec<f64>),
    /// See [`ValueType::StringList`].
    StringList(Vec<String>),
    /// See [`ValueType::BytesList`].
    BytesList(Vec<Vec<u8>>),
    /// Whole seconds since 1970, each.
    UnixTimestampList(Vec<i64>),
}

impl Value {
    /// Returns the value's type; `None` for null, which belongs to every type.
    #[must_use]
    pub fn value_type(&self) -> Option<ValueType> {
        Some(match self {
            Self::Null => return None,
            Self::Bool(_) => ValueType::Bool,
            Self::Int32(_) => ValueType::Int32,
            Self::Int64(_) => ValueType::Int64,
            Self::Float(_) => ValueType::Float,
            Self::Double(_) => ValueType::Double,
            Self::String(_) => ValueType::String,
            Self::Bytes(_) => ValueType::Bytes,
            Self::UnixTimestamp(_) => ValueType::UnixTimestamp,
            Self::BoolList(_) => ValueType::BoolList,
            Self::Int32List(_) => ValueType::Int32List,
            Self::Int64List(_) => ValueType::Int64List,
            Self::FloatList(_) => ValueType::FloatList,
            Self::DoubleList(_) => ValueType::DoubleList,
            Self::StringList(_) => ValueType::StringList,
            Self::BytesList(_) => ValueType::BytesList,
            Self::UnixTimestampList(_) => ValueType::UnixTimestampList,
        })
    }

    /// Converts an event time to a timestamp value, rounded down to whole seconds.
    #[must_use]
    pub fn from_event_time(time: EventTime) -> Self {
        Self::UnixTimestamp(time.0.div_euclid(1_000_000_000))
    }
}
