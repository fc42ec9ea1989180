//! Feast's value types.

use littoral_model::value::ValueType;

/// Returns the value type for Feast's number (`feast.types.ValueType.Enum`).
///
/// # Errors
/// Feast's name for a type that is not supported.
pub(crate) fn value_type(number: i32) -> Result<ValueType, String> {
    Ok(match number {
        1 => ValueType::Bytes,
        2 => ValueType::String,
        3 => ValueType::Int32,
        4 => ValueType::Int64,
        5 => ValueType::Double,
        6 => ValueType::Float,
        7 => ValueType::Bool,
        8 => ValueType::UnixTimestamp,
        11 => ValueType::BytesList,
        12 => ValueType::StringList,
        13 => ValueType::Int32List,
        14 => ValueType::Int64List,
        15 => ValueType::DoubleList,
        16 => ValueType::FloatList,
        17 => ValueType::BoolList,
        18 => ValueType::UnixTimestampList,
        other => return Err(name(other)),
    })
}

fn name(number: i32) -> String {
    let known = match number {
        0 => "INVALID (not stated)",
        19 => "NULL",
        20 => "MAP",
        21 => "MAP_LIST",
        22 => "BYTES_SET",
        23 => "STRING_SET",
        24 => "INT32_SET",
        25 => "INT64_SET",
        26 => "DOUBLE_SET",
        27 => "FLOAT_SET",
        28 => "BOOL_SET",
        29 => "UNIX_TIMESTAMP_SET",
        32 => "JSON",
        33 => "JSON_LIST",
        34 => "STRUCT",
        35 => "STRUCT_LIST",
        36 => "UUID",
        37 => "TIME_UUID",
        38 => "UUID_LIST",
        39 => "TIME_UUID_LIST",
        40 => "UUID_SET",
        41 => "TIME_UUID_SET",
        42 => "VALUE_LIST",
        43 => "VALUE_SET",
        44 => "DECIMAL",
        45 => "DECIMAL_LIST",
        46 => "DECIMAL_SET",
        47 => "SCALAR_MAP",
        48 => "ZONED_TIMESTAMP",
        other => return format!("number {other}"),
    };
    known.to_owned()
}
