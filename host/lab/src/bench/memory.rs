//! Resident memory of an edge per row that it holds.

use crate::bench::{data::Rows, failure::Failure, measurement::Measurement, names, session::Effort, setup::Setup};

/// The memory that a row may use beyond its key and values, in bytes.
const OVERHEAD_MAX: f64 = 400.0;

/// Measures the memory per row of an edge with the large view, without the memory of an empty edge.
pub fn measure(setup: &Setup, edge: usize, rows: Rows, effort: Effort) -> Result<Measurement, Failure> {
    let empty = Setup::start(&[None])?;
    empty.catch_up()?;
    let idle = empty.cluster.edges.first().map_or(0, littoral_provision::Node::resident_bytes);
    drop(empty);
    let edge = setup.cluster.edges.get(edge).ok_or_else(|| Failure("there is no such edge".to_owned()))?;
    let held = edge.resident_bytes().saturating_sub(idle);
    let payload = rows.payload_len() as f64;
    let per_row = held as f64 / effort.rows_large as f64;
    let work = format!("resident memory per row at the edge, {} rows of {payload} B", effort.rows_large);
    Ok(Measurement::new(names::MEMORY, work, "B", per_row).bounded(payload + OVERHEAD_MAX).note(format!(
        "{:.0} B beyond the payload; an edge without rows takes {} MiB",
        per_row - payload,
        idle >> 20
    )))
}
