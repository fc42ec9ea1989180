//! Combination of one feature's values from several parts.

use crate::{
    merge::MergePolicy,
    row_body::{ValueRef, list_of},
    value::{Value, ValueType},
};
use std::cmp::Ordering;

/// Combines a feature's values by the policy. Parts without a value do not count; without any
/// value the result is null.
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
            // NaN is neither the largest nor the smallest value, unless there is no other.
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

/// Adds up values; integers saturate at the ends of their type's range. The range is applied to
/// the total only, so the order of the parts does not matter. Floating-point numbers are added in
/// ascending order for the same reason.
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

/// Compares two values of one type in a total order.
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
