//! The keys of the rows that a plan reads.

use crate::{
    coerce,
    error::Error,
    input::Input,
    plan::{KeyColumn, Plan},
};
use littoral_model::{entity_key::KEY_LEN_MAX, read::ReadRequest};

/// Fills the request with the keys of each lookup, row by row.
pub(crate) fn keys(plan: &Plan, input: &Input<'_>, rows: usize, request: &mut ReadRequest) -> Result<(), Error> {
    request.reads.truncate(plan.lookups.len());
    request.reads.resize_with(plan.lookups.len(), Default::default);
    for (lookup, read) in plan.lookups.iter().zip(&mut request.reads) {
        read.view = lookup.view;
        read.keys.clear();
        // Without a complete key nothing is read and nothing is found.
        let Some(keys) = &lookup.keys else { continue };
        for row in 0..rows {
            push_key(keys, input, row, read.keys.buffer())?;
            read.keys.end_key();
        }
    }
    Ok(())
}

/// Appends the key of one row.
#[inline]
fn push_key(keys: &[KeyColumn], input: &Input<'_>, row: usize, out: &mut Vec<u8>) -> Result<(), Error> {
    let start = out.len();
    for key in keys {
        let value = coerce::key(key.value_type, &input.columns[key.column][row]);
        value.map_err(|reason| Error::wrong_value(input.names[key.column], row, &reason))?.push(out);
    }
    let len = out.len() - start;
    if len > KEY_LEN_MAX {
        let reason = format!("the entity key is {len} bytes long; the longest is {KEY_LEN_MAX}");
        let column = keys.first().map_or("", |key| input.names[key.column]);
        return Err(Error::wrong_value(column, row, &reason));
    }
    Ok(())
}
