//! Writing answers: straight from the rows' bytes.

use super::{
    freshness,
    scratch::{Scratch, push_status},
};
use crate::{
    cell::Cell,
    coerce,
    failure::Failure,
    json::{push_text, push_value},
    plan::{self, KeyColumn, Output, Plan},
};
use littoral_api::code;
use littoral_model::{
    column::{ColumnData, Status},
    module_outputs::{ModuleOutputs, OutputRows},
    row_body::ValueRef,
};

const PRESENT: &[u8] = b"\"PRESENT\"";
const EPOCH: &[u8] = b"\"1970-01-01T00:00:00Z\"";

/// All that an answer is written from.
pub(super) struct Writing<'a> {
    pub(super) plan: &'a Plan,
    pub(super) columns: &'a [&'a [Cell<'a>]],
    pub(super) names: &'a [&'a str],
    pub(super) rows: usize,
    pub(super) scratch: &'a Scratch,
    /// Per call of the plan, what the module made.
    pub(super) made: &'a [ModuleOutputs],
}

impl Writing<'_> {
    /// The answer in Feast's words.
    pub(super) fn feast(&self, view_metadata: bool, bytes_max: usize) -> Result<Vec<u8>, Failure> {
        let mut out = self.plan.answer_buffer();
        out.extend_from_slice(b"{\"results\":[");
        for (at, output) in self.plan.outputs.iter().enumerate() {
            out.extend_from_slice(if at == 0 { b"{\"values\":[" } else { b",{\"values\":[" });
            let nulls = self.values(&mut out, *output)?;
            out.extend_from_slice(b"],\"statuses\":[");
            self.statuses(&mut out, *output, nulls);
            out.extend_from_slice(b"],\"event_timestamps\":[");
            match output {
                Output::Feature(cell) => out.extend_from_slice(&self.scratch.block(cell.lookup).timestamps),
                Output::Key(_) | Output::Unneeded(_) | Output::Made { .. } => repeat(&mut out, EPOCH, self.rows),
            }
            out.extend_from_slice(b"]}");
            check_len(&out, bytes_max)?;
        }
        out.extend_from_slice(b"],\"metadata\":{\"feature_names\":");
        out.extend_from_slice(&self.plan.names_json);
        if view_metadata {
            out.extend_from_slice(b",\"feature_view_metadata\":");
            out.extend_from_slice(&self.plan.views_json);
        }
        out.extend_from_slice(b"}}");
        Ok(out)
    }

    /// The answer of `/v1/read`.
    pub(super) fn native(&self, bytes_max: usize) -> Result<Vec<u8>, Failure> {
        let mut out = self.plan.answer_buffer();
        out.extend_from_slice(b"{\"columns\":[");
        for (at, (output, name)) in self.plan.outputs.iter().zip(&self.plan.names).enumerate() {
            out.extend_from_slice(if at == 0 { b"{\"name\":" } else { b",{\"name\":" });
            push_text(&mut out, name);
            out.extend_from_slice(b",\"values\":[");
            let nulls = self.values(&mut out, *output)?;
            out.extend_from_slice(b"],\"statuses\":[");
            self.statuses(&mut out, *output, nulls);
            out.extend_from_slice(b"],\"event_timestamps\":[");
            let block = if let Output::Feature(cell) = output { Some(self.scratch.block(cell.lookup)) } else { None };
            match block {
                Some(block) => out.extend_from_slice(&block.timestamps),
                None => repeat(&mut out, b"null", self.rows),
            }
            out.extend_from_slice(b"],\"ages_ms\":[");
            match block {
                Some(block) => out.extend_from_slice(&block.ages),
                None => repeat(&mut out, b"null", self.rows),
            }
            out.extend_from_slice(b"]}");
            check_len(&out, bytes_max)?;
        }
        out.extend_from_slice(b"],\"freshness\":");
        freshness::push_json(&mut out, &self.scratch.answer.freshness);
        out.extend_from_slice(b",\"modules\":{");
        for (at, call) in self.plan.calls.iter().enumerate() {
            if at > 0 {
                out.push(b',');
            }
            push_text(&mut out, &call.name);
            out.push(b':');
            push_text(&mut out, &call.digest.to_string());
        }
        out.extend_from_slice(b"}}");
        Ok(out)
    }

    /// Appends a column's values, joined by commas. Says whether one that should be there is null.
    fn values(&self, out: &mut Vec<u8>, output: Output) -> Result<bool, Failure> {
        match output {
            Output::Key(key) => {
                self.key_values(out, key)?;
                Ok(false)
            }
            Output::Unneeded(key) => self.unneeded_values(out, key),
            Output::Feature(cell) => Ok(self.feature_values(out, cell)),
            Output::Made { call, output } => {
                if let Some(rows) = self.made.get(call).and_then(|made| made.output(output)) {
                    made_values(out, rows);
                }
                Ok(false)
            }
        }
    }

    fn key_values(&self, out: &mut Vec<u8>, key: KeyColumn) -> Result<(), Failure> {
        for (row, cell) in self.columns[key.column].iter().enumerate() {
            if row > 0 {
                out.push(b',');
            }
            let value = coerce::key(key.value_type, cell);
            let value = value.map_err(|reason| super::columns::wrong_value(self.names[key.column], row, &reason))?;
            push_value(out, value.as_ref());
        }
        Ok(())
    }

    /// As [`Writing::key_values`], but what is missing is null. Says whether something is.
    fn unneeded_values(&self, out: &mut Vec<u8>, key: KeyColumn) -> Result<bool, Failure> {
        let mut nulls = false;
        for (row, cell) in self.columns[key.column].iter().enumerate() {
            if row > 0 {
                out.push(b',');
            }
            let value = coerce::some_key(key.value_type, cell);
            let value = value.map_err(|reason| super::columns::wrong_value(self.names[key.column], row, &reason))?;
            nulls |= value.is_none();
            push_value(out, value.as_ref().map_or(ValueRef::Null, coerce::KeyValue::as_ref));
        }
        Ok(nulls)
    }

    fn feature_values(&self, out: &mut Vec<u8>, cell: plan::Cell) -> bool {
        let mut nulls = false;
        let block = self.scratch.block(cell.lookup);
        for (row, state) in block.states.iter().enumerate() {
            if row > 0 {
                out.push(b',');
            }
            let value = self.value(cell, row, *state);
            nulls |= *state == Status::Present && matches!(value, ValueRef::Null);
            push_value(out, value);
        }
        nulls
    }

    #[inline]
    fn value(&self, cell: plan::Cell, row: usize, state: Status) -> ValueRef<'_> {
        match self.scratch.row(cell.lookup, row) {
            Some(row) if state == Status::Present => row.value(cell.feature, cell.value_type),
            _ => ValueRef::Null,
        }
    }

    fn statuses(&self, out: &mut Vec<u8>, output: Output, nulls: bool) {
        match output {
            Output::Unneeded(key) if nulls => {
                for (row, cell) in self.columns[key.column].iter().enumerate() {
                    if row > 0 {
                        out.push(b',');
                    }
                    let missing = coerce::some_key(key.value_type, cell).is_ok_and(|value| value.is_none());
                    push_status(out, if missing { Status::NullValue } else { Status::Present });
                }
            }
            Output::Key(_) | Output::Unneeded(_) => repeat(out, PRESENT, self.rows),
            Output::Feature(cell) => {
                let block = self.scratch.block(cell.lookup);
                if !nulls {
                    out.extend_from_slice(&block.statuses);
                    return;
                }
                for (row, state) in block.states.iter().enumerate() {
                    if row > 0 {
                        out.push(b',');
                    }
                    let null = *state == Status::Present && matches!(self.value(cell, row, *state), ValueRef::Null);
                    push_status(out, if null { Status::NullValue } else { *state });
                }
            }
            Output::Made { call, output } => {
                let rows = self.made.get(call).and_then(|made| made.output(output));
                for (row, status) in rows.into_iter().flat_map(|rows| rows.statuses).enumerate() {
                    if row > 0 {
                        out.push(b',');
                    }
                    push_status(out, *status);
                }
            }
        }
    }
}

fn repeat(out: &mut Vec<u8>, text: &[u8], times: usize) {
    for at in 0..times {
        if at > 0 {
            out.push(b',');
        }
        out.extend_from_slice(text);
    }
}

fn check_len(out: &[u8], bytes_max: usize) -> Result<(), Failure> {
    if out.len() <= bytes_max {
        return Ok(());
    }
    let message = format!("the answer would be larger than {bytes_max} bytes; ask for fewer rows or features at once");
    Err(Failure::new(http::StatusCode::PAYLOAD_TOO_LARGE, code::ANSWER_TOO_LARGE, message))
}

fn made_values(out: &mut Vec<u8>, rows: OutputRows<'_>) {
    for (row, status) in rows.statuses.iter().enumerate() {
        if row > 0 {
            out.push(b',');
        }
        if *status != Status::Present {
            out.extend_from_slice(b"null");
            continue;
        }
        let at = rows.first + row;
        let scalar = match rows.data {
            ColumnData::Bool(v) => v.get(at).map(|v| ValueRef::Bool(*v)),
            ColumnData::Int32(v) => v.get(at).map(|v| ValueRef::Int32(*v)),
            ColumnData::Int64(v) => v.get(at).map(|v| ValueRef::Int64(*v)),
            ColumnData::Float(v) => v.get(at).map(|v| ValueRef::Float(*v)),
            ColumnData::Double(v) => v.get(at).map(|v| ValueRef::Double(*v)),
            ColumnData::String(v) => v.get(at).map(|v| ValueRef::String(v)),
            ColumnData::Bytes(v) => v.get(at).map(|v| ValueRef::Bytes(v)),
            ColumnData::UnixTimestamp(v) => v.get(at).map(|v| ValueRef::UnixTimestamp(*v)),
            _ => None,
        };
        match scalar {
            Some(value) => push_value(out, value),
            None => crate::json::push_owned(out, &rows.value(row)),
        }
    }
}
