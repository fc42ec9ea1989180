//! Reads over kept TLS connections, in turns with a bare server of hyper and rustls that sends the same bytes.

use super::Pair;
use crate::bench::{
    data,
    failure::Failure,
    floor::Floor,
    load::{self, Load},
    machine::processor_time,
    measurement::{Measurement, median},
    names,
    reads::{CONNECTIONS, http},
    requests::{VARIETY, feast_reads, uniform},
    session::Effort,
};

/// What was measured of one server.
#[derive(Default)]
struct Series {
    rates: Vec<f64>,
    p99_us: Vec<f64>,
    /// The server's processor time per read.
    processor_us: Vec<f64>,
}

impl Series {
    fn add(&mut self, load: &Load, pid: u32) -> Result<(), Failure> {
        let before = processor_time(pid);
        let outcome = load::run(load)?;
        let used = processor_time(pid).saturating_sub(before);
        self.rates.push(outcome.rate);
        self.p99_us.push(outcome.latencies.quantile_us(0.99));
        // The processor time includes the time to warm up, a tenth.
        self.processor_us.push(used.as_secs_f64() * 1e6 / (outcome.rate * load.duration.as_secs_f64() * 1.1).max(1.0));
        Ok(())
    }

    fn note(&self) -> String {
        format!("p99 {:.0} us, processor time {:.1} us per read", median(&self.p99_us), median(&self.processor_us))
    }
}

/// Reads of one entity and ten features.
pub fn measure(pair: &Pair, effort: Effort) -> Result<Measurement, Failure> {
    let requests = feast_reads(data::STATS, 1, VARIETY, uniform(effort.rows, 1));
    let answer = pair.answer_to(&requests[0])?;
    let floor = Floor::start_tls(&answer, pair.cert()?)?;
    let load = |address| Load { tls: pair.client.clone(), ..http(address, &requests, effort) };
    let (mut own, mut bare) = (Series::default(), Series::default());
    for _ in 0..effort.rounds {
        bare.add(&load(floor.address), floor.pid())?;
        own.add(&load(pair.door()), pair.edge.pid())?;
    }
    let work = format!("read 1 entity x 10 features over TLS, {} rows, {CONNECTIONS} kept connections", effort.rows);
    Ok(Measurement::new(names::TLS_READ, work, "reads/s", &own.rates[..])
        .at_least(0.95, "bare hyper and rustls", Some(bare.rates[..].into()))
        .note(format!("edge {}; bare {}", own.note(), bare.note())))
}
