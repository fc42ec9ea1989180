//! Validates what a guest has returned.
//!
//! The sandbox has already lifted the values out of the guest's memory: they have the types of the WIT package, text is
//! UTF-8, and the total size is bounded. Everything else is untrusted: how many columns and values there are, their
//! statuses, and the content of names and text.

pub use crate::bindings::v0_2::types::{
    Column as GuestColumn, ColumnData, Field, Input, JoinKeyAlias, Manifest, Status, TransformError, ValueType,
};

use crate::{
    manifest as declared,
    version::{V0_2, Version},
};
use littoral_model::{column::Column, module::ModuleManifest, ports::ModuleError};
use std::sync::Arc;

/// Returns the columns if they are what the module declares: the number of columns, their types, and a value and a
/// status for each of `rows` rows.
///
/// # Errors
/// [`ModuleError::WrongShape`], with what is wrong.
pub fn columns(
    returned: Vec<GuestColumn>,
    manifest: &ModuleManifest,
    rows: usize,
    module: &Arc<str>,
) -> Result<Vec<Column>, ModuleError> {
    columns_of::<V0_2>(returned, manifest, rows, module)
}

/// Like [`columns`], for columns of any version.
pub(crate) fn columns_of<V: Version>(
    returned: Vec<V::Column>,
    manifest: &ModuleManifest,
    rows: usize,
    module: &Arc<str>,
) -> Result<Vec<Column>, ModuleError> {
    let wrong = |reason: String| ModuleError::WrongShape { module: module.to_string(), reason };
    if returned.len() != manifest.outputs.len() {
        return Err(wrong(format!("{} columns, but {} outputs are declared", returned.len(), manifest.outputs.len())));
    }
    let columns: Vec<Column> = returned.into_iter().map(V::from_guest).collect();
    for (column, output) in columns.iter().zip(&manifest.outputs) {
        let name = &output.name;
        if column.data.value_type() != output.value_type {
            let got = column.data.value_type();
            return Err(wrong(format!(
                "output '{name}' is declared as {}, but the guest returned {got}",
                output.value_type
            )));
        }
        if column.data.len() != rows || column.statuses.len() != rows {
            let (values, statuses) = (column.data.len(), column.statuses.len());
            return Err(wrong(format!(
                "output '{name}' has {values} values and {statuses} statuses, but the call has {rows} rows"
            )));
        }
    }
    Ok(columns)
}

/// Converts the declaration. Its names are checked when it enters the catalogue.
///
/// # Errors
/// [`ModuleError::Rejected`] if it declares too much.
pub fn manifest(returned: Manifest) -> Result<ModuleManifest, ModuleError> {
    declared::from_guest(returned).map_err(ModuleError::Rejected)
}

/// Returns the guest's own report that it cannot compute, in one bounded line.
#[must_use]
pub fn report(returned: TransformError, module: &Arc<str>) -> ModuleError {
    V0_2::report(returned, module)
}
