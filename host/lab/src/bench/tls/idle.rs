//! The memory of idle connections with TLS, beside plain ones. Each has carried one read.

use super::{Pair, client};
use crate::bench::{
    data,
    failure::Failure,
    load::{self, Load},
    measurement::Measurement,
    names,
    reads::http,
    requests::{VARIETY, feast_reads, uniform},
    session::Effort,
};
use littoral_provision::http::read_answer;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::{
    io::{BufReader, Read, Write},
    net::TcpStream,
};

/// How much more memory a connection may use with TLS, in KiB.
const BEYOND_KIB_MAX: f64 = 20.0;

/// File descriptors of this process and of the edge besides the connections.
const OTHER_DESCRIPTORS: u64 = 256;

/// Measures the memory per connection with TLS and without.
pub fn measure(effort: Effort) -> Result<Measurement, Failure> {
    let connections = effort.idle_connections;
    allow_descriptors(connections as u64 + OTHER_DESCRIPTORS)?;
    let plain = per_connection_kib(effort, false)?;
    let secured = per_connection_kib(effort, true)?;
    let work = format!("resident memory of an idle TLS connection at the edge, {connections} connections");
    Ok(Measurement::new(names::TLS_IDLE, work, "KiB", secured)
        .at_most(1.0, &format!("a plain one and {BEYOND_KIB_MAX} KiB"), Some((plain + BEYOND_KIB_MAX).into()))
        .note(format!("{:.1} KiB beyond a plain connection, which takes {plain:.1} KiB", secured - plain)))
}

fn per_connection_kib(effort: Effort, with_tls: bool) -> Result<f64, Failure> {
    let count = effort.idle_connections;
    let config = format!(
        "[door]\nconnections_max = {}\nconnections_per_address_max = {count}\nheader_timeout_ms = 600000\n",
        count + 64
    );
    let pair = Pair::start(effort, with_tls, &config)?;
    let requests = feast_reads(data::STATS, 1, VARIETY, uniform(effort.rows, 6));
    // What the first reads allocate is not the connections'.
    load::run(&Load { tls: pair.client.clone(), ..http(pair.door(), &requests, effort) })?;
    let before = pair.edge.resident_bytes();
    let mut held = Vec::with_capacity(count);
    for number in 0..count {
        let connected = match &pair.client {
            None => read(pair.connect_plain()?, &requests[0], |stream| stream),
            Some(tls) => read(client::secured(tls.clone(), pair.door())?, &requests[0], |stream| stream.sock),
        };
        let stream = connected.map_err(|error| Failure::new(format_args!("connection {number} of {count}"), error))?;
        held.push(stream);
    }
    let grown = pair.edge.resident_bytes().saturating_sub(before);
    // A connection that the edge has closed would use no memory.
    for stream in &held {
        stream.set_nonblocking(true)?;
        if stream.peek(&mut [0]).is_ok_and(|bytes| bytes == 0) {
            return Err(Failure("the edge has closed an idle connection".to_owned()));
        }
    }
    Ok(grown as f64 / 1_024.0 / count as f64)
}

/// Carries out a read. Returns the socket, which stays open.
fn read<S: Read + Write>(
    mut stream: S,
    request: &[u8],
    socket: impl FnOnce(S) -> TcpStream,
) -> Result<TcpStream, Failure> {
    stream.write_all(request)?;
    let mut reader = BufReader::new(stream);
    let (answer, _) = read_answer(&mut reader, false)?;
    if answer.status == 200 { Ok(socket(reader.into_inner())) } else { Err(Failure::new("a read", answer.text())) }
}

/// Raises the limit of this process's file descriptors, which the edge inherits, to `needed` if it is lower.
fn allow_descriptors(needed: u64) -> Result<(), Failure> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current.is_none_or(|current| current >= needed) {
        return Ok(());
    }
    if let Some(maximum) = maximum.filter(|maximum| *maximum < needed) {
        return Err(Failure(format!(
            "it needs {needed} file descriptors, and the hard limit is {maximum}; raise it (ulimit -Hn {needed}, or \
             LimitNOFILE= of the service) and run again"
        )));
    }
    let raised = setrlimit(Resource::Nofile, Rlimit { current: Some(needed), maximum });
    raised.map_err(|error| Failure::new(format_args!("raising the limit of file descriptors to {needed}"), error))
}
