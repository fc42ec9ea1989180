//! The edge's configuration.

use littoral_at_rest::Encryption;
use littoral_edge_core::{Holdings, ViewMode};
use littoral_feed::client::host_and_port;
use littoral_model::{project::Receiver, region::Region};
use serde::Deserialize;
use std::{collections::BTreeMap, path::PathBuf, time::Duration};

/// The edge's configuration.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The edge's name, in status, logs, and at its leader. Default: `edge`.
    pub name: String,
    /// The region in which the edge is located, which its status reports even while it follows
    /// another region's leader. The edge states it to its publishers, which send rows of a project
    /// with `regions` only to nodes in these. Default: the region of the leader that it follows;
    /// such an edge receives no row of a project with `regions`.
    pub region: Option<Region>,
    /// The directory for local snapshots and module components, with which a restart is warm and
    /// works without a leader. Default: none; every start requests a snapshot from the leader.
    pub data_dir: Option<PathBuf>,
    /// How files of the data directory are encrypted. Default: they are plain.
    #[serde(skip)]
    pub encryption: Encryption,
    /// The leader's addresses, and the timeouts for connecting to it.
    pub leader: littoral_feed::client::Config,
    /// The views to follow, by name, including views created later. Reads of other views go to the
    /// leader. Default: all.
    pub follow: Option<Vec<String>>,
    /// How much is held of a view that `views` does not list. Default: `full`.
    pub view_mode: ViewMode,
    /// How much is held of each listed view, by name.
    pub views: BTreeMap<String, ViewMode>,
    /// The memory budget for rows of full views, in bytes. When they exceed it, the largest view
    /// becomes resident. Default: 8 GiB.
    pub full_bytes_max: u64,
    /// The memory budget for rows of resident views, in bytes. Default: 1 GiB.
    pub resident_bytes_max: u64,
    /// The maximum number of misses remembered per resident view. Default: 100000.
    pub misses_max: u64,
    /// The maximum lag behind the leader at which the edge's data counts as fresh, in
    /// milliseconds. The edge serves in any case. Default: 5000.
    #[serde(alias = "ready_lag_ms_max")]
    pub fresh_lag_ms_max: u64,
    /// The interval between pings to the leader, in milliseconds: the resolution of staleness.
    /// Default: 25.
    pub ping_interval_ms: u64,
    /// The number of missed heartbeats after which the leader counts as lost. Default: 5.
    pub heartbeats_missed_max: u32,
    /// The first pause before reconnecting to a lost leader, in milliseconds. It doubles up to
    /// `reconnect_ms_max`, with jitter. Default: 50.
    pub reconnect_ms_min: u64,
    /// The maximum pause, in milliseconds. Default: 2000.
    pub reconnect_ms_max: u64,
    /// While the edge follows an address that is not the first, the interval at which it checks
    /// the ones before it, in milliseconds. The edge returns to one that has everything held here.
    /// Zero: never. Default: 1000.
    pub home_check_ms: u64,
    /// The interval between local snapshots, in seconds. One is also written at shutdown. Default:
    /// 60.
    pub snapshot_interval_s: u64,
    /// The maximum number of keys being filled at once; further reads are rejected as overload.
    /// Default: 65536.
    pub fills_waiting_max: usize,
    /// The maximum number of concurrent calls for fills; keys requested in the meantime share the
    /// next call. Default: 8.
    pub fill_calls_max: usize,
    /// The maximum time that a read waits for rows from the leader, in milliseconds. Default:
    /// 2000.
    pub fill_wait_ms_max: u64,
    /// The maximum number of reads that wait for freshness; further ones are rejected as overload.
    /// Default: 10000.
    pub waiting_reads_max: usize,
    /// The memory for the newest records, in bytes, for edges that follow this one. An edge that
    /// was disconnected briefly resumes from these records; others need a snapshot. Zero: no
    /// records are kept, and no edge can follow this one. Default: 256 MiB.
    pub relay_bytes_max: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            name: "edge".to_owned(),
            region: None,
            data_dir: None,
            encryption: Encryption::default(),
            leader: littoral_feed::client::Config::default(),
            follow: None,
            view_mode: ViewMode::Full,
            views: BTreeMap::new(),
            full_bytes_max: 8 << 30,
            resident_bytes_max: 1 << 30,
            misses_max: 100_000,
            fresh_lag_ms_max: 5_000,
            ping_interval_ms: 25,
            heartbeats_missed_max: 5,
            reconnect_ms_min: 50,
            reconnect_ms_max: 2_000,
            home_check_ms: 1_000,
            snapshot_interval_s: 60,
            fills_waiting_max: 65_536,
            fill_calls_max: 8,
            fill_wait_ms_max: 2_000,
            waiting_reads_max: 10_000,
            relay_bytes_max: 256 << 20,
        }
    }
}

/// The error for an invalid configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {reason}")]
pub struct InvalidConfig {
    /// The invalid key.
    pub key: &'static str,
    /// What is wrong with it, and what is allowed.
    pub reason: String,
}

impl Config {
    /// Checks the rules that deserialization cannot.
    ///
    /// # Errors
    /// [`InvalidConfig`], which names the key: the first of [`Self::problems`].
    pub fn check(&self) -> Result<(), InvalidConfig> {
        self.problems().into_iter().next().map_or(Ok(()), Err)
    }

    /// Returns everything that is invalid.
    #[must_use]
    pub fn problems(&self) -> Vec<InvalidConfig> {
        let mut problems = Vec::new();
        let mut reject = |key, reason: &str| problems.push(InvalidConfig { key, reason: reason.to_owned() });
        if self.name.is_empty() || self.name.len() > 128 || self.name.chars().any(char::is_control) {
            reject("name", "must be 1 to 128 bytes long, without control characters");
        }
        if self.leader.leader.is_empty() {
            reject("leader.addresses", "needs at least one address, such as \"host:7071\"");
        }
        let names_none = |address: &&String| host_and_port(address).is_none_or(|(_, port)| port == 0);
        if let Some(bad) = self.leader.leader.iter().find(names_none) {
            reject(
                "leader.addresses",
                &format!("'{bad}' is not an address; write a host and a port, such as \"host:7071\""),
            );
        }
        if self.ping_interval_ms == 0 {
            reject("ping_interval_ms", "must be at least 1");
        }
        if self.reconnect_ms_min == 0 || self.reconnect_ms_max < self.reconnect_ms_min {
            reject("reconnect_ms_min", "must be at least 1 and at most reconnect_ms_max");
        }
        if self.snapshot_interval_s == 0 {
            reject("snapshot_interval_s", "must be at least 1; omit data_dir to disable local snapshots");
        }
        if self.fills_waiting_max == 0 || self.fill_calls_max == 0 {
            reject("fills_waiting_max", "and fill_calls_max must be at least 1");
        }
        if self.full_bytes_max == 0 && self.view_mode == ViewMode::Full {
            reject("full_bytes_max", "must be at least 1; set view_mode = \"resident\" to hold no view in full");
        }
        if let Some(name) = self.views.keys().find(|name| !self.holdings().follows(name)) {
            reject("views", &format!("lists '{name}', which 'follow' does not list; add it there or remove it here"));
        }
        problems
    }

    /// Returns what breaks the additional rules for a relay, whose snapshots must contain everything.
    #[must_use]
    pub fn problems_of_relay(&self) -> Vec<InvalidConfig> {
        let mut problems = Vec::new();
        let mut reject = |key, reason: &str| problems.push(InvalidConfig { key, reason: reason.to_owned() });
        if self.follow.is_some() {
            reject(
                "follow",
                "must be omitted at a relay (peer_listen is set), because its subscribers need every view",
            );
        }
        let resident = |mode: &ViewMode| *mode == ViewMode::Resident;
        if resident(&self.view_mode) || self.views.values().any(resident) {
            reject("view_mode", "and [edge.views] must be \"full\" at a relay (peer_listen is set)");
        }
        if self.relay_bytes_max == 0 {
            reject("relay_bytes_max", "must be at least 1 at a relay (peer_listen is set)");
        }
        problems
    }

    /// Returns where the rows of an edge that follows the log of region `log` are held, for the residency rules of
    /// projects. Rows that may not be held in the log's region are not in the log, so the edge cannot hold all of them.
    pub(crate) fn held_in(&self, log: Option<Region>) -> Receiver {
        // An edge whose configuration names no region may be anywhere.
        self.region.map_or(Receiver::Unknown, |region| Receiver::new(None, Some(region), log))
    }

    /// Returns the views to hold, and the memory budgets.
    pub(crate) fn holdings(&self) -> Holdings {
        Holdings {
            region: self.region,
            follow: self.follow.clone(),
            view_mode: self.view_mode,
            views: self.views.clone(),
            full_bytes_max: self.full_bytes_max,
            resident_bytes_max: self.resident_bytes_max,
            misses_max: self.misses_max,
            ..Holdings::default()
        }
    }

    pub(crate) fn fresh_lag_max(&self) -> Duration {
        Duration::from_millis(self.fresh_lag_ms_max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_held_where_both_the_edge_and_the_log_that_it_follows_may_hold_them() {
        let [eu, us]: [Region; 2] = ["eu", "us"].map(|name| name.parse().expect("a region"));
        let edge = Config { region: Some(eu), ..Config::default() };
        assert_eq!(edge.held_in(None), Receiver::In(eu));
        assert_eq!(edge.held_in(Some(eu)), Receiver::In(eu));
        assert_eq!(edge.held_in(Some(us)), Receiver::Either(eu, us));
        assert_eq!(Config::default().held_in(Some(us)), Receiver::Unknown, "it may be anywhere");
    }

    #[test]
    fn invalid_settings_are_rejected_by_key() {
        assert_eq!(Config::default().check(), Ok(()));
        let key = |config: Config| config.check().expect_err("invalid").key;
        assert_eq!(key(Config { name: String::new(), ..Config::default() }), "name");
        assert_eq!(key(Config { ping_interval_ms: 0, ..Config::default() }), "ping_interval_ms");
        assert_eq!(key(Config { reconnect_ms_max: 1, ..Config::default() }), "reconnect_ms_min");
        assert_eq!(Config::default().problems_of_relay(), []);
        let key_of_relay = |config: Config| config.problems_of_relay()[0].key;
        assert_eq!(key_of_relay(Config { follow: Some(vec![]), ..Config::default() }), "follow");
        assert_eq!(key_of_relay(Config { view_mode: ViewMode::Resident, ..Config::default() }), "view_mode");
        assert_eq!(key_of_relay(Config { relay_bytes_max: 0, ..Config::default() }), "relay_bytes_max");
        let views = BTreeMap::from([("b".to_owned(), ViewMode::Resident)]);
        let follow = Some(vec!["a".to_owned()]);
        let error = Config { follow, views, ..Config::default() }.check().expect_err("invalid");
        assert!(error.to_string().contains("'b'"), "{error}");
    }
}
