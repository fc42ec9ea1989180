//! One feature's values of several parts, as one.

use crate::{
    merge::MergePolicy,
    row_body::{ValueRef, list_of},
    value::{Value, ValueType},
};
use std::cmp::Ordering;

/// What the policy makes of a feature's values in a row's parts. Parts without a value do not count; without any there is none.
pub(super) fn combined<'a>(
    policy: MergePolicy,
    value_type: ValueType,
    values: impl Iterator<Item = ValueRef<'a>>,
) -> Value {
    let mut values: Vec<ValueRef<'a>> = values.filter(|value| !matches!(value, ValueRef::Null)).collect();
    if values.is_empty() {
        return Value::Null;
    }
    match (policy, value_type.element()) {
        (MergePolicy::Sum, None) => sum(value_type, &values),
        (MergePolicy::Union, Some(element)) => {
            let mut elements: Vec<ValueRef<'a>> = Vec::new();
            for value in values {
                if let ValueRef::List(list) = value {
                    elements.extend(list.iter());
                }
            }
            elements.sort_by(|a, b| order(*a, *b));
            elements.dedup_by(|a, b| order(*a, *b) == Ordering::Equal);
            list_of(element, elements.into_iter())
        }
        _ => {
            // A number that is none is neither the greatest nor the least, unless there is no other.
            if values.iter().any(|value| !is_nan(*value)) {
                values.retain(|value| !is_nan(*value));
            }
            let extreme = match policy {
                MergePolicy::Min => values.into_iter().min_by(|a, b| order(*a, *b)),
                _ => values.into_iter().max_by(|a, b| order(*a, *b)),
            };
            extreme.map_or(Value::Null, ValueRef::to_value)
        }
    }
}

/// Integers that leave their type's range stay at its end. All parts are added up before that is looked at, so that their
/// order does not matter; decimal numbers are added in the order of their size for the same reason.
fn sum(value_type: ValueType, values: &[ValueRef<'_>]) -> Value {
    let whole = || {
        let whole = values.iter().map(|value| match value {
            ValueRef::Int32(value) => i128::from(*value),
            ValueRef::Int64(value) => i128::from(*value),
            _ => 0,
        });
        whole.sum::<i128>()
    };
    let decimal = || {
        let mut decimal: Vec<f64> = values
            .iter()
            .map(|value| match value {
                ValueRef::Float(value) => f64::from(*value),
                ValueRef::Double(value) => *value,
                _ => 0.0,
            })
            .collect();
        decimal.sort_by(f64::total_cmp);
        decimal.iter().sum::<f64>()
    };
    match value_type {
        ValueType::Int32 => Value::Int32(whole().clamp(i32::MIN.into(), i32::MAX.into()) as i32),
        ValueType::Int64 => Value::Int64(whole().clamp(i64::MIN.into(), i64::MAX.into()) as i64),
        ValueType::Float => Value::Float(decimal() as f32),
        ValueType::Double => Value::Double(decimal()),
        _ => Value::Null,
    }
}

fn is_nan(value: ValueRef<'_>) -> bool {
    match value {
        ValueRef::Float(value) => value.is_nan(),
        ValueRef::Double(value) => value.is_nan(),
        _ => false,
    }
}

/// A total order of one type's values.
fn order(a: ValueRef<'_>, b: ValueRef<'_>) -> Ordering {
    match (a, b) {
        (ValueRef::Bool(a), ValueRef::Bool(b)) => a.cmp(&b),
        (ValueRef::Int32(a), ValueRef::Int32(b)) => a.cmp(&b),
        (ValueRef::Int64(a), ValueRef::Int64(b)) | (ValueRef::UnixTimestamp(a), ValueRef::UnixTimestamp(b)) => {
            a.cmp(&b)
        }
        (ValueRef::Float(a), ValueRef::Float(b)) => a.total_cmp(&b),
        (ValueRef::Double(a), ValueRef::Double(b)) => a.total_cmp(&b),
        (ValueRef::String(a), ValueRef::String(b)) => a.cmp(b),
        (ValueRef::Bytes(a), ValueRef::Bytes(b)) => a.cmp(b),
        _ => Ordering::Equal,
    }
}
