//! The settings of the doors.

use littoral_http::{
    BodyBudget, Limits,
    browsers::{Hosts, Origins},
};
use littoral_runtime::bounds::{self, COUNT_MAX, OutOfBounds};
use serde::Deserialize;
use std::time::Duration;

/// The settings of the doors. Each bound prevents a client, careless or hostile, from using more than its share.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Web sites whose pages may use the doors, as `https://console.example.org`. A request with another `Origin`, as
    /// browsers send it, is rejected. Default none.
    pub origins: Origins,
    /// Names by which clients reach doors on a loopback address, as that of a reverse proxy on this host. A request
    /// whose `Host` is neither one of them nor a loopback name is rejected. Default none.
    pub hosts: Hosts,
    /// Whether the door rejects writes, and changes of definitions and modules, with 403. Administration at
    /// `admin_listen` is not affected. Default false.
    pub read_only: bool,
    /// Concurrent connections. When they are used up, an idle one of the client that has the most gives way to a new
    /// one. While requests run on all of them, health, readiness, status and metrics are still answered. Default
    /// 10,000.
    pub connections_max: usize,
    /// Connections that one client address may have, or one IPv6 network of 56 bits, or the owner of one certificate.
    /// Beyond it, its own idle ones give way. Does not apply to clients of `auth.trust`. Default 0, for half of
    /// `connections_max`: no address alone can use up all places with running requests, and clients that share an
    /// address have enough.
    pub connections_per_address_max: usize,
    /// Concurrent requests. Further ones are answered with 503 and `retry-after`. Default 2,048.
    pub requests_max: usize,
    /// Concurrent requests that wait: reads for the freshness that they demand, writes for their durability. They do
    /// not count towards `requests_max`. Further ones are answered with 503, `too_many_waiting`, and `retry-after`.
    /// Default 10,000.
    pub waiting_requests_max: usize,
    /// Bytes of a read's body. Default 8 MiB.
    pub read_bytes_max: usize,
    /// Bytes of a write's body. Default 64 MiB.
    pub write_bytes_max: usize,
    /// Bytes of an uploaded module. Default 64 MiB.
    pub module_bytes_max: usize,
    /// Bytes that the bodies of all requests together may use; bodies under 64 KiB are not counted. Further ones are
    /// answered with 503 and `retry-after`. At least one body always fits. Default 512 MiB.
    pub bodies_bytes_max: usize,
    /// Rows of one read. Default 20,000.
    pub read_rows_max: usize,
    /// Values of one read: rows times columns. Default 2,000,000.
    pub read_values_max: usize,
    /// Bytes of one answer. Default 256 MiB.
    pub answer_bytes_max: usize,
    /// Bytes that all answers together may use until their clients have read them; answers under 64 KiB are not
    /// counted. Further ones are answered with 503 and `retry-after`. At least one answer always fits. Default 1 GiB.
    pub answers_bytes_max: usize,
    /// Rows of one write. Default 100,000.
    pub write_rows_max: usize,
    /// Bytes of keys and packed rows that one write may produce. Default 256 MiB.
    pub write_packed_bytes_max: usize,
    /// How long a connection may take to send a request's head, in milliseconds; also how long it may be idle.
    /// Default 60,000.
    pub header_timeout_ms: u64,
    /// How long a request's body may take, in milliseconds. Default 30,000.
    pub body_timeout_ms: u64,
    /// How long a client may leave an answer unread, in milliseconds: 64 KiB of a large one, anything of a small one.
    /// Default 30,000.
    pub write_timeout_ms: u64,
    /// The longest wait that a read may demand, in milliseconds. Longer ones are shortened to it. Default 30,000.
    pub wait_max_ms: u64,
    /// Whether `/metrics` also has the counts of Feast's feature server under its names, for existing dashboards.
    /// Default false.
    pub feast_metrics: bool,
    /// How long running requests may continue after shutdown begins, in milliseconds. Default 5,000.
    pub drain_ms: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            origins: Origins::default(),
            hosts: Hosts::default(),
            read_only: false,
            connections_max: 10_000,
            connections_per_address_max: 0,
            requests_max: 2_048,
            waiting_requests_max: 10_000,
            read_bytes_max: 8 << 20,
            write_bytes_max: 64 << 20,
            module_bytes_max: 64 << 20,
            bodies_bytes_max: 512 << 20,
            read_rows_max: 20_000,
            read_values_max: 2_000_000,
            answer_bytes_max: 256 << 20,
            answers_bytes_max: 1 << 30,
            write_rows_max: 100_000,
            write_packed_bytes_max: 256 << 20,
            header_timeout_ms: 60_000,
            body_timeout_ms: 30_000,
            write_timeout_ms: 30_000,
            wait_max_ms: 30_000,
            feast_metrics: false,
            drain_ms: 5_000,
        }
    }
}

impl Config {
    /// The keys that a running door does not change: its listeners and their connections are built with them.
    pub const FIXED: [&str; 8] = [
        "origins",
        "hosts",
        "connections_max",
        "connections_per_address_max",
        "header_timeout_ms",
        "write_timeout_ms",
        "feast_metrics",
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
            write_timeout_ms: running.write_timeout_ms,
            feast_metrics: running.feast_metrics,
            drain_ms: running.drain_ms,
            ..self
        }
    }

    /// Returns every setting that is out of bounds.
    #[must_use]
    pub fn problems(&self) -> Vec<OutOfBounds> {
        let places = [
            ("connections_max", self.connections_max as u64),
            ("requests_max", self.requests_max as u64),
            ("waiting_requests_max", self.waiting_requests_max as u64),
        ];
        let others = [
            ("read_rows_max", self.read_rows_max as u64),
            ("read_values_max", self.read_values_max as u64),
            ("write_rows_max", self.write_rows_max as u64),
            ("read_bytes_max", self.read_bytes_max as u64),
            ("write_bytes_max", self.write_bytes_max as u64),
            ("module_bytes_max", self.module_bytes_max as u64),
            ("bodies_bytes_max", self.bodies_bytes_max as u64),
            ("answer_bytes_max", self.answer_bytes_max as u64),
            ("answers_bytes_max", self.answers_bytes_max as u64),
            ("write_packed_bytes_max", self.write_packed_bytes_max as u64),
            ("header_timeout_ms", self.header_timeout_ms),
            ("body_timeout_ms", self.body_timeout_ms),
            ("write_timeout_ms", self.write_timeout_ms),
        ];
        bounds::check(1..=COUNT_MAX, places).chain(bounds::check(1..=u64::MAX, others)).collect()
    }

    /// Creates the memory for large bodies.
    pub(crate) fn bodies_budget(&self) -> BodyBudget {
        BodyBudget::new(self.bodies_bytes_max, self.largest_body())
    }

    /// Returns the size of the largest body, in bytes.
    pub(crate) fn largest_body(&self) -> usize {
        self.read_bytes_max.max(self.write_bytes_max).max(self.module_bytes_max)
    }

    /// Creates the memory for large answers.
    pub(crate) fn answers_budget(&self) -> BodyBudget {
        BodyBudget::for_answers(self.answers_bytes_max, self.answer_bytes_max)
    }

    /// Returns the bounds of the listener and its connections.
    pub(crate) fn limits(&self) -> Limits {
        Limits {
            connections_max: self.connections_max,
            connections_per_address_max: Limits::per_address(self.connections_per_address_max, self.connections_max),
            header_timeout: Duration::from_millis(self.header_timeout_ms.max(1)),
            write_timeout: Duration::from_millis(self.write_timeout_ms.max(1)),
            drain: Duration::from_millis(self.drain_ms),
        }
    }

    pub(crate) fn body_timeout(&self) -> Duration {
        Duration::from_millis(self.body_timeout_ms.max(1))
    }

    pub(crate) fn wait_max(&self) -> Duration {
        Duration::from_millis(self.wait_max_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_running_door_keeps_the_fixed_keys_and_no_others() {
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
