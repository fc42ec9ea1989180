//! Tail latency at half of the peak rate: requests are sent at fixed times, whether or not answers keep up.

use crate::bench::{
    data,
    failure::Failure,
    floor::Floor,
    load::{self, Load, Pace},
    measurement::Measurement,
    names, reads,
    requests::{VARIETY, feast_reads, uniform},
    session::Effort,
    setup::{Setup, answer_to},
};

/// Measures the p99 of reads of one entity at half of the edge's peak rate, and the floor's at that rate.
pub fn at_half_rate(setup: &Setup, effort: Effort) -> Result<Measurement, Failure> {
    let requests = feast_reads(data::STATS, 1, VARIETY, uniform(effort.rows, 4));
    let edge = setup.edge_door(0)?;
    let floor = Floor::start(&answer_to(edge, &requests[0])?)?;
    let peak = reads::in_turns(&[reads::http(edge, &requests, effort)], effort.rounds)?[0].rate().median();
    let rate = peak / 2.0;
    let paced =
        |address| Load { pace: Pace::Open(rate), duration: effort.run * 2, ..reads::http(address, &requests, effort) };
    let (mut floor_p99, mut edge_p99) = (Vec::new(), Vec::new());
    for _ in 0..effort.rounds {
        floor_p99.push(load::run(&paced(floor.address))?.latencies.quantile_us(0.99));
        edge_p99.push(load::run(&paced(edge))?.latencies.quantile_us(0.99));
    }
    let work = format!("p99 at half of the peak rate, 1 x 10 ({rate:.0} reads/s, open loop)");
    Ok(Measurement::new(names::TAIL, work, "us", &edge_p99[..]).at_most(2.0, "floor", Some(floor_p99[..].into())))
}
