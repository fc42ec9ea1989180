//! What a guest has returned, judged before anybody relies on it.
//!
//! The sandbox has lifted the values out of the guest's memory by then: they have the types of the WIT package, text is UTF-8,
//! and all together are no more bytes than a guest may return. Everything else is as the guest pleases: how many columns and
//! values there are, which statuses stand beside them, and what names and words say.

pub use crate::bindings::v0_2::types::{
    Column as GuestColumn, ColumnData, Field, Input, JoinKeyAlias, Manifest, Status, TransformError, ValueType,
};

use crate::{
    manifest as declared,
    version::{V0_2, Version},
};
use littoral_model::{column::Column, module::ModuleManifest, ports::ModuleError};
use std::sync::Arc;

/// The columns, if they are what the module declares: as many, of those types, a value and a status for each of `rows` rows.
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

/// The same for columns of any version.
pub(crate) fn columns_of<V: Version>(
    returned: Vec<V::Column>,
    manifest: &ModuleManifest,
    rows: usize,
    module: &Arc<str>,
) -> Result<Vec<Column>, ModuleError> {
    let wrong = |reason: String| ModuleError::WrongShape { module: module.to_string(), reason };
    if returned.len() != manifest.outputs.len() {
        return Err(wrong(format!("{} columns, {} outputs are declared", returned.len(), manifest.outputs.len())));
    }
    let columns: Vec<Column> = returned.into_iter().map(V::from_guest).collect();
    for (column, output) in columns.iter().zip(&manifest.outputs) {
        let name = &output.name;
        if column.data.value_type() != output.value_type {
            let got = column.data.value_type();
            return Err(wrong(format!("output '{name}' is declared as {} and came as {got}", output.value_type)));
        }
        if column.data.len() != rows || column.statuses.len() != rows {
            let (values, statuses) = (column.data.len(), column.statuses.len());
            return Err(wrong(format!("output '{name}' has {values} values and {statuses} statuses for {rows} rows")));
        }
    }
    Ok(columns)
}

/// The declaration. What it names is checked when it enters the catalogue.
///
/// # Errors
/// [`ModuleError::Refused`], when it declares too much.
pub fn manifest(returned: Manifest) -> Result<ModuleManifest, ModuleError> {
    declared::from_guest(returned).map_err(ModuleError::Refused)
}

/// The guest's own report that it cannot compute, in one bounded line.
#[must_use]
pub fn report(returned: TransformError, module: &Arc<str>) -> ModuleError {
    V0_2::report(returned, module)
}
