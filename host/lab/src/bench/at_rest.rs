//! Warm start of an edge from an encrypted local snapshot, compared with a plain one.

use crate::bench::{
    failure::Failure,
    measurement::Measurement,
    names,
    session::Effort,
    setup::{Setup, executable},
};
use std::{path::Path, process::Command, time::Instant};

/// An edge that closes at once when it is stopped.
const PLAIN: &str = "[shutdown]\nnotice_ms = 0\n";

/// The least share of the plain speed.
const ENOUGH: f64 = 0.9;

/// Restarts an edge with plain files and one with encrypted files in turns, each alone. Times each from the start of
/// its process until it is ready with every row, and each orderly stop, which writes the snapshot.
pub fn measure(setup: &mut Setup, effort: Effort) -> Result<Measurement, Failure> {
    let ring = setup.cluster.dir().join("key-ring");
    make_key(&ring)?;
    let encrypted = format!("{PLAIN}[at_rest]\nkey_ring = \"{}\"\n", ring.display());
    let edges = [setup.add_edge(Some(PLAIN))?, setup.add_edge(Some(&encrypted))?];
    setup.catch_up()?;
    for edge in edges {
        setup.cluster.edges[edge].stop();
    }
    let rows = effort.rows_large as f64;
    let (mut starts, mut stops) = ([vec![], vec![]], [vec![], vec![]]);
    for _ in 0..effort.rounds {
        for (index, edge) in edges.into_iter().enumerate() {
            let edge = &mut setup.cluster.edges[edge];
            let begun = Instant::now();
            edge.restart()?;
            starts[index].push(rows / begun.elapsed().as_secs_f64());
            let begun = Instant::now();
            edge.stop();
            stops[index].push(rows / begun.elapsed().as_secs_f64());
        }
    }
    // The last ones were added last.
    for edge in edges.into_iter().rev() {
        setup.cluster.edges.remove(edge);
    }
    let work = format!("warm start of an edge from an encrypted snapshot, {} rows", effort.rows_large);
    let [plain, encrypted] = &starts;
    let row = Measurement::new(names::AT_REST, work, "rows/s", &encrypted[..]).at_least(
        ENOUGH,
        "plain snapshot",
        Some(plain[..].into()),
    );
    let [plain, encrypted] = &stops;
    let stop = Measurement::new(names::AT_REST, "", "rows/s", &encrypted[..]).compared_with("", Some(plain[..].into()));
    let ratio = stop.comparisons.first().and_then(|comparison| comparison.ratio).unwrap_or_default();
    Ok(row.note(format!(
        "from the start of the process to ready; an orderly stop, which writes the snapshot: {:.0} rows/s, {:.0}% of plain",
        stop.value.unwrap_or_default(),
        ratio * 100.0
    )))
}

/// Makes a key ring with the product's own command.
fn make_key(ring: &Path) -> Result<(), Failure> {
    let made = Command::new(executable()?).args(["key-ring", "add", "bench", "--file"]).arg(ring).output()?;
    let errors = String::from_utf8_lossy(&made.stderr);
    if made.status.success() { Ok(()) } else { Err(Failure::new("making a key ring", errors)) }
}
