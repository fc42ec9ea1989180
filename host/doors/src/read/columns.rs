//! Where in a request a value stands that cannot be taken.

use crate::failure::Failure;
use littoral_api::code;

/// A value that is not of its column's type.
pub(super) fn wrong_value(column: &str, row: usize, reason: &str) -> Failure {
    let column: String = column.chars().take(128).collect();
    Failure::invalid(code::INVALID_ENTITY, format!("row {row}, column '{column}': {reason}"))
}
