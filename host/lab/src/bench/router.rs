//! Reads through `littoral router`, in turns with the same load through HAProxy with plain round-robin.

use crate::bench::{
    data,
    failure::Failure,
    measurement::Measurement,
    names,
    reads::{CONNECTIONS, http, in_turns},
    requests::{VARIETY, feast_reads, uniform},
    session::Effort,
    setup::{Setup, answer_to, executable},
};
use littoral_provision::{Router, haproxy::Haproxy};
use std::net::SocketAddr;

/// Returns a topology with both edges in one region, so that both proxies use the same servers.
fn topology(doors: &[SocketAddr]) -> String {
    let edges = doors.iter().enumerate();
    let edges: Vec<_> = edges.map(|(index, door)| format!("{{ name = \"e{index}\", door = \"{door}\" }}")).collect();
    format!(
        "role = \"topology\"\nname = \"bench\"\npattern = \"active_active\"\n[[regions]]\nname = \"local\"\nlatitude = 0.0\n\
         longitude = 0.0\nedges = [{}]\n",
        edges.join(", ")
    )
}

/// Reads one entity and ten features through each of the proxies, and from an edge directly.
pub fn measure(setup: &Setup, effort: Effort) -> Result<Measurement, Failure> {
    let requests = feast_reads(data::STATS, 1, VARIETY, uniform(effort.rows, 1));
    let doors: Vec<_> = setup.cluster.edges.iter().map(|edge| edge.ready.door).collect();
    let direct = *doors.first().ok_or_else(|| Failure("there is no edge".to_owned()))?;
    let dir = tempfile::tempdir()?;
    let config = "[logging]\nlevel = \"warn\"\n";
    let router = Router::start(dir.path(), &topology(&doors), config, Some(&executable()?))?;
    answer_to(router.door, &requests[0])?;
    let haproxy = Haproxy::start(&doors);
    let mut loads = vec![http(direct, &requests, effort), http(router.door, &requests, effort)];
    if let Ok(haproxy) = &haproxy {
        loads.push(http(haproxy.address, &requests, effort));
    }
    let series = in_turns(&loads, effort.rounds)?;
    let peer = haproxy.as_ref().ok().and(series.get(2));
    let work = format!("read 1 entity x 10 features through littoral router, two edges, {CONNECTIONS} connections");
    let mut row = Measurement::new(names::ROUTER, work, "reads/s", series[1].rate())
        .at_least(0.6, "haproxy round-robin", peer.map(crate::bench::reads::Series::rate))
        .note(format!(
            "router {}; directly from an edge {:.0} reads/s, {}",
            series[1].latency(),
            series[0].rate().median(),
            series[0].latency()
        ));
    row.notes.extend(peer.map(|peer| format!("haproxy {}", peer.latency())));
    row.notes.extend(haproxy.err().map(|why| format!("haproxy not measured: {why}")));
    Ok(row)
}
