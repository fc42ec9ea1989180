//! Columns of values, each with its status.

pub use crate::bindings::littoral::feature::types::{Column, ColumnData, Status};

/// A column of optional values: what is `None` is null.
pub(crate) fn from_options<T: Default>(values: Vec<Option<T>>, wrap: fn(Vec<T>) -> ColumnData) -> Column {
    let statuses =
        values.iter().map(|value| if value.is_some() { Status::Present } else { Status::NullValue }).collect();
    Column { data: wrap(values.into_iter().map(Option::unwrap_or_default).collect()), statuses }
}
