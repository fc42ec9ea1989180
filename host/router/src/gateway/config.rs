//! What can be set for the gateway.

use littoral_runtime::{
    Draining,
    browsers::{Hosts, Origins},
    metrics::Metrics,
    reactors::Reactors,
};
use serde::Deserialize;
use std::time::Duration;

/// The gateway's bounds.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// How long a request may take with all its retries, in milliseconds, unless it says otherwise in
    /// `littoral-timeout-ms`. Default 30,000.
    pub timeout_ms: u64,
    /// The longest that a request may ask for, in milliseconds. Default 120,000.
    pub timeout_ms_max: u64,
    /// How long one door may take before a read is sent to the next one too, in milliseconds; a wait that the read
    /// itself demands comes on top. Default 1,000.
    pub attempt_timeout_ms: u64,
    /// How long a connection to a door may take, in milliseconds. Default 500.
    pub connect_timeout_ms: u64,
    /// Doors that one request may be sent to, and then once to each region that it has not been to. Doors that cannot be
    /// connected to do not count. A count. Default 3.
    pub attempts_max: u32,
    /// Requests to one door at once; further ones go to others, and here only when none is left. A count. Default 1,024.
    pub in_flight_max: u32,
    /// Web sites whose pages may use the router, as `https://console.example.org`. A request that carries another `Origin`, as
    /// browsers send it, is refused. What is taken is passed on without it. Default none.
    pub origins: Origins,
    /// Names under which a router on a loopback address is reached, as that of a reverse proxy on this host. A request with
    /// another `Host` that is no loopback name is refused. Default none.
    pub hosts: Hosts,
    /// Connections of clients at once; further ones wait in the system's backlog. A count. Default 10,000.
    pub connections_max: usize,
    /// Requests at once; further ones are answered with 503 and `retry-after`. A count. Default 4,096.
    pub requests_max: usize,
    /// Bytes of a read's body. Default 8 MiB.
    pub read_bytes_max: usize,
    /// Bytes of a write's body, and of an uploaded module. Default 64 MiB.
    pub write_bytes_max: usize,
    /// Bytes of a write's body that are held so that it can be retried; a larger one is passed on as it comes, and is
    /// not retried once it was begun. Default 1 MiB.
    pub replay_bytes_max: usize,
    /// Bytes of an answer to a read that are held until it is whole, so that it can be asked for again elsewhere; a
    /// larger one is passed on as it comes. Default 1 MiB.
    pub answer_bytes_held_max: usize,
    /// Bytes that held bodies and answers may take together, those under 64 KiB not counted; further requests are
    /// answered with 503 and `retry-after`, further answers are passed on as they come. Default 512 MiB.
    pub held_bytes_max: usize,
    /// How long a connection may take to send a request's head, in milliseconds; also how long it may be idle.
    /// Default 60,000.
    pub header_timeout_ms: u64,
    /// How long a client may leave an answer unread, and a door may leave one unfinished, in milliseconds. Default
    /// 30,000.
    pub stall_timeout_ms: u64,
    /// Connections to one door that are kept for further requests. A count. Default 256.
    pub idle_connections_max: usize,
    /// How long such a connection is kept, in milliseconds; below the door's own `header_timeout_ms`. Default 30,000.
    pub idle_ms: u64,
    /// How long running requests may go on once the router is stopping, in milliseconds. Default 5,000.
    pub drain_ms: u64,
    /// The build, as status says it.
    #[serde(skip)]
    pub build: &'static str,
    /// What `/metrics` answers with. Without it there is no such route.
    #[serde(skip)]
    pub metrics: Option<Metrics>,
    /// The threads that serve connections. Without any, the runtime that the gateway is opened on serves them.
    #[serde(skip)]
    pub reactors: Reactors,
    /// Whether the process is about to stop: the router is then not ready, and each answer ends its connection.
    #[serde(skip)]
    pub draining: Draining,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            timeout_ms: 30_000,
            timeout_ms_max: 120_000,
            attempt_timeout_ms: 1_000,
            connect_timeout_ms: 500,
            attempts_max: 3,
            in_flight_max: 1_024,
            origins: Origins::default(),
            hosts: Hosts::default(),
            connections_max: 10_000,
            requests_max: 4_096,
            read_bytes_max: 8 << 20,
            write_bytes_max: 64 << 20,
            replay_bytes_max: 1 << 20,
            answer_bytes_held_max: 1 << 20,
            held_bytes_max: 512 << 20,
            header_timeout_ms: 60_000,
            stall_timeout_ms: 30_000,
            idle_connections_max: 256,
            idle_ms: 30_000,
            drain_ms: 5_000,
            build: env!("CARGO_PKG_VERSION"),
            metrics: None,
            reactors: Reactors::default(),
            draining: Draining::default(),
        }
    }
}

impl Config {
    pub(crate) fn attempt_timeout(&self) -> Duration {
        Duration::from_millis(self.attempt_timeout_ms.max(1))
    }

    pub(crate) fn connect_timeout(&self) -> Duration {
        Duration::from_millis(self.connect_timeout_ms.max(1))
    }

    pub(crate) fn header_timeout(&self) -> Duration {
        Duration::from_millis(self.header_timeout_ms.max(1))
    }

    pub(crate) fn stall_timeout(&self) -> Duration {
        Duration::from_millis(self.stall_timeout_ms.max(1))
    }

    pub(crate) fn idle(&self) -> Duration {
        Duration::from_millis(self.idle_ms)
    }

    pub(crate) fn drain(&self) -> Duration {
        Duration::from_millis(self.drain_ms)
    }
}
