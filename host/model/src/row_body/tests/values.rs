//! Generates arbitrary values of a type, or null. Also used by the tests of `littoral-columnar`.

use super::{Value, ValueType};
use proptest::prelude::*;

pub(super) fn value(value_type: ValueType) -> BoxedStrategy<Value> {
    let some = match value_type {
        ValueType::Bool => any::<bool>().prop_map(Value::Bool).boxed(),
        ValueType::Int32 => any::<i32>().prop_map(Value::Int32).boxed(),
        ValueType::Int64 => any::<i64>().prop_map(Value::Int64).boxed(),
        ValueType::Float => (-1e9f32..1e9).prop_map(Value::Float).boxed(),
        ValueType::Double => (-1e9f64..1e9).prop_map(Value::Double).boxed(),
        ValueType::String => ".{0,9}".prop_map(Value::String).boxed(),
        ValueType::Bytes => any::<Vec<u8>>().prop_map(Value::Bytes).boxed(),
        ValueType::UnixTimestamp => any::<i64>().prop_map(Value::UnixTimestamp).boxed(),
        ValueType::BoolList => any::<Vec<bool>>().prop_map(Value::BoolList).boxed(),
        ValueType::Int32List => any::<Vec<i32>>().prop_map(Value::Int32List).boxed(),
        ValueType::Int64List => any::<Vec<i64>>().prop_map(Value::Int64List).boxed(),
        ValueType::FloatList => prop::collection::vec(-1e9f32..1e9, 0..5).prop_map(Value::FloatList).boxed(),
        ValueType::DoubleList => prop::collection::vec(-1e9f64..1e9, 0..5).prop_map(Value::DoubleList).boxed(),
        ValueType::StringList => prop::collection::vec(".{0,5}", 0..5).prop_map(Value::StringList).boxed(),
        ValueType::BytesList => any::<Vec<Vec<u8>>>().prop_map(Value::BytesList).boxed(),
        ValueType::UnixTimestampList => any::<Vec<i64>>().prop_map(Value::UnixTimestampList).boxed(),
    };
    prop_oneof![1 => Just(Value::Null), 4 => some].boxed()
}
