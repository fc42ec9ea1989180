//! The configuration of a leader.

use littoral_feed::client::host_and_port;
use littoral_leader_core::Imports;
use littoral_model::{format::ProtocolVersion, position::Incarnation, region::Region};
use littoral_runtime::memory;
use serde::Deserialize;
use std::path::PathBuf;

/// The maximum number of descriptors that are reserved for the log, however small its segments are.
const SEGMENTS_KEPT_FREE_MAX: u64 = 1_024;

/// The number of connections to another region's leader or another member, including one that is being replaced.
const CONNECTIONS_TO_ANOTHER: u64 = 4;

/// The leader's configuration. Every key has a default except those that only the operator knows.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The node's name in status, logs and metrics. Default: `leader`.
    pub name: String,
    /// The leader's region. A log that was created for another region is rejected. Default: `local`.
    pub region: Region,
    /// The directory of the log, its snapshots and the modules. Default: `.littoral/leader`.
    pub data_dir: PathBuf,
    /// The size of a segment file of the log, in bytes; it is reserved on disk when the segment starts. Default: 64
    /// MiB.
    pub segment_bytes: u64,
    /// The size of the log's newest records that are also kept in memory for edges that follow closely, in bytes.
    /// Default: 32 MiB.
    pub tail_cache_bytes: usize,
    /// The approximate maximum size of a group commit, in bytes. Default: 1 MiB.
    pub batch_bytes_max: usize,
    /// How many writes may wait for a group commit; further ones are rejected as overload. Default: 16384.
    pub queue_requests_max: usize,
    /// How many bytes of writes may wait; one larger write is accepted when no other waits. Default: 64 MiB.
    pub queue_bytes_max: usize,
    /// The largest write, in bytes of keys and values. Default: 32 MiB.
    pub request_bytes_max: usize,
    /// The largest row, in bytes of key and values. Default: 4 MiB.
    pub row_bytes_max: usize,
    /// The memory for rows, in bytes. A write that adds to them is rejected once it is used up; reads, deletions, and
    /// rows from other regions continue. Default: 0, half of the memory of the host or the container.
    pub rows_bytes_max: u64,
    /// The largest module component, in bytes. Default: 60 MiB.
    pub module_bytes_max: usize,
    /// How far an event timestamp may be ahead of this host's clock, in milliseconds. Default: 60000.
    pub future_ms_max: u64,
    /// How many idempotency keys are remembered; the oldest is forgotten first. Default: 100000.
    pub idempotency_keys_max: usize,
    /// How long an idempotency key is remembered, in seconds. Default: 86400, a day.
    pub idempotency_retention_s: u64,
    /// A snapshot is written after this many bytes of log. Default: 256 MiB.
    pub snapshot_log_bytes: u64,
    /// The log is trimmed to this size, in bytes, as far as snapshots cover it. Default: 1 GiB.
    pub retention_bytes_max: u64,
    /// Records older than this are trimmed, in seconds, as far as snapshots cover them. Default: 86400, a day.
    pub retention_s_max: u64,
    /// How long a tombstone is kept, in seconds. A late write of an older event must still find it. Default: 604800, a
    /// week.
    pub tombstone_retention_s: u64,
    /// The interval of checkpoints, in milliseconds: the leader sends digests of every view, with which each edge
    /// compares its rows. The leader scrubs its own rows at the same interval. Zero: only on request. Default: 10000.
    pub checkpoint_interval_ms: u64,
    /// The number of shards of the table of rows, each with its own lock. Default: 1024.
    pub shards: usize,
    /// How far another region's clock may be ahead of this host's, in milliseconds. Records of a clock further ahead
    /// are not replicated until the clocks agree. Default: 2000.
    pub clock_drift_ms_max: u64,
    /// How long a write waits for the other regions or members that its concern names, in milliseconds, unless the
    /// write sets a time itself. Default: 2000.
    pub concern_wait_ms: u32,
    /// The longest such wait that a write may set, in milliseconds; longer waits are shortened to it. Default: 30000.
    pub concern_wait_ms_max: u32,
    /// How many conflicts between regions are remembered; the oldest is forgotten first. Default: 10000.
    pub conflicts_max: usize,
    /// The other regions. They are not among the leader's own keys of the file.
    #[serde(skip)]
    pub regions: Vec<OtherRegion>,
    /// The catalogue home; `None` means this region. Not among the leader's own keys either.
    #[serde(skip)]
    pub catalogue_home: Option<Region>,
    /// Whether the log and its whole cluster are new, so that the leader waits for no other region. Set by a flag, not
    /// by a key.
    #[serde(skip)]
    pub init: bool,
    /// The members that keep the region's log, including this one. Empty: this leader keeps the log alone. Not among
    /// the leader's own keys either.
    #[serde(skip)]
    pub members: Vec<MemberAddress>,
    /// The newest protocol version that this leader speaks and logs. Not among the leader's own keys either.
    #[serde(skip)]
    pub protocol_version: ProtocolVersion,
}

/// `[[regions]]`: another region, whose records this leader replicates.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OtherRegion {
    /// Its name.
    pub name: Region,
    /// The peer listeners of its leader or its members, tried in order.
    pub peers: Vec<String>,
}

/// `[[members]]`: one of the nodes that keep the region's log.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MemberAddress {
    /// The member's name: the `leader.name` of its own configuration.
    pub name: String,
    /// Its peer listener, `host:port`, as the other members reach it.
    pub peer: String,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            name: "leader".to_owned(),
            region: "local".parse().unwrap_or(Region::NONE),
            data_dir: PathBuf::from(".littoral/leader"),
            segment_bytes: 64 << 20,
            tail_cache_bytes: 32 << 20,
            batch_bytes_max: 1 << 20,
            queue_requests_max: 16_384,
            queue_bytes_max: 64 << 20,
            request_bytes_max: 32 << 20,
            row_bytes_max: 4 << 20,
            rows_bytes_max: 0,
            module_bytes_max: 60 << 20,
            future_ms_max: 60_000,
            idempotency_keys_max: 100_000,
            idempotency_retention_s: 86_400,
            snapshot_log_bytes: 256 << 20,
            retention_bytes_max: 1 << 30,
            retention_s_max: 86_400,
            tombstone_retention_s: 7 * 86_400,
            checkpoint_interval_ms: 10_000,
            shards: 1_024,
            clock_drift_ms_max: 2_000,
            concern_wait_ms: 2_000,
            concern_wait_ms_max: 30_000,
            conflicts_max: 10_000,
            regions: Vec::new(),
            catalogue_home: None,
            init: false,
            members: Vec::new(),
            protocol_version: ProtocolVersion::NEWEST,
        }
    }
}

/// A configuration that cannot work.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {reason}")]
pub struct InvalidConfig {
    /// The key at fault.
    pub key: &'static str,
    /// What is wrong with it, and what is valid.
    pub reason: String,
}

impl Config {
    /// Returns the limits of one write.
    pub(crate) fn limits(&self) -> littoral_leader_core::Limits {
        littoral_leader_core::Limits {
            request_bytes_max: self.request_bytes_max,
            row_bytes_max: self.row_bytes_max,
            rows_bytes_max: self.rows_bytes_max(),
            future_ms_max: self.future_ms_max,
        }
    }

    /// Returns the settings for importing other regions' records.
    pub(crate) fn imports(&self, log: Incarnation) -> Imports {
        let Self { catalogue_home, clock_drift_ms_max, .. } = *self;
        Imports { catalogue_home, log, clock_drift_ms_max }
    }

    /// Returns this leader's region and the others that it replicates from.
    pub(crate) fn all_regions(&self) -> impl Iterator<Item = Region> {
        std::iter::once(self.region).chain(self.regions.iter().map(|other| other.name))
    }

    /// Returns the catalogue home if it is another region.
    pub(crate) fn catalogue_elsewhere(&self) -> Option<Region> {
        self.catalogue_home.filter(|home| *home != self.region)
    }

    /// Returns how many descriptors the leader needs for files and for connections to other leaders. Each segment of
    /// the log is an open file, including those that retention keeps or that no snapshot covers yet.
    #[must_use]
    pub fn descriptors(&self) -> u64 {
        let uncovered = self.snapshot_log_bytes.saturating_mul(3);
        let segments = self.retention_bytes_max.saturating_add(uncovered) / self.segment_bytes.max(1);
        let others = (self.regions.len() + self.members.len()) as u64;
        segments.min(SEGMENTS_KEPT_FREE_MAX) + others * CONNECTIONS_TO_ANOTHER
    }

    fn problems_of_regions(&self) -> Vec<InvalidConfig> {
        let mut problems = Vec::new();
        let mut invalid = |key, reason: String| problems.push(InvalidConfig { key, reason });
        for (index, other) in self.regions.iter().enumerate() {
            if other.name == self.region {
                invalid("regions", format!("names '{}', which is this leader's own region", other.name));
            }
            if self.regions[..index].iter().any(|earlier| earlier.name == other.name) {
                invalid("regions", format!("names '{}' twice", other.name));
            }
            if other.peers.is_empty() {
                invalid("regions", format!("lists no peers for '{}'; write peers = [\"host:7071\"]", other.name));
            }
        }
        match self.catalogue_home {
            None if !self.regions.is_empty() => invalid(
                "catalogue_home",
                "must name one of the regions, the same one at every leader: changes of the catalogue go there".into(),
            ),
            Some(home) if home != self.region && !self.regions.iter().any(|other| other.name == home) => {
                let reason =
                    format!("is '{home}', which is neither this region (leader.region) nor one of [[regions]]");
                invalid("catalogue_home", reason);
            }
            _ => {}
        }
        problems
    }

    fn problems_of_members(&self) -> Vec<InvalidConfig> {
        let mut problems = Vec::new();
        let mut invalid = |reason: String| problems.push(InvalidConfig { key: "members", reason });
        for (index, member) in self.members.iter().enumerate() {
            if member.name.is_empty() || member.name.len() > 64 || member.name.chars().any(char::is_control) {
                invalid(format!(
                    "names '{}'; a member's name has from 1 to 64 bytes and no control characters",
                    member.name.escape_debug()
                ));
            }
            if self.members[..index].iter().any(|earlier| earlier.name == member.name) {
                invalid(format!("names '{}' twice", member.name));
            }
            if host_and_port(&member.peer).is_none() {
                invalid(format!("has the peer '{1}' for '{0}'; write peer = \"host:7071\"", member.name, member.peer));
            }
        }
        if !self.members.is_empty() && !self.members.iter().any(|member| member.name == self.name) {
            let reason =
                format!("is '{}', which [[members]] does not name; set it to the name of this member", self.name);
            problems.push(InvalidConfig { key: "name", reason });
        }
        problems
    }

    /// Returns the memory for rows, in bytes.
    #[must_use]
    pub fn rows_bytes_max(&self) -> u64 {
        match self.rows_bytes_max {
            0 => memory::limit_bytes().map_or(u64::MAX, |limit| limit / 2),
            configured => configured,
        }
    }

    /// Checks what serde cannot.
    ///
    /// # Errors
    /// [`InvalidConfig`] naming the key: the first of [`Self::problems`].
    pub fn check(&self) -> Result<(), InvalidConfig> {
        self.problems().into_iter().next().map_or(Ok(()), Err)
    }

    /// Returns everything that is invalid.
    #[must_use]
    pub fn problems(&self) -> Vec<InvalidConfig> {
        let mut problems = Vec::new();
        let mut invalid = |key, reason: String| problems.push(InvalidConfig { key, reason });
        if self.name.is_empty() || self.name.len() > 128 || self.name.chars().any(char::is_control) {
            invalid("name", "must be 1 to 128 bytes long, without control characters".into());
        }
        if self.region == Region::NONE {
            invalid("region", "must name a region".into());
        }
        if self.data_dir.as_os_str().is_empty() {
            invalid("data_dir", "must name a directory".into());
        }
        for (key, value, least) in [
            ("segment_bytes", self.segment_bytes, 64 << 10),
            ("batch_bytes_max", self.batch_bytes_max as u64, 1 << 10),
            ("queue_requests_max", self.queue_requests_max as u64, 1),
            ("queue_bytes_max", self.queue_bytes_max as u64, 1 << 10),
            ("request_bytes_max", self.request_bytes_max as u64, 1 << 10),
            ("row_bytes_max", self.row_bytes_max as u64, 64),
            ("module_bytes_max", self.module_bytes_max as u64, 1 << 10),
            ("idempotency_keys_max", self.idempotency_keys_max as u64, 1),
            ("snapshot_log_bytes", self.snapshot_log_bytes, 64 << 10),
            ("shards", self.shards as u64, 1),
        ] {
            if value < least {
                invalid(key, format!("is {value}, must be at least {least}"));
            }
        }
        if self.request_bytes_max > 1 << 30 {
            invalid("request_bytes_max", format!("is {}, must be at most 1 GiB", self.request_bytes_max));
        }
        if self.row_bytes_max > self.request_bytes_max {
            invalid(
                "row_bytes_max",
                format!("is {}, more than request_bytes_max ({})", self.row_bytes_max, self.request_bytes_max),
            );
        }
        problems.extend(self.problems_of_regions());
        problems.extend(self.problems_of_members());
        problems
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_valid_and_unknown_keys_are_rejected() {
        Config::default().check().unwrap();
        assert!(toml::from_str::<Config>("segment_size = 3").unwrap_err().to_string().contains("segment_size"));
    }

    #[test]
    fn an_invalid_value_is_reported_with_a_remedy() {
        let config: Config = toml::from_str("row_bytes_max = 999999999").unwrap();
        let error = config.check().unwrap_err().to_string();
        assert!(error.contains("row_bytes_max: is 999999999, more than request_bytes_max (33554432)"), "{error}");
        assert_eq!(Config { segment_bytes: 1, ..Config::default() }.check().unwrap_err().key, "segment_bytes");
    }
}
