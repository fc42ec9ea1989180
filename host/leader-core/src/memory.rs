//! The bound on the memory of rows.

use crate::projects::growth;
use littoral_model::write::{RowBatch, WriteError};
use littoral_replica::{Table, footprint_of};

/// Checks that there is memory for the rows of a write, as they will be logged. `added` is what earlier writes of the
/// batch add. Returns what this write adds, or what it would add if none of its keys was held. Batches that are durable
/// and not applied yet are not counted, so the rows can exceed the bound by those.
///
/// # Errors
/// [`WriteError::MemoryFull`]. A write that adds nothing is never rejected.
pub(crate) fn check(max: u64, table: Option<&Table>, rows: &RowBatch, added: u64) -> Result<u64, WriteError> {
    let Some(table) = table else { return Ok(0) };
    let held = table.bytes().saturating_add(added);
    // Needs no look at the table: a key that is held adds less.
    let most: u64 = rows.pieces().map(|row| footprint_of(row.payload.len())).sum();
    if held.saturating_add(most) <= max {
        return Ok(most);
    }
    match growth(table, rows) {
        adds if adds > 0 && held.saturating_add(adds) > max => Err(WriteError::MemoryFull { held, max, adds }),
        adds => Ok(adds),
    }
}
