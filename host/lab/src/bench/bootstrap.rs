//! Bootstrap of an edge: from nothing to all of the leader's rows.

use crate::bench::{
    failure::Failure,
    measurement::{Measurement, median},
    names,
    session::{Effort, progress},
    stand::Stand,
};
use std::time::Instant;

/// Rows per second that are enough, however fast bare inserts are.
const ENOUGH: f64 = 400_000.0;

/// The measurement, and an edge that holds the rows.
#[derive(Debug)]
pub struct Bootstrapped {
    /// The edge's place on the stand.
    pub edge: usize,
    /// What was measured.
    pub measurement: Measurement,
}

/// Starts edges, one after another, and times each from its start as a process until it holds every row and is ready.
pub fn measure(stand: &mut Stand, effort: Effort) -> Result<Bootstrapped, Failure> {
    progress(names::BOOTSTRAP);
    let rows = effort.rows_large as f64;
    let mut rates = Vec::new();
    let mut edge = 0;
    for round in 0..effort.rounds {
        let start = Instant::now();
        edge = stand.add_edge(None)?;
        stand.catch_up()?;
        rates.push(rows / start.elapsed().as_secs_f64());
        if round + 1 < effort.rounds {
            // One edge that holds the rows is enough; more would only take memory from each other.
            stand.cluster.edges.remove(edge);
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

/// Inserts per second of rows of this size into a moka cache, with nothing else.
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
