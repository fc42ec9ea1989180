//! The limits of the peer listener.

use littoral_model::{format::ProtocolVersion, pattern::Pattern, region::Region};
use littoral_runtime::bounds::{self, COUNT_MAX, OutOfBounds};
use serde::Deserialize;
use std::{collections::BTreeMap, time::Duration};

/// The server's configuration.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The longest time between two heartbeats to a subscriber, in milliseconds. Pings are answered at once in
    /// addition. Default: 100.
    pub heartbeat_ms: u32,
    /// The maximum number of subscribers; further ones are rejected with status 503. With TLS, one node may have as
    /// many as it leaves free. Default: 512.
    pub subscribers_max: usize,
    /// The maximum number of connections; further ones are closed after their handshake. With TLS, one node may have
    /// as many as it leaves free. In addition a quarter of this number may be in their handshake. Default: 1024.
    pub connections_max: usize,
    /// How many bytes may wait for one subscriber until they are written to its socket. Default: 4 MiB.
    pub subscriber_bytes_max: usize,
    /// How many bytes may wait for all subscribers together, plus one frame of each. Half of it is guaranteed to them
    /// in equal shares, so that subscribers that do not read leave enough memory to the others. Bytes that all
    /// subscribers receive from the same memory do not count. Default: 128 MiB.
    pub subscribers_bytes_max: usize,
    /// How long a subscriber may leave its bound or the common one exhausted before it is disconnected, in
    /// milliseconds. It may resume. The publisher sees that the subscriber reads only after half of HTTP/2's window, 2
    /// MiB, has arrived. So a link that carries less than that in this time never completes a long snapshot. Default:
    /// 30000, for 70 KB a second.
    pub slow_timeout_ms: u64,
    /// How long a peer may be silent before it is disconnected, in milliseconds; subscribers send pings continuously.
    /// Also bounds how long a connection may have no stream. Default: 10000.
    pub idle_timeout_ms: u64,
    /// How long a subscriber may take to send its hello, in milliseconds. Default: 5000.
    pub hello_timeout_ms: u64,
    /// The approximate number of bytes of records in one frame. Default: 256 KiB.
    pub records_bytes: usize,
    /// The approximate number of bytes of a snapshot's rows in one frame. Default: 256 KiB.
    pub snapshot_bytes: usize,
    /// How many calls of one node may run at once, over all of its connections; further ones are not read from the
    /// socket. Without TLS, each connection counts as a node. Default: 1024.
    pub calls_in_flight_max: usize,
    /// How many bytes of calls of one node may be processed at once; a larger call runs alone. Default: 128 MiB.
    pub calls_bytes_max: usize,
    /// How many bytes of replies may wait for one connection. Default: 8 MiB.
    pub answers_bytes_max: usize,
    /// How many bytes of replies may wait for all connections together, plus one reply of each. Half of it is
    /// guaranteed to them in equal shares. Default: 256 MiB.
    pub all_answers_bytes_max: usize,
    /// Which subscribers receive the feed compressed, if they can read that. Default: `auto`.
    pub compression: Compression,
    /// How many bytes a second the nodes of a region may be sent, by the region's name: records first, snapshots with
    /// what remains. Default: none; no region has a limit.
    pub bandwidth_max: BTreeMap<Region, u64>,
    /// The views that edges and relays may read, by the identity in their certificate. Default: none; each may read all
    /// views.
    pub grants: Vec<ViewGrant>,
    /// The newest protocol version that this node speaks; it comes from the key `protocol_version`.
    #[serde(skip)]
    pub version: ProtocolVersion,
}

/// Which subscribers receive the feed compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Compression {
    /// Those in another region: bytes between regions cost money, and bytes inside one usually do not.
    #[default]
    Auto,
    /// All.
    Always,
    /// None.
    Off,
}

/// `[[feed.grants]]`: nodes, and views that they may read. Once there is a grant, an edge or a relay may read only what
/// its grants list.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ViewGrant {
    /// The identities of the nodes: `*` stands for any characters.
    pub to: Pattern,
    /// The stored names of the views: `*` stands for any characters of the project, or of the name inside it.
    pub views: Vec<Pattern>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            heartbeat_ms: 100,
            subscribers_max: 512,
            connections_max: 1_024,
            subscriber_bytes_max: 4 << 20,
            subscribers_bytes_max: 128 << 20,
            slow_timeout_ms: 30_000,
            idle_timeout_ms: 10_000,
            hello_timeout_ms: 5_000,
            records_bytes: 256 << 10,
            snapshot_bytes: 256 << 10,
            calls_in_flight_max: 1_024,
            calls_bytes_max: 128 << 20,
            answers_bytes_max: 8 << 20,
            all_answers_bytes_max: 256 << 20,
            compression: Compression::Auto,
            bandwidth_max: BTreeMap::new(),
            grants: Vec::new(),
            version: ProtocolVersion::NEWEST,
        }
    }
}

impl Config {
    /// The keys that a running listener does not change: it keeps file descriptors for so many connections, and nodes
    /// that are connected keep their bounds on calls.
    pub const FIXED: [&str; 3] = ["connections_max", "calls_in_flight_max", "calls_bytes_max"];

    /// Returns these settings with the values that `running` has for [`Self::FIXED`], and with its version.
    pub(crate) fn with_fixed(self, running: &Self) -> Self {
        Self {
            connections_max: running.connections_max,
            calls_in_flight_max: running.calls_in_flight_max,
            calls_bytes_max: running.calls_bytes_max,
            version: running.version,
            ..self
        }
    }

    /// Returns all invalid settings.
    #[must_use]
    pub fn problems(&self) -> Vec<OutOfBounds> {
        let places = [
            ("subscribers_max", self.subscribers_max as u64),
            ("connections_max", self.connections_max as u64),
            ("calls_in_flight_max", self.calls_in_flight_max as u64),
        ];
        let others = [
            ("heartbeat_ms", u64::from(self.heartbeat_ms)),
            ("subscriber_bytes_max", self.subscriber_bytes_max as u64),
            ("subscribers_bytes_max", self.subscribers_bytes_max as u64),
            ("slow_timeout_ms", self.slow_timeout_ms),
            ("idle_timeout_ms", self.idle_timeout_ms),
            ("hello_timeout_ms", self.hello_timeout_ms),
            ("records_bytes", self.records_bytes as u64),
            ("snapshot_bytes", self.snapshot_bytes as u64),
            ("calls_bytes_max", self.calls_bytes_max as u64),
            ("answers_bytes_max", self.answers_bytes_max as u64),
            ("all_answers_bytes_max", self.all_answers_bytes_max as u64),
        ];
        let rates = self.bandwidth_max.values().map(|per_s| ("bandwidth_max", *per_s));
        let others = others.into_iter().chain(rates);
        bounds::check(1..=COUNT_MAX, places).chain(bounds::check(1..=u64::MAX, others)).collect()
    }

    pub(crate) fn heartbeat(&self) -> Duration {
        Duration::from_millis(u64::from(self.heartbeat_ms.max(1)))
    }

    pub(crate) fn slow_timeout(&self) -> Duration {
        Duration::from_millis(self.slow_timeout_ms)
    }

    pub(crate) fn idle_timeout(&self) -> Duration {
        Duration::from_millis(self.idle_timeout_ms)
    }

    pub(crate) fn hello_timeout(&self) -> Duration {
        Duration::from_millis(self.hello_timeout_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::STREAM_WINDOW;

    #[test]
    fn the_defaults_are_valid_and_zero_subscribers_are_not() {
        assert_eq!(Config::default().problems(), []);
        let config = Config { subscribers_max: 0, connections_max: usize::MAX, ..Config::default() };
        let keys: Vec<_> = config.problems().into_iter().map(|problem| problem.key).collect();
        assert_eq!(keys, ["subscribers_max", "connections_max"]);
    }

    #[test]
    fn a_running_listener_keeps_the_fixed_keys_and_no_others() {
        let unknown = toml::from_str::<Config>("no_such_key = 1").unwrap_err().to_string();
        let known = unknown.split("expected").nth(1).unwrap().split('`').skip(1).step_by(2);
        let keys: Vec<_> = known.collect();
        assert!(keys.len() > 10 && Config::FIXED.iter().all(|key| keys.contains(key)), "{unknown}");
        for key in keys {
            let values = ["7", r#"[{ to = "*", views = ["a"] }]"#, r#""always""#, "{ us = 7 }"];
            let parsed = values.iter().filter_map(|value| toml::from_str(&format!("{key} = {value}")).ok());
            let changed: Config = parsed.into_iter().find(|config| *config != Config::default()).unwrap();
            let is_kept = changed.with_fixed(&Config::default()) == Config::default();
            assert_eq!(is_kept, Config::FIXED.contains(&key), "{key}");
        }
    }

    #[test]
    fn a_slow_link_carries_half_a_window_within_the_timeout_of_a_slow_subscriber() {
        let bytes_per_second = f64::from(STREAM_WINDOW / 2) / Config::default().slow_timeout().as_secs_f64();
        assert!(
            bytes_per_second <= 70_000.0,
            "an edge whose link carries less than {bytes_per_second} bytes a second is disconnected"
        );
    }
}
