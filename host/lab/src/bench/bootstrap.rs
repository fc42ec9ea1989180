//! Bootstrap of an edge: from nothing to all of its leader's rows.

use crate::bench::{
    failure::Failure,
    measurement::{Measurement, median},
    names,
    session::{Effort, progress},
    setup::Setup,
};
use std::time::Instant;

/// The target in rows per second, unless bare inserts are slow.
const ENOUGH: f64 = 400_000.0;

/// The measurement, and an edge that holds the rows.
#[derive(Debug)]
pub struct Bootstrapped {
    /// The edge's index in the setup.
    pub edge: usize,
    /// The measurement.
    pub measurement: Measurement,
}

/// Starts edges one after another. Times each from the start of its process until it is ready with every row.
pub fn measure(setup: &mut Setup, effort: Effort) -> Result<Bootstrapped, Failure> {
    progress(names::BOOTSTRAP);
    let rows = effort.rows_large as f64;
    let mut rates = Vec::new();
    let mut edge = 0;
    for round in 0..effort.rounds {
        let start = Instant::now();
        edge = setup.add_edge(None)?;
        setup.catch_up()?;
        rates.push(rows / start.elapsed().as_secs_f64());
        if round + 1 < effort.rounds {
            // Further edges would only compete for memory.
            setup.cluster.edges.remove(edge);
        }
    }
    let inserts: Vec<_> = (0..effort.rounds).map(|_| bare_inserts(effort.rows_large)).collect();
    let bare = median(&inserts);
    let enough = ENOUGH.min(bare / 2.0);
    let work = format!("bootstrap of an edge from a snapshot, {} rows", effort.rows_large);
    let mut row = Measurement::new(names::BOOTSTRAP, work, "rows/s", median(&rates));
    row.comparisons.push(crate::bench::measurement::Comparison {
        with: "bare moka inserts".to_owned(),
        peer: Some(bare),
        ratio: row.value.map(|value| value / bare),
        target: format!(">= {enough:.0} rows/s"),
        met: row.value.map(|value| value >= enough),
    });
    let row = row.note("from the start of the edge's process to ready with every row");
    Ok(Bootstrapped { edge, measurement: row })
}

/// Returns how many rows of this size a moka cache accepts a second, with nothing else.
fn bare_inserts(rows: u64) -> f64 {
    let cache = moka::sync::Cache::<u64, std::sync::Arc<[u8]>>::builder()
        .initial_capacity(usize::try_from(rows).unwrap_or(0))
        .max_capacity(rows * 2)
        .build();
    let payload = [0x5A_u8; 192];
    let start = Instant::now();
    for id in 0..rows {
        cache.insert(id, payload.as_slice().into());
    }
    cache.run_pending_tasks();
    rows as f64 / start.elapsed().as_secs_f64()
}
