//! The configuration of a router.

use crate::{
    decision::{budget, health, hedge, location, outlier},
    dns, gateway,
};
use littoral_auth::Trust;
use littoral_runtime::bounds::{self, COUNT_MAX};
use serde::Deserialize;
use std::path::PathBuf;

/// The longest time to live of the zone, in seconds: caches must not keep a lost region for longer.
const TTL_S_MAX: u32 = 86_400;

/// The configuration of a router.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The router's name in status, logs and metrics. Default "router".
    pub name: String,
    /// The topology's file. It is watched: a change takes effect without a restart; an invalid one is reported, and the
    /// last valid one stays in effect. Default "edge-config/topology-two-regions.toml".
    pub topology: PathBuf,
    /// How often the topology and the database are checked for changes, in milliseconds. A changed file is read once
    /// two checks found it the same. Default 1,000.
    pub watch_ms: u64,
    /// The HTTP gateway's bounds.
    pub gateway: gateway::Config,
    /// Probes.
    pub health: health::Config,
    /// Ejection of doors that fail requests.
    pub outlier: outlier::Config,
    /// Retries.
    pub retry: budget::Config,
    /// Hedging.
    pub hedge: hedge::Config,
    /// The clients whose headers `littoral-place`, `littoral-region`, `littoral-tenant` and `littoral-part` are
    /// accepted. A router on a loopback address accepts them from every client.
    pub trust: Trust,
    /// A file with the bearer token that probes send, for doors with authentication. Read for each probe. Default none.
    pub probe_token_file: Option<PathBuf>,
    /// The location of clients.
    pub place: location::Config,
    /// The DNS responder.
    pub dns: dns::Config,
}

/// A setting with an invalid value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {reason}")]
pub struct Invalid {
    /// The key, with its section.
    pub key: &'static str,
    /// What is wrong and what to do.
    pub reason: String,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            name: "router".to_owned(),
            topology: PathBuf::from("edge-config/topology-two-regions.toml"),
            watch_ms: 1_000,
            gateway: gateway::Config::default(),
            health: health::Config::default(),
            outlier: outlier::Config::default(),
            retry: budget::Config::default(),
            hedge: hedge::Config::default(),
            trust: Trust::default(),
            probe_token_file: None,
            place: location::Config::default(),
            dns: dns::Config::default(),
        }
    }
}

impl Config {
    /// Checks the rules that types cannot express.
    ///
    /// # Errors
    /// [`Invalid`]: the first of [`Self::problems`].
    pub fn check(&self) -> Result<(), Invalid> {
        self.problems().into_iter().next().map_or(Ok(()), Err)
    }

    /// Returns all invalid settings.
    #[must_use]
    pub fn problems(&self) -> Vec<Invalid> {
        let mut problems = Vec::new();
        let mut invalid = |key, reason: String| problems.push(Invalid { key, reason });
        if !(1..=128).contains(&self.name.len()) || self.name.chars().any(char::is_control) {
            invalid("name", "use 1 to 128 bytes, without control characters".to_owned());
        }
        let shares = [
            ("outlier.success_share_min", self.outlier.success_share_min),
            ("outlier.ejected_share_max", self.outlier.ejected_share_max),
            ("hedge.quantile", self.hedge.quantile),
            ("hedge.share", self.hedge.share),
        ];
        for (key, share) in shares {
            if !(0.0..=1.0).contains(&share) {
                invalid(key, "a share is a number from 0 to 1".to_owned());
            }
        }
        if !(0.0..=10.0).contains(&self.retry.share) {
            invalid("retry.share", "use a number from 0 to 10".to_owned());
        }
        let gateway = &self.gateway;
        let places = [
            ("gateway.connections_max", gateway.connections_max as u64),
            ("gateway.requests_max", gateway.requests_max as u64),
            ("gateway.in_flight_max", u64::from(gateway.in_flight_max)),
        ];
        let above_zero = [
            ("watch_ms", self.watch_ms),
            ("health.interval_ms", self.health.interval_ms),
            ("health.timeout_ms", self.health.timeout_ms),
            ("gateway.timeout_ms", gateway.timeout_ms),
            ("gateway.attempt_timeout_ms", gateway.attempt_timeout_ms),
            ("gateway.connect_timeout_ms", gateway.connect_timeout_ms),
            ("gateway.attempts_max", u64::from(gateway.attempts_max)),
            ("gateway.read_bytes_max", gateway.read_bytes_max as u64),
            ("gateway.write_bytes_max", gateway.write_bytes_max as u64),
            ("gateway.header_timeout_ms", gateway.header_timeout_ms),
            ("gateway.stall_timeout_ms", gateway.stall_timeout_ms),
        ];
        for bad in bounds::check(1..=COUNT_MAX, places).chain(bounds::check(1..=u64::MAX, above_zero)) {
            invalid(bad.key, bad.reason);
        }
        if gateway.timeout_ms > gateway.timeout_ms_max {
            invalid("gateway.timeout_ms", "it must not exceed timeout_ms_max".to_owned());
        }
        for subnet in &self.place.subnets {
            if let Err(error) = crate::decision::coordinates::Coordinates::new(subnet.latitude, subnet.longitude) {
                invalid("place.subnets", format!("{}: {error}", subnet.network));
            }
        }
        if self.dns.ttl_s > TTL_S_MAX {
            invalid("dns.ttl_s", "use at most 86400; with a small one, clients leave a lost region soon".to_owned());
        }
        if let Err(error) = dns::Zone::new(&self.dns) {
            invalid(error.key, error.reason);
        }
        problems
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_valid_and_nonsense_is_not() {
        assert_eq!(Config::default().check(), Ok(()));
        let mut config = Config::default();
        config.outlier.ejected_share_max = 1.5;
        assert_eq!(config.check().unwrap_err().key, "outlier.ejected_share_max");
        let mut config = Config::default();
        config.gateway.timeout_ms = u64::MAX;
        assert_eq!(config.check().unwrap_err().key, "gateway.timeout_ms");
        let mut config = Config::default();
        config.dns.zone = "not a name..".to_owned();
        assert_eq!(config.check().unwrap_err().key, "dns.zone");
    }
}
