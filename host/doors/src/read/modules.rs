//! Calling modules with the rows that were read.

use super::{
    columns::wrong_value,
    scratch::{ROWS_KEPT_MAX, Scratch},
};
use crate::{cell::Cell, coerce, failure::Failure, plan::Call, plan::Plan, state::State};
use littoral_model::{
    column::{Column, Status},
    event_time::EventTime,
    module_outputs::ModuleOutputs,
    ports::{FeatureReader, ModuleCall, ModuleError},
    row_body::ValueRef,
    value::ValueType,
};
use std::sync::Arc;

/// Calls each of the plan's modules once, for all rows. Gives, per call, the declared outputs.
pub(super) async fn call(
    state: &State,
    plan: &Plan,
    columns: &[&[Cell<'_>]],
    names: &[&str],
    rows: usize,
    scratch: &mut Scratch,
    now: EventTime,
) -> Result<Vec<ModuleOutputs>, Failure> {
    let mut made = Vec::with_capacity(plan.calls.len());
    for call in &plan.calls {
        let (mut input_columns, mut param_columns) = std::mem::take(&mut scratch.columns);
        params(&mut param_columns, call, columns, names)?;
        inputs(&mut input_columns, call, scratch);
        let reader: Arc<dyn FeatureReader> = state.node.clone();
        let mut module_call = ModuleCall {
            digest: call.digest,
            name: call.name.clone(),
            rows,
            inputs: input_columns,
            params: param_columns,
            reader,
            demand: scratch.request.demand.clone(),
            manifest: call.manifest.clone(),
            now,
        };
        let outputs = state.modules.transform(&mut module_call).await?;
        if rows <= ROWS_KEPT_MAX {
            scratch.columns = (module_call.inputs, module_call.params);
        }
        check(call, &outputs, rows)?;
        made.push(outputs);
    }
    Ok(made)
}

/// Makes these columns empty ones of these types, in the memory that they have where they are of the same types already.
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

/// Each input's column. What is expired arrives as expired, so that the module can tell.
fn inputs(columns: &mut Vec<Column>, call: &Call, scratch: &Scratch) {
    prepare(columns, call.inputs.iter().map(|cell| cell.value_type));
    for (column, cell) in columns.iter_mut().zip(&call.inputs) {
        for (row, state) in scratch.block(cell.lookup).states.iter().enumerate() {
            match scratch.row(cell.lookup, row) {
                Some(row) if *state == Status::Present => column.push(row.value(cell.feature, cell.value_type)),
                _ => column.push_absent(*state),
            }
        }
    }
}

/// Each parameter's column, of the request's.
fn params(params: &mut Vec<Column>, call: &Call, columns: &[&[Cell<'_>]], names: &[&str]) -> Result<(), Failure> {
    let fields = call.manifest.params.iter().zip(&call.params);
    prepare(params, fields.clone().map(|(field, _)| field.value_type));
    for (column, (field, at)) in params.iter_mut().zip(fields) {
        for (row, cell) in columns[*at].iter().enumerate() {
            if let (ValueType::String, Cell::Text(text)) = (field.value_type, cell) {
                column.push(ValueRef::String(text));
                continue;
            }
            let value =
                coerce::value(field.value_type, cell).map_err(|reason| wrong_value(names[*at], row, &reason))?;
            column.push_value(&value);
        }
    }
    Ok(())
}

/// The sandbox has checked this; the answer's shape must not hang on it.
fn check(call: &Call, outputs: &ModuleOutputs, rows: usize) -> Result<(), Failure> {
    let declared = call.manifest.outputs.len();
    if outputs.len() == declared && (declared == 0 || outputs.rows() == rows) && outputs.is_whole() {
        return Ok(());
    }
    let reason = format!("{declared} columns of {rows} rows were declared");
    Err(ModuleError::WrongShape { module: call.name.to_string(), reason }.into())
}
