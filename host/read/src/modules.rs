//! Calls of modules with the rows that were read.

use crate::{
    cell::Cell,
    coerce,
    error::Error,
    input::Input,
    plan::{Call, Plan},
    scratch::{ROWS_KEPT_MAX, Scratch},
};
use littoral_model::{
    column::Column,
    event_time::EventTime,
    module_outputs::ModuleOutputs,
    ports::{FeatureReader, ModuleCall, ModuleError, ModuleRuntime},
    row_body::ValueRef,
    value::ValueType,
};
use std::sync::Arc;

/// Calls each module of the plan once, for all rows. Returns the declared outputs of each call.
pub(crate) async fn call(
    node: &Arc<dyn FeatureReader>,
    modules: &dyn ModuleRuntime,
    plan: &Plan,
    input: &Input<'_>,
    rows: usize,
    scratch: &mut Scratch,
    now: EventTime,
) -> Result<Vec<ModuleOutputs>, Error> {
    let mut made = Vec::with_capacity(plan.calls.len());
    for call in &plan.calls {
        let (mut input_columns, mut param_columns) =
            (std::mem::take(&mut scratch.inputs), std::mem::take(&mut scratch.params));
        params(&mut param_columns, call, input)?;
        inputs(&mut input_columns, call, scratch);
        let mut module_call = ModuleCall {
            digest: call.digest,
            name: call.stored_name.clone(),
            rows,
            inputs: input_columns,
            params: param_columns,
            reader: node.clone(),
            demand: scratch.request.demand.clone(),
            manifest: call.manifest.clone(),
            now,
        };
        let outputs = modules.transform(&mut module_call).await?;
        if rows <= ROWS_KEPT_MAX {
            (scratch.inputs, scratch.params) = (module_call.inputs, module_call.params);
        }
        check(call, &outputs, rows)?;
        made.push(outputs);
    }
    Ok(made)
}

/// Empties these columns and gives them these types. Columns that have their type already keep their memory.
fn prepare(columns: &mut Vec<Column>, types: impl ExactSizeIterator<Item = ValueType>) {
    columns.truncate(types.len());
    for (at, value_type) in types.enumerate() {
        match columns.get_mut(at) {
            Some(column) if column.data.value_type() == value_type => column.clear(),
            Some(column) => *column = Column::with_capacity(value_type, 1),
            None => columns.push(Column::with_capacity(value_type, 1)),
        }
    }
}

/// Fills the column of each input. An expired value arrives as expired, so that the module can distinguish it.
fn inputs(columns: &mut Vec<Column>, call: &Call, scratch: &Scratch) {
    prepare(columns, call.inputs.iter().map(|cell| cell.value_type));
    for (column, cell) in columns.iter_mut().zip(&call.inputs) {
        for (status, row) in scratch.present(cell.lookup) {
            match row {
                Some(row) => column.push(cell.value_in(row)),
                None => column.push_absent(status),
            }
        }
    }
}

/// Fills the column of each parameter from the request.
fn params(params: &mut Vec<Column>, call: &Call, input: &Input<'_>) -> Result<(), Error> {
    let fields = call.manifest.params.iter().zip(&call.params);
    prepare(params, fields.clone().map(|(field, _)| field.value_type));
    for (column, (field, at)) in params.iter_mut().zip(fields) {
        for (row, cell) in input.columns[*at].iter().enumerate() {
            if let (ValueType::String, Cell::Text(text)) = (field.value_type, cell) {
                column.push(ValueRef::String(text));
                continue;
            }
            let value = coerce::value(field.value_type, cell)
                .map_err(|reason| Error::wrong_value(input.names[*at], row, &reason))?;
            column.push_value(&value);
        }
    }
    Ok(())
}

/// Checks the shape of the outputs again: the shape of the answer must not depend on the check of the sandbox.
fn check(call: &Call, outputs: &ModuleOutputs, rows: usize) -> Result<(), Error> {
    let declared = call.manifest.outputs.len();
    if outputs.len() == declared && (declared == 0 || outputs.rows() == rows) && outputs.is_whole() {
        return Ok(());
    }
    let reason = format!("{declared} columns of {rows} rows were declared");
    Err(ModuleError::WrongShape { module: call.name.to_string(), reason }.into())
}
