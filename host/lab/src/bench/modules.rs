//! Reads through the `delay_risk` module, in a warm and in a fresh instance, compared with the floor.

use crate::bench::{
    Args,
    failure::Failure,
    flights,
    floor::Floor,
    measurement::Measurement,
    names, reads,
    session::{Effort, progress},
    setup::{Setup, answer_to},
};

/// The configuration of an edge with a fresh instance for each call.
const FRESH: &str = "[modules]\ninstances = \"fresh\"\n";

/// How long a module may take to become ready at an edge.
const READY_MAX: std::time::Duration = std::time::Duration::from_secs(30);

/// Makes those of the two measurements that are requested.
pub fn measure(args: &Args, setup: &mut Setup, effort: Effort, out: &mut Vec<Measurement>) {
    let wanted: Vec<_> =
        [names::MODULE_WARM, names::MODULE_FRESH].into_iter().filter(|name| args.wants(name)).collect();
    if wanted.is_empty() {
        return;
    }
    progress("building delay_risk, loading the flight sample");
    if let Err(failure) = flights::load(setup) {
        out.extend(wanted.into_iter().map(|name| Measurement::failed(name, &failure)));
        return;
    }
    for name in wanted {
        progress(name);
        let measured = match name {
            names::MODULE_WARM => through(setup, 0, name, "warm instance", 0.6, effort),
            _ => setup
                .add_edge(Some(FRESH))
                .and_then(|edge| setup.catch_up().map(|()| edge))
                .and_then(|edge| through(setup, edge, name, "fresh instance per call", 0.4, effort)),
        };
        out.push(measured.unwrap_or_else(|failure| Measurement::failed(name, failure)));
    }
}

fn through(
    setup: &Setup,
    edge: usize,
    name: &'static str,
    policy: &str,
    factor: f64,
    effort: Effort,
) -> Result<Measurement, Failure> {
    let requests = flights::requests(setup)?;
    let edge = setup.edge_door(edge)?;
    let deadline = std::time::Instant::now() + READY_MAX;
    let answer = loop {
        match answer_to(edge, &requests[0]) {
            Ok(answer) => break answer,
            Err(failure) if std::time::Instant::now() > deadline => return Err(failure),
            Err(_) => std::thread::sleep(std::time::Duration::from_millis(100)),
        }
    };
    let floor = Floor::start(&answer)?;
    let loads = [reads::http(floor.address, &requests, effort), reads::http(edge, &requests, effort)];
    let series = reads::in_turns(&loads, effort.rounds)?;
    Ok(Measurement::new(name, format!("read through delay_risk, one route, {policy}"), "reads/s", series[1].rate())
        .at_least(factor, "floor", Some(series[0].rate()))
        .note(format!("edge {}; floor {}", series[1].latency(), series[0].latency())))
}
