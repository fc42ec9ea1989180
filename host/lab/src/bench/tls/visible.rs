//! From commit at the leader to visible at an edge, with mutual TLS and without.

use super::Pair;
use crate::bench::{
    failure::Failure,
    measurement::{Measurement, median},
    names,
    session::Effort,
    visible::{Door, RATE, follow},
};

/// How much longer it may take with mutual TLS.
const FACTOR: f64 = 1.3;

/// Measures both in turns, and compares the p99.
pub fn measure(secured: &Pair, effort: Effort) -> Result<Measurement, Failure> {
    let plain = Pair::start(effort, false, "")?;
    let (mut own, mut peer) = ((Vec::new(), Vec::new()), (Vec::new(), Vec::new()));
    for _ in 0..effort.rounds {
        for (pair, (p50, p99)) in [(&plain, &mut peer), (secured, &mut own)] {
            let door = Door { address: pair.door(), tls: pair.client.clone() };
            let followed = follow(pair.connection.calls.clone(), door, pair.rows, effort, RATE);
            let seen = pair.runtime.block_on(followed)?;
            p50.push(seen.from_commit.quantile_us(0.5) / 1_000.0);
            p99.push(seen.from_commit.quantile_us(0.99) / 1_000.0);
        }
    }
    let work = format!("commit at the leader to visible at an edge with mutual TLS, p99, {RATE} writes/s");
    Ok(Measurement::new(names::TLS_VISIBLE, work, "ms", &own.1[..])
        .at_most(FACTOR, "without TLS", Some(peer.1[..].into()))
        .note(format!("p50 {:.2} ms; without TLS {:.2} ms", median(&own.0), median(&peer.0))))
}
