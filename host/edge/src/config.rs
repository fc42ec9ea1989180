//! How an edge is set up.

use littoral_edge_core::{Holdings, ViewMode};
use littoral_feed::client::host_and_port;
use littoral_model::region::Region;
use serde::Deserialize;
use std::{collections::BTreeMap, path::PathBuf, time::Duration};

/// The edge's configuration.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The edge's name, in status, logs, and at its leader. Default: `edge`.
    pub name: String,
    /// The region that the edge is in, which it says in its status also while it follows another region's leader. Default: that
    /// of the leader that it follows.
    pub region: Option<Region>,
    /// Where local snapshots and module components are kept, so that a restart is warm and works without a leader.
    /// Default: none, every start begins with a snapshot from the leader.
    pub data_dir: Option<PathBuf>,
    /// Where the leader is, and how long to wait for it.
    pub leader: littoral_feed::client::Config,
    /// The views to follow, by name, also when they are made later. Reads of others are answered by the leader.
    /// Default: all.
    pub follow: Option<Vec<String>>,
    /// How much is held of a view that `views` does not name. Default: `full`.
    pub view_mode: ViewMode,
    /// How much is held of a view, by its name.
    pub views: BTreeMap<String, ViewMode>,
    /// Memory for the rows of full views, in bytes. When they outgrow it, the largest becomes resident. Default: 8 GiB.
    pub full_bytes_max: u64,
    /// Memory for the rows of resident views, in bytes. Default: 1 GiB.
    pub resident_bytes_max: u64,
    /// Misses that are remembered per resident view. Default: 100000.
    pub misses_max: u64,
    /// The edge's data counts as fresh while it is at most this far behind its leader, in milliseconds. It serves in any case.
    /// Default: 5000.
    #[serde(alias = "ready_lag_ms_max")]
    pub fresh_lag_ms_max: u64,
    /// How often the leader is pinged, in milliseconds: the resolution of staleness. Default: 25.
    pub ping_interval_ms: u64,
    /// The leader counts as lost when it was silent for this many of its heartbeats. Default: 5.
    pub heartbeats_missed_max: u32,
    /// The first pause before a lost leader is tried again, in milliseconds; it doubles up to `reconnect_ms_max` and is
    /// jittered. Default: 50.
    pub reconnect_ms_min: u64,
    /// The longest pause, in milliseconds. Default: 2000.
    pub reconnect_ms_max: u64,
    /// While an address is followed that is not the first, how often those before it are tried, in milliseconds: the edge goes
    /// back when one of them has what is here. Zero: never. Default: 1000.
    pub home_check_ms: u64,
    /// How often the local snapshot is written, in seconds. It is written at shutdown too. Default: 60.
    pub snapshot_interval_s: u64,
    /// Keys whose fill may be waited for at once; further reads are refused as overload. Default: 65536.
    pub fills_waiting_max: usize,
    /// Calls for fills that may run at once; keys that come meanwhile share the next. Default: 8.
    pub fill_calls_max: usize,
    /// How long a read waits for rows from its leader, in milliseconds. Default: 2000.
    pub fill_wait_ms_max: u64,
    /// Reads that may wait for freshness at once; further ones are refused as overload. Default: 10000.
    pub waiting_reads_max: usize,
    /// Memory for the newest records, in bytes, for edges that follow this one: one that was away for less goes on from
    /// there, others take a snapshot. Zero: nothing is kept, and nothing can be followed here. Default: 256 MiB.
    pub relay_bytes_max: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            name: "edge".to_owned(),
            region: None,
            data_dir: None,
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

/// A configuration that cannot work.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {reason}")]
pub struct InvalidConfig {
    /// The key at fault.
    pub key: &'static str,
    /// What is wrong with it and what would do.
    pub reason: String,
}

impl Config {
    /// Checks what serde cannot.
    ///
    /// # Errors
    /// [`InvalidConfig`] naming the key: the first of [`Self::problems`].
    pub fn check(&self) -> Result<(), InvalidConfig> {
        self.problems().into_iter().next().map_or(Ok(()), Err)
    }

    /// Everything that cannot work.
    #[must_use]
    pub fn problems(&self) -> Vec<InvalidConfig> {
        let mut problems = Vec::new();
        let mut refuse = |key, reason: &str| problems.push(InvalidConfig { key, reason: reason.to_owned() });
        if self.name.is_empty() || self.name.len() > 128 || self.name.chars().any(char::is_control) {
            refuse("name", "must be 1 to 128 bytes long, without control characters");
        }
        if self.leader.leader.is_empty() {
            refuse("leader.addresses", "needs at least one address, as \"host:7071\"");
        }
        let names_none = |address: &&String| host_and_port(address).is_none_or(|(_, port)| port == 0);
        if let Some(bad) = self.leader.leader.iter().find(names_none) {
            refuse("leader.addresses", &format!("'{bad}' is no address; write a host and a port, as \"host:7071\""));
        }
        if self.ping_interval_ms == 0 {
            refuse("ping_interval_ms", "must be at least 1");
        }
        if self.reconnect_ms_min == 0 || self.reconnect_ms_max < self.reconnect_ms_min {
            refuse("reconnect_ms_min", "must be at least 1 and at most reconnect_ms_max");
        }
        if self.snapshot_interval_s == 0 {
            refuse("snapshot_interval_s", "must be at least 1; leave data_dir out for no local snapshots");
        }
        if self.fills_waiting_max == 0 || self.fill_calls_max == 0 {
            refuse("fills_waiting_max", "and fill_calls_max must be at least 1");
        }
        if self.full_bytes_max == 0 && self.view_mode == ViewMode::Full {
            refuse("full_bytes_max", "must be at least 1; set view_mode = \"resident\" to hold no view in full");
        }
        if let Some(name) = self.views.keys().find(|name| !self.holdings().follows(name)) {
            refuse(
                "views",
                &format!("names '{name}', which 'follow' does not name; add it there or leave it out here"),
            );
        }
        problems
    }

    /// Checks what serving the feed onward needs: a snapshot for others is of everything.
    ///
    /// # Errors
    /// [`InvalidConfig`] naming the key.
    pub fn check_relay(&self) -> Result<(), InvalidConfig> {
        let refuse = |key, reason: &str| Err(InvalidConfig { key, reason: reason.to_owned() });
        if self.follow.is_some() {
            return refuse(
                "follow",
                "must be left out at a relay (peer_listen is set): those who follow it need every view",
            );
        }
        let resident = |mode: &ViewMode| *mode == ViewMode::Resident;
        if resident(&self.view_mode) || self.views.values().any(resident) {
            return refuse("view_mode", "and [edge.views] must be \"full\" at a relay (peer_listen is set)");
        }
        if self.relay_bytes_max == 0 {
            return refuse("relay_bytes_max", "must be at least 1 at a relay (peer_listen is set)");
        }
        Ok(())
    }

    /// What is to be held.
    pub(crate) fn holdings(&self) -> Holdings {
        Holdings {
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
    fn what_cannot_work_is_refused_by_its_key() {
        assert_eq!(Config::default().check(), Ok(()));
        let key = |config: Config| config.check().expect_err("cannot work").key;
        assert_eq!(key(Config { name: String::new(), ..Config::default() }), "name");
        assert_eq!(key(Config { ping_interval_ms: 0, ..Config::default() }), "ping_interval_ms");
        assert_eq!(key(Config { reconnect_ms_max: 1, ..Config::default() }), "reconnect_ms_min");
        assert_eq!(Config::default().check_relay(), Ok(()));
        let key_of_relay = |config: Config| config.check_relay().expect_err("cannot relay").key;
        assert_eq!(key_of_relay(Config { follow: Some(vec![]), ..Config::default() }), "follow");
        assert_eq!(key_of_relay(Config { view_mode: ViewMode::Resident, ..Config::default() }), "view_mode");
        assert_eq!(key_of_relay(Config { relay_bytes_max: 0, ..Config::default() }), "relay_bytes_max");
        let views = BTreeMap::from([("b".to_owned(), ViewMode::Resident)]);
        let follow = Some(vec!["a".to_owned()]);
        let error = Config { follow, views, ..Config::default() }.check().expect_err("cannot work");
        assert!(error.to_string().contains("'b'"), "{error}");
    }
}
