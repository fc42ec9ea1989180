//! The settings of the gateway.

use littoral_http::{
    Limits,
    browsers::{Hosts, Origins},
};
use serde::Deserialize;
use std::time::Duration;

/// The settings of the gateway.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// How long a request without `littoral-timeout-ms` may take with all its retries, in milliseconds. Default 30,000.
    pub timeout_ms: u64,
    /// The longest time that a request may demand, in milliseconds. Default 120,000.
    pub timeout_ms_max: u64,
    /// How long one door may take before a read is also sent to the next one, in milliseconds. A wait that the read
    /// itself demands is added. Default 1,000.
    pub attempt_timeout_ms: u64,
    /// How long connecting to a door may take, in milliseconds. The TLS handshake may take as long again. Default 500.
    pub connect_timeout_ms: u64,
    /// The number of doors that one request may be sent to. After that, it is sent once to each region that has not
    /// received it. Doors that refuse the connection do not count. Default 3.
    pub attempts_max: u32,
    /// The number of concurrent requests to one door. Further ones go to others, and to this one only when no other is
    /// left. Default 1,024.
    pub in_flight_max: u32,
    /// Web sites whose pages may use the router, as `https://console.example.org`. A request with another `Origin`, as
    /// browsers send it, is rejected. An accepted request is forwarded without it. Default none.
    pub origins: Origins,
    /// Names by which clients reach a router on a loopback address, as that of a reverse proxy on this host. A request
    /// whose `Host` is neither one of them nor a loopback name is rejected. Default none.
    pub hosts: Hosts,
    /// Whether the router rejects every request but reads, with 403. Default false.
    pub read_only: bool,
    /// The number of concurrent connections of clients. When they are used up, an idle one of the client that has the
    /// most gives way to a new one. While requests run on all of them, the router's own endpoints are still answered.
    /// Default 10,000.
    pub connections_max: usize,
    /// Connections that one client address may have, or one IPv6 network of 56 bits, or the owner of one certificate.
    /// Beyond it, its own idle ones give way. Does not apply to clients of `router.trust` and proxies of
    /// `router.place`. Default 0, for half of `connections_max`: no address alone can use up all places with running
    /// requests, and clients that share an address have enough.
    pub connections_per_address_max: usize,
    /// The number of concurrent requests. Further ones are answered with 503 and `retry-after`. Default 4,096.
    pub requests_max: usize,
    /// Bytes of a read's body. Default 8 MiB.
    pub read_bytes_max: usize,
    /// Bytes of a write's body, and of an uploaded module. Default 64 MiB.
    pub write_bytes_max: usize,
    /// Bytes of a write's body that are held so that the write can be retried. A larger body is forwarded as it
    /// arrives, and is not retried once a part of it was sent. Default 1 MiB.
    pub replay_bytes_max: usize,
    /// Bytes of an answer to a read that are held until it is complete, so that the read can be retried elsewhere. A
    /// larger answer is forwarded as it arrives. Default 1 MiB.
    pub answer_bytes_held_max: usize,
    /// Bytes that held bodies and answers may use together; those under 64 KiB are not counted. Further requests are
    /// answered with 503 and `retry-after`, further answers are forwarded as they arrive. Default 512 MiB.
    pub held_bytes_max: usize,
    /// How long a connection may take to send a request's head, in milliseconds; also how long it may be idle.
    /// Default 60,000.
    pub header_timeout_ms: u64,
    /// How long a client may leave an answer unread, and a door an answer unfinished, in milliseconds. Default 30,000.
    pub stall_timeout_ms: u64,
    /// The number of connections to one door that are kept for further requests. Default 256.
    pub idle_connections_max: usize,
    /// How long such a connection is kept, in milliseconds. It must be below the door's own `header_timeout_ms`.
    /// Default 30,000.
    pub idle_ms: u64,
    /// How long running requests may continue after shutdown begins, in milliseconds. Default 5,000.
    pub drain_ms: u64,
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
            read_only: false,
            connections_max: 10_000,
            connections_per_address_max: 0,
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
        }
    }
}

impl Config {
    /// The keys that a running router does not change: its listeners and its connections to doors are built with them.
    pub const FIXED: [&str; 9] = [
        "origins",
        "hosts",
        "connections_max",
        "connections_per_address_max",
        "header_timeout_ms",
        "stall_timeout_ms",
        "idle_connections_max",
        "idle_ms",
        "drain_ms",
    ];

    /// Returns these settings with the values that `running` has for [`Self::FIXED`].
    pub(crate) fn with_fixed(self, running: &Self) -> Self {
        Self {
            origins: running.origins.clone(),
            hosts: running.hosts.clone(),
            connections_max: running.connections_max,
            connections_per_address_max: running.connections_per_address_max,
            header_timeout_ms: running.header_timeout_ms,
            stall_timeout_ms: running.stall_timeout_ms,
            idle_connections_max: running.idle_connections_max,
            idle_ms: running.idle_ms,
            drain_ms: running.drain_ms,
            ..self
        }
    }

    pub(crate) fn attempt_timeout(&self) -> Duration {
        Duration::from_millis(self.attempt_timeout_ms.max(1))
    }

    pub(crate) fn connect_timeout(&self) -> Duration {
        Duration::from_millis(self.connect_timeout_ms.max(1))
    }

    /// Returns the bounds of the listener and its connections.
    pub(crate) fn limits(&self) -> Limits {
        Limits {
            connections_max: self.connections_max,
            connections_per_address_max: Limits::per_address(self.connections_per_address_max, self.connections_max),
            header_timeout: Duration::from_millis(self.header_timeout_ms.max(1)),
            write_timeout: self.stall_timeout(),
            drain: Duration::from_millis(self.drain_ms),
        }
    }

    pub(crate) fn stall_timeout(&self) -> Duration {
        Duration::from_millis(self.stall_timeout_ms.max(1))
    }

    pub(crate) fn idle(&self) -> Duration {
        Duration::from_millis(self.idle_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_running_router_keeps_the_fixed_keys_and_no_others() {
        let unknown = toml::from_str::<Config>("no_such_key = 1").unwrap_err().to_string();
        let known = unknown.split("expected").nth(1).unwrap().split('`').skip(1).step_by(2);
        let keys: Vec<_> = known.collect();
        assert!(keys.len() > 20 && Config::FIXED.iter().all(|key| keys.contains(key)), "{unknown}");
        for key in keys {
            let values = ["7", "true", r#"["https://a.example"]"#, r#"["a.example"]"#];
            let parsed = values.iter().filter_map(|value| toml::from_str(&format!("{key} = {value}")).ok());
            let changed: Config = parsed.into_iter().find(|config| *config != Config::default()).unwrap();
            let is_kept = changed.with_fixed(&Config::default()) == Config::default();
            assert_eq!(is_kept, Config::FIXED.contains(&key), "{key}");
        }
    }
}
