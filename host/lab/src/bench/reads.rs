//! Reads by Feast's protocol, in turns with the floor, Redis and Feast.

use crate::bench::{
    data,
    failure::Failure,
    feast,
    floor::Floor,
    load::{self, Framing, Load, Pace},
    measurement::{Figures, Measurement, median},
    names,
    popular::Popular,
    redis,
    requests::{VARIETY, feast_reads, uniform},
    session::Effort,
    setup::{Setup, answer_to},
};
use bytes::Bytes;
use std::{net::SocketAddr, sync::Arc};

/// Connections of every read measurement.
pub const CONNECTIONS: usize = 32;

/// The assumed rate of Redis's own tool, whose runs are set by a number of requests and not by a time.
const OWN_TOOL_RATE: f64 = 75_000.0;

/// Entities of a large read.
const MANY: usize = 100;

/// The results of several runs of one load.
#[derive(Clone, Debug, Default)]
pub struct Series {
    /// The answers per second of each run.
    pub rates: Vec<f64>,
    p50_us: Vec<f64>,
    p99_us: Vec<f64>,
}

impl Series {
    /// Returns the answers per second of each round.
    pub fn rate(&self) -> Figures {
        self.rates[..].into()
    }

    /// Returns the latencies of the median run as text.
    pub fn latency(&self) -> String {
        format!("p50 {:.0} us, p99 {:.0} us", median(&self.p50_us), median(&self.p99_us))
    }
}

/// Runs the loads in turns, so that a slow minute of the machine affects all of them.
pub fn in_turns(loads: &[Load], rounds: usize) -> Result<Vec<Series>, Failure> {
    let mut series = vec![Series::default(); loads.len()];
    for _ in 0..rounds {
        for (load, series) in loads.iter().zip(&mut series) {
            let outcome = load::run(load)?;
            series.rates.push(outcome.rate);
            series.p50_us.push(outcome.latencies.quantile_us(0.5));
            series.p99_us.push(outcome.latencies.quantile_us(0.99));
        }
    }
    Ok(series)
}

/// Returns a load of HTTP requests at peak rate.
pub fn http(address: SocketAddr, requests: &Arc<[Bytes]>, effort: Effort) -> Load {
    let requests = requests.clone();
    Load {
        address,
        requests,
        framing: Framing::Http,
        connections: CONNECTIONS,
        pace: Pace::Closed,
        tls: None,
        duration: effort.run,
    }
}

/// Reads of one entity and ten features.
pub fn one_entity(setup: &Setup, effort: Effort) -> Result<Measurement, Failure> {
    let requests = feast_reads(data::STATS, 1, VARIETY, uniform(effort.rows, 1));
    let edge = setup.edge_door(0)?;
    let floor = Floor::start(&answer_to(edge, &requests[0])?)?;
    let mut draw = uniform(effort.rows, 1);
    let ids: Vec<_> = (0..VARIETY).map(|_| draw()).collect();
    let redis = redis::Peer::start(effort.rows, &ids);
    let mut loads = vec![http(floor.address, &requests, effort), http(edge, &requests, effort)];
    if let Ok(redis) = &redis {
        let (address, requests) = (redis.address(), redis.requests.clone());
        loads.push(Load { address, requests, framing: Framing::RedisArray, ..loads[0].clone() });
    }
    let series = in_turns(&loads, effort.rounds)?;
    let redis_rate = redis.as_ref().ok().and(series.get(2)).map(Series::rate);
    let own_tool = redis.as_ref().ok().map(|redis| by_own_tool(redis, effort)).transpose();
    let feast = feast::best_rate(&requests, effort);
    let work = format!("read 1 entity x 10 features, {} rows, {CONNECTIONS} connections", effort.rows);
    let mut row = Measurement::new(names::READ_1X10, work, "reads/s", series[1].rate())
        .at_least(0.75, "floor", Some(series[0].rate()))
        .at_least(1.5, "Redis MGET of 10, same load", redis_rate)
        .compared_with(
            "Redis MGET of 10, redis-benchmark",
            own_tool.as_ref().ok().copied().flatten().map(Figures::from),
        )
        .at_least(20.0, "feast serve", feast.as_ref().ok().copied().map(Figures::from))
        .note(format!("edge {}; floor {}", series[1].latency(), series[0].latency()));
    row.notes.extend(redis.err().map(|why| format!("Redis not measured: {why}")));
    row.notes.extend(own_tool.err().map(|why| format!("redis-benchmark not measured: {why}")));
    row.notes.push("the target applies to the figure under the same load generator; see decision 0009".into());
    row.notes.extend(feast.err().map(|why| format!("feast serve not measured: {why}")));
    Ok(row)
}

/// Returns the median of what Redis's own tool reports.
fn by_own_tool(redis: &redis::Peer, effort: Effort) -> Result<f64, Failure> {
    let requests = (effort.run.as_secs_f64() * OWN_TOOL_RATE) as u64;
    let rates: Result<Vec<_>, _> =
        (0..effort.rounds).map(|_| redis.own_tool_rate(effort.rows, CONNECTIONS, requests)).collect();
    rates.map(|rates| median(&rates))
}

/// Reads of a hundred entities and ten features.
pub fn hundred_entities(setup: &Setup, effort: Effort) -> Result<Measurement, Failure> {
    let requests = feast_reads(data::STATS, MANY, VARIETY / 16, uniform(effort.rows, 2));
    let edge = setup.edge_door(0)?;
    let floor = Floor::start(&answer_to(edge, &requests[0])?)?;
    let series = in_turns(&[http(floor.address, &requests, effort), http(edge, &requests, effort)], effort.rounds)?;
    let feast = feast::best_rate(&requests, effort);
    let work = format!("read {MANY} entities x 10 features, {} rows", effort.rows);
    let mut row = Measurement::new(names::READ_100X10, work, "reads/s", series[1].rate())
        .at_least(0.15, "floor", Some(series[0].rate()))
        .at_least(60.0, "feast serve", feast.as_ref().ok().copied().map(Figures::from))
        .note(format!("edge {}; floor {}", series[1].latency(), series[0].latency()));
    row.notes.extend(feast.err().map(|why| format!("feast serve not measured: {why}")));
    Ok(row)
}

/// Reads of a hundred entities and ten features from many rows, of which a few are far more popular than the others.
pub fn zipf(setup: &Setup, edge: usize, effort: Effort) -> Result<Measurement, Failure> {
    let mut popular = Popular::new(effort.rows_large, 0.99, 3)?;
    let requests = feast_reads(data::WIDE, MANY, VARIETY, || popular.next());
    let edge = setup.edge_door(edge)?;
    let floor = Floor::start(&answer_to(edge, &requests[0])?)?;
    let series = in_turns(&[http(floor.address, &requests, effort), http(edge, &requests, effort)], effort.rounds)?;
    let work = format!("read {MANY} entities x 10 features, {} rows of 200 B, Zipf 0.99", effort.rows_large);
    Ok(Measurement::new(names::READ_ZIPF, work, "reads/s", series[1].rate())
        .at_least(0.12, "floor", Some(series[0].rate()))
        .note(format!("edge {}; floor {}", series[1].latency(), series[0].latency())))
}
