//! Full TLS handshakes, in turns with nginx, which has the same certificate.

use super::{Pair, client};
use crate::bench::{
    failure::Failure,
    load::yield_to_servers,
    machine::processor_time,
    measurement::{Measurement, median},
    names,
    session::Effort,
};
use littoral_provision::nginx::Nginx;
use rustls::ClientConfig;
use std::{
    io,
    net::SocketAddr,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

/// Clients, each of which performs one handshake after the other.
const CLIENTS: usize = 8;

/// What was measured of one server.
#[derive(Default)]
struct Series {
    /// Handshakes per second of each round.
    rates: Vec<f64>,
    /// The server's processor time per handshake of each round, in microseconds.
    processor_us: Vec<f64>,
}

impl Series {
    fn add(&mut self, config: &Arc<ClientConfig>, address: SocketAddr, pid: u32, run: Duration) -> Result<(), Failure> {
        let (before, begun) = (processor_time(pid), Instant::now());
        let count = perform(config, address, run)?;
        self.rates.push(count as f64 / begun.elapsed().as_secs_f64());
        let used = processor_time(pid).saturating_sub(before);
        self.processor_us.push(used.as_secs_f64() * 1e6 / count.max(1) as f64);
        Ok(())
    }
}

/// Measures both servers in turns.
pub fn measure(pair: &Pair, effort: Effort) -> Result<Measurement, Failure> {
    let config = client::unchecking().map_err(|error| Failure::new("a client", error))?;
    let nginx = Nginx::start(pair.cert()?);
    let (mut own, mut peer) = (Series::default(), Series::default());
    let pid = pair.edge.pid();
    for _ in 0..effort.rounds {
        if let Ok(nginx) = &nginx {
            peer.add(&config, nginx.address, nginx.pid(), effort.run)?;
        }
        own.add(&config, pair.door(), pid, effort.run)?;
    }
    let work = format!("full TLS 1.3 handshakes, X25519 and ECDSA P-256, {CLIENTS} clients");
    let rates = nginx.is_ok().then(|| peer.rates[..].into());
    let mut row = Measurement::new(names::TLS_HANDSHAKES, work, "handshakes/s", &own.rates[..])
        .at_least(0.9, "nginx, same certificate", rates)
        .note(format!("processor time of a handshake at the edge {:.0} us", median(&own.processor_us)));
    match nginx {
        Ok(_) => row.notes.push(format!("at nginx {:.0} us", median(&peer.processor_us))),
        Err(missing) => {
            eprintln!("warning: {missing}; without it, {} has nothing to be compared with", names::TLS_HANDSHAKES);
            row.notes.push(format!("nginx not measured: {missing}"));
        }
    }
    Ok(row)
}

/// Performs handshakes for this long, each until the server has completed it. Returns their number.
fn perform(config: &Arc<ClientConfig>, address: SocketAddr, run: Duration) -> Result<u64, Failure> {
    let begun = Instant::now();
    let counted: io::Result<u64> = thread::scope(|scope| {
        let count = || {
            yield_to_servers();
            let mut count = 0;
            while begun.elapsed() < run {
                client::ticket(&mut client::secured(config.clone(), address)?)?;
                count += 1;
            }
            Ok(count)
        };
        let threads: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(count)).collect();
        let panicked = |_| Err(io::Error::other("a thread panicked"));
        threads.into_iter().map(|thread| thread.join().unwrap_or_else(panicked)).sum()
    });
    counted.map_err(|error| Failure::new(format_args!("handshakes with {address}"), error))
}
