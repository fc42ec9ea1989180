//! Reads of one entity at edges that record traces, in turns with the same reads at an edge that records none.

use crate::bench::{
    data,
    failure::Failure,
    floor::Floor,
    measurement::Measurement,
    names,
    reads::{CONNECTIONS, http, in_turns},
    requests::{VARIETY, feast_reads, uniform},
    session::Effort,
    setup::Setup,
};
use littoral_provision::http::Answer;

/// The ratios of the requests that are recorded.
const RATIOS: [&str; 3] = ["0.0", "0.01", "1.0"];

/// Measures with a collector that accepts everything.
///
/// # Errors
/// When a node or the collector does not start.
pub fn measure(effort: Effort) -> Result<Measurement, Failure> {
    let collector = Floor::start(&Answer { status: 200, headers: Vec::new(), body: Vec::new() })?;
    let config = |ratio| format!("[traces]\nendpoint = \"http://{}\"\nsample = {ratio}\n", collector.address);
    let [none, few, all] = RATIOS.map(config);
    let setup = Setup::start(&[None, Some(&none), Some(&few), Some(&all)])?;
    setup.load(data::STATS, false, effort.rows)?;
    let requests = feast_reads(data::STATS, 1, VARIETY, uniform(effort.rows, 1));
    let loads = (0..=RATIOS.len()).map(|edge| Ok(http(setup.edge_door(edge)?, &requests, effort)));
    let series = in_turns(&loads.collect::<Result<Vec<_>, Failure>>()?, effort.rounds)?;
    let [off, none, few, all] = &series[..] else { return Err(Failure("a load has no series".to_owned())) };
    let work = format!(
        "read 1 entity x 10 features with 1% of the requests traced, {} rows, {CONNECTIONS} connections",
        effort.rows
    );
    Ok(Measurement::new(names::TRACED_READ_1X10, work, "reads/s", few.rate())
        .at_least(0.95, "the same without [traces]", Some(off.rate()))
        .compared_with("the same with 0% of the requests traced", Some(none.rate()))
        .compared_with("the same with 100% of the requests traced", Some(all.rate()))
        .note(format!("off {}; 0% {}; 1% {}; 100% {}", off.latency(), none.latency(), few.latency(), all.latency())))
}
