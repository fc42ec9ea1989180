//! Calling modules with the rows that were read.

use super::{columns::wrong_value, scratch::Scratch};
use crate::{cell::Cell, coerce, failure::Failure, plan::Call, plan::Plan, state::State};
use littoral_model::{
    column::{Column, Status},
    event_time::EventTime,
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
    scratch: &Scratch,
    now: EventTime,
) -> Result<Vec<Vec<Column>>, Failure> {
    let mut made = Vec::with_capacity(plan.calls.len());
    for call in &plan.calls {
        let params = params(call, columns, names, rows)?;
        let reader: Arc<dyn FeatureReader> = state.node.clone();
        let outputs = state.modules.transform(ModuleCall {
            digest: call.digest,
            name: call.name.clone(),
            rows,
            inputs: inputs(call, rows, scratch),
            params,
            reader,
            demand: scratch.request.demand.clone(),
            manifest: call.manifest.clone(),
            now,
        });
        let outputs = outputs.await?;
        check(call, &outputs, rows)?;
        made.push(outputs);
    }
    Ok(made)
}

/// Each input's column. What is expired arrives as expired, so that the module can tell.
fn inputs(call: &Call, rows: usize, scratch: &Scratch) -> Vec<Column> {
    let column = |cell: &crate::plan::Cell| {
        let mut column = Column::with_capacity(cell.value_type, rows);
        for (row, state) in scratch.block(cell.lookup).states.iter().enumerate() {
            match scratch.row(cell.lookup, row) {
                Some(row) if *state == Status::Present => column.push(row.value(cell.feature, cell.value_type)),
                _ => column.push_absent(*state),
            }
        }
        column
    };
    call.inputs.iter().map(column).collect()
}

fn params(call: &Call, columns: &[&[Cell<'_>]], names: &[&str], rows: usize) -> Result<Vec<Column>, Failure> {
    let mut params = Vec::with_capacity(call.params.len());
    for (field, at) in call.manifest.params.iter().zip(&call.params) {
        let mut column = Column::with_capacity(field.value_type, rows);
        for (row, cell) in columns[*at].iter().enumerate() {
            if let (ValueType::String, Cell::Text(text)) = (field.value_type, cell) {
                column.push(ValueRef::String(text));
                continue;
            }
            let value =
                coerce::value(field.value_type, cell).map_err(|reason| wrong_value(names[*at], row, &reason))?;
            column.push_value(&value);
        }
        params.push(column);
    }
    Ok(params)
}

/// The sandbox has checked this; the answer's shape must not hang on it.
fn check(call: &Call, outputs: &[Column], rows: usize) -> Result<(), Failure> {
    let whole = outputs.len() == call.manifest.outputs.len()
        && outputs.iter().all(|column| column.len() == rows && column.data.len() == rows);
    if whole {
        return Ok(());
    }
    let reason = format!("{} columns of {rows} rows were declared", call.manifest.outputs.len());
    Err(ModuleError::WrongShape { module: call.name.to_string(), reason }.into())
}
