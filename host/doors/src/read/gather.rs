//! Keys of the rows that a plan needs.

use super::columns::wrong_value;
use crate::{
    cell::Cell,
    coerce,
    failure::Failure,
    plan::{KeyColumn, Plan},
};
use littoral_model::{entity_key::KEY_LEN_MAX, read::ReadRequest};

/// Fills the request with each lookup's keys, row by row.
pub(super) fn keys(
    plan: &Plan,
    columns: &[&[Cell<'_>]],
    names: &[&str],
    rows: usize,
    request: &mut ReadRequest,
) -> Result<(), Failure> {
    request.reads.truncate(plan.lookups.len());
    request.reads.resize_with(plan.lookups.len(), Default::default);
    for (lookup, read) in plan.lookups.iter().zip(&mut request.reads) {
        read.view = lookup.view;
        read.keys.clear();
        // Without a whole key nothing is read and nothing is found.
        let Some(keys) = &lookup.keys else { continue };
        for row in 0..rows {
            push_key(keys, columns, names, row, read.keys.buffer())?;
            read.keys.end_key();
        }
    }
    Ok(())
}

/// Appends one row's key.
#[inline]
fn push_key(
    keys: &[KeyColumn],
    columns: &[&[Cell<'_>]],
    names: &[&str],
    row: usize,
    out: &mut Vec<u8>,
) -> Result<(), Failure> {
    let start = out.len();
    for key in keys {
        let value = coerce::key(key.value_type, &columns[key.column][row]);
        value.map_err(|reason| wrong_value(names[key.column], row, &reason))?.push(out);
    }
    let len = out.len() - start;
    if len > KEY_LEN_MAX {
        let reason = format!("the entity key is {len} bytes long; the longest is {KEY_LEN_MAX}");
        return Err(wrong_value(keys.first().map_or("", |key| names[key.column]), row, &reason));
    }
    Ok(())
}
