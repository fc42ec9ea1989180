//! Writes the JSON of answers, straight from the bytes of the rows.

use super::{
    Dialect, Rendered,
    blocks::{self, Block, push_status},
    freshness,
};
use crate::{
    Config,
    failure::Failure,
    json::{push_owned, push_text, push_value},
};
use littoral_api::code;
use littoral_model::{
    column::{ColumnData, Status},
    module_outputs::OutputRows,
    row_body::ValueRef,
};
use littoral_read::{
    Answer, Input, coerce,
    plan::{FeatureRef, KeyColumn, Output},
};

const PRESENT: &[u8] = b"\"PRESENT\"";
const EPOCH: &[u8] = b"\"1970-01-01T00:00:00Z\"";

/// The inputs of an answer.
struct Writing<'a> {
    answer: &'a Answer<Rendered>,
    input: &'a Input<'a>,
    /// One per lookup of the plan.
    blocks: &'a [Block],
}

/// Writes the answer of `/get-online-features`.
pub(super) fn feast(
    answer: &Answer<Rendered>,
    input: &Input<'_>,
    view_metadata: bool,
    config: &Config,
) -> Result<Vec<u8>, Failure> {
    let lookups = answer.prepared().plan.lookups.len();
    blocks::with(answer, lookups, Dialect::Feast, |blocks| {
        let written = Writing { answer, input, blocks }.feast(view_metadata, config.answer_bytes_max)?;
        answer.prepared().extra.meter.count(blocks, answer.now(), config.feast_metrics);
        Ok(written)
    })
}

/// Writes the answer of `/v1/read`.
pub(super) fn native(answer: &Answer<Rendered>, input: &Input<'_>, config: &Config) -> Result<Vec<u8>, Failure> {
    let lookups = answer.prepared().plan.lookups.len();
    blocks::with(answer, lookups, Dialect::Native, |blocks| {
        let written = Writing { answer, input, blocks }.native(config.answer_bytes_max)?;
        answer.prepared().extra.meter.count(blocks, answer.now(), false);
        Ok(written)
    })
}

impl Writing<'_> {
    fn feast(&self, view_metadata: bool, bytes_max: usize) -> Result<Vec<u8>, Failure> {
        let (plan, rendered) = (&self.answer.prepared().plan, &self.answer.prepared().extra);
        let mut out = rendered.buffer();
        out.extend_from_slice(b"{\"results\":[");
        for (at, output) in plan.outputs.iter().enumerate() {
            out.extend_from_slice(if at == 0 { b"{\"values\":[" } else { b",{\"values\":[" });
            let nulls = self.values(&mut out, *output)?;
            out.extend_from_slice(b"],\"statuses\":[");
            self.statuses(&mut out, *output, nulls);
            out.extend_from_slice(b"],\"event_timestamps\":[");
            match output {
                Output::Feature(cell) => out.extend_from_slice(&self.blocks[cell.lookup].timestamps),
                Output::Key(_) | Output::UnneededKey(_) | Output::Made { .. } => {
                    repeat(&mut out, EPOCH, self.answer.rows())
                }
            }
            out.extend_from_slice(b"]}");
            check_len(&out, bytes_max)?;
        }
        out.extend_from_slice(b"],\"metadata\":{\"feature_names\":");
        out.extend_from_slice(&rendered.names);
        if view_metadata {
            out.extend_from_slice(b",\"feature_view_metadata\":");
            out.extend_from_slice(&rendered.views);
        }
        out.extend_from_slice(b"}}");
        Ok(out)
    }

    fn native(&self, bytes_max: usize) -> Result<Vec<u8>, Failure> {
        let (plan, rendered) = (&self.answer.prepared().plan, &self.answer.prepared().extra);
        let mut out = rendered.buffer();
        out.extend_from_slice(b"{\"columns\":[");
        for (at, (output, name)) in plan.outputs.iter().zip(&plan.names).enumerate() {
            out.extend_from_slice(if at == 0 { b"{\"name\":" } else { b",{\"name\":" });
            push_text(&mut out, name);
            out.extend_from_slice(b",\"values\":[");
            let nulls = self.values(&mut out, *output)?;
            out.extend_from_slice(b"],\"statuses\":[");
            self.statuses(&mut out, *output, nulls);
            out.extend_from_slice(b"],\"event_timestamps\":[");
            let block = if let Output::Feature(cell) = output { Some(&self.blocks[cell.lookup]) } else { None };
            match block {
                Some(block) => out.extend_from_slice(&block.timestamps),
                None => repeat(&mut out, b"null", self.answer.rows()),
            }
            out.extend_from_slice(b"],\"ages_ms\":[");
            match block {
                Some(block) => out.extend_from_slice(&block.ages),
                None => repeat(&mut out, b"null", self.answer.rows()),
            }
            out.extend_from_slice(b"]}");
            check_len(&out, bytes_max)?;
        }
        out.extend_from_slice(b"],\"freshness\":");
        freshness::push_json(&mut out, self.answer.freshness());
        out.extend_from_slice(b",\"modules\":{");
        for (at, call) in plan.calls.iter().enumerate() {
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

    /// Appends the values of a column, joined by commas. Returns whether a present value is null.
    fn values(&self, out: &mut Vec<u8>, output: Output) -> Result<bool, Failure> {
        match output {
            Output::Key(key) => {
                self.key_values(out, key)?;
                Ok(false)
            }
            Output::UnneededKey(key) => self.unneeded_values(out, key),
            Output::Feature(cell) => Ok(self.feature_values(out, cell)),
            Output::Made { call, output } => {
                if let Some(rows) = self.answer.made(call, output) {
                    made_values(out, rows);
                }
                Ok(false)
            }
        }
    }

    fn key_values(&self, out: &mut Vec<u8>, key: KeyColumn) -> Result<(), Failure> {
        for (row, cell) in self.input.columns[key.column].iter().enumerate() {
            if row > 0 {
                out.push(b',');
            }
            let value = coerce::key(key.value_type, cell);
            let value = value.map_err(|reason| wrong_value(self.input.names[key.column], row, &reason))?;
            push_value(out, value.as_ref());
        }
        Ok(())
    }

    /// Like [`Writing::key_values`], but a missing value is null. Returns whether one is missing.
    fn unneeded_values(&self, out: &mut Vec<u8>, key: KeyColumn) -> Result<bool, Failure> {
        let mut nulls = false;
        for (row, cell) in self.input.columns[key.column].iter().enumerate() {
            if row > 0 {
                out.push(b',');
            }
            let value = coerce::some_key(key.value_type, cell);
            let value = value.map_err(|reason| wrong_value(self.input.names[key.column], row, &reason))?;
            nulls |= value.is_none();
            push_value(out, value.as_ref().map_or(ValueRef::Null, coerce::KeyValue::as_ref));
        }
        Ok(nulls)
    }

    fn feature_values(&self, out: &mut Vec<u8>, cell: FeatureRef) -> bool {
        let mut nulls = 0;
        for (at, (_, row)) in self.answer.present(cell.lookup).enumerate() {
            if at > 0 {
                out.push(b',');
            }
            match row {
                Some(row) => {
                    let value = cell.value_in(row);
                    nulls += u64::from(matches!(value, ValueRef::Null));
                    push_value(out, value);
                }
                None => out.extend_from_slice(b"null"),
            }
        }
        self.blocks[cell.lookup].add_nulls(nulls);
        nulls > 0
    }

    fn statuses(&self, out: &mut Vec<u8>, output: Output, nulls: bool) {
        match output {
            Output::UnneededKey(key) if nulls => {
                for (row, cell) in self.input.columns[key.column].iter().enumerate() {
                    if row > 0 {
                        out.push(b',');
                    }
                    let missing = coerce::some_key(key.value_type, cell).is_ok_and(|value| value.is_none());
                    push_status(out, if missing { Status::NullValue } else { Status::Present });
                }
            }
            Output::Key(_) | Output::UnneededKey(_) => repeat(out, PRESENT, self.answer.rows()),
            Output::Feature(cell) => {
                if !nulls {
                    out.extend_from_slice(&self.blocks[cell.lookup].statuses);
                    return;
                }
                for (at, (status, row)) in self.answer.present(cell.lookup).enumerate() {
                    if at > 0 {
                        out.push(b',');
                    }
                    let is_null = row.is_some_and(|row| matches!(cell.value_in(row), ValueRef::Null));
                    push_status(out, if is_null { Status::NullValue } else { status });
                }
            }
            Output::Made { call, output } => {
                let rows = self.answer.made(call, output);
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

/// The error for a value that is not of its column's type.
fn wrong_value(column: &str, row: usize, reason: &str) -> Failure {
    let column: String = column.chars().take(128).collect();
    Failure::invalid(code::INVALID_ENTITY, format!("row {row}, column '{column}': {reason}"))
}

fn check_len(out: &[u8], bytes_max: usize) -> Result<(), Failure> {
    if out.len() <= bytes_max {
        return Ok(());
    }
    Err(Failure::answer_too_large(bytes_max, "read fewer rows or features at once"))
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
            None => push_owned(out, &rows.value(row)),
        }
    }
}
