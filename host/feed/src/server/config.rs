//! The bounds of the peer door.

use littoral_runtime::bounds::{self, COUNT_MAX, OutOfBounds};
use serde::Deserialize;
use std::time::Duration;

/// The server's configuration.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// A heartbeat goes to every subscriber at least this often, in milliseconds; pings are answered at once besides.
    /// Default: 100.
    pub heartbeat_ms: u32,
    /// Subscribers at once; more are refused with status 503. Default: 512.
    pub subscribers_max: usize,
    /// Connections at once; more are closed as they come. Default: 1024.
    pub connections_max: usize,
    /// Bytes that may wait for one subscriber until they are written to its socket. Default: 4 MiB.
    pub subscriber_bytes_max: usize,
    /// Bytes that may wait for all subscribers together, but for one frame of each. Half of it is guaranteed to them in equal
    /// parts, so that those that do not read leave the others what they need. Bytes that all are sent from the same memory
    /// do not count. Default: 128 MiB.
    pub subscribers_bytes_max: usize,
    /// How long a subscriber may leave that bound full before it is cut, in milliseconds; it may resume. Its reading shows
    /// only when half of HTTP/2's window, 2 MiB, has come through, so that a way that passes less than that in this time
    /// never gets through a long snapshot. Default: 30000, for 70 KB a second.
    pub slow_timeout_ms: u64,
    /// How long a peer may be silent before it is cut, in milliseconds: subscribers ping all the time. It also bounds
    /// how long a connection may stand without a stream. Default: 10000.
    pub idle_timeout_ms: u64,
    /// How long a subscriber may take for its hello, in milliseconds. Default: 5000.
    pub hello_timeout_ms: u64,
    /// About how many bytes of records are sent in one frame. Default: 256 KiB.
    pub records_bytes: usize,
    /// About how many bytes of a snapshot's rows are sent in one frame. Default: 256 KiB.
    pub snapshot_bytes: usize,
    /// Calls of one connection that may be carried out at once; further ones are not read from the socket.
    /// Default: 1024.
    pub calls_in_flight_max: usize,
    /// Bytes of calls of one connection that may be carried out at once; a larger call runs alone. Default: 128 MiB.
    pub calls_bytes_max: usize,
    /// Bytes of answers that may wait for one connection. Default: 8 MiB.
    pub answers_bytes_max: usize,
    /// Bytes of answers that may wait for all connections together, but for one answer of each; half of it is guaranteed to
    /// them in equal parts. Default: 256 MiB.
    pub all_answers_bytes_max: usize,
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
        }
    }
}

impl Config {
    /// Everything that cannot work.
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
    fn the_defaults_work_and_no_subscribers_do_not() {
        assert_eq!(Config::default().problems(), []);
        let config = Config { subscribers_max: 0, connections_max: usize::MAX, ..Config::default() };
        let keys: Vec<_> = config.problems().into_iter().map(|problem| problem.key).collect();
        assert_eq!(keys, ["subscribers_max", "connections_max"]);
    }

    #[test]
    fn half_a_window_passes_a_narrow_way_in_the_time_that_a_slow_subscriber_has() {
        let bytes_per_second = f64::from(STREAM_WINDOW / 2) / Config::default().slow_timeout().as_secs_f64();
        assert!(bytes_per_second <= 70_000.0, "an edge behind less than {bytes_per_second} bytes a second is cut");
    }
}
