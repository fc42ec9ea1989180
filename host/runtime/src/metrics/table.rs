//! The table of all metrics. `host/METRICS.md` is generated from it, and the recorder takes its HELP texts from it.
//!
//! Names follow Prometheus' conventions: base units as suffixes, `_total` for counters, and labels whose values are
//! bounded.

use metrics::{counter, describe_counter, describe_gauge, describe_histogram};

/// What a process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// A leader, alone or a member.
    Leader,
    /// An edge, also as a relay.
    Edge,
    /// A router.
    Router,
}

/// The type of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A count that only grows.
    Counter,
    /// A value that grows and falls.
    Gauge,
    /// Counts of observations in buckets.
    Histogram,
}

/// A metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metric {
    /// Its name.
    pub name: &'static str,
    /// Its type.
    pub kind: Kind,
    /// The roles that have it.
    pub roles: &'static [Role],
    /// The names of its labels.
    pub labels: &'static [&'static str],
    /// Its HELP text.
    pub help: &'static str,
}

const LEADER: &[Role] = &[Role::Leader];
const EDGE: &[Role] = &[Role::Edge];
const ROUTER: &[Role] = &[Role::Router];
const DATA: &[Role] = &[Role::Leader, Role::Edge];
const EVERY: &[Role] = &[Role::Leader, Role::Edge, Role::Router];

/// Defines [`ALL`].
macro_rules! metrics {
    ($($kind:ident $name:literal $roles:ident [$($label:literal),*] $help:literal;)+) => {
        /// All metrics, in alphabetical order.
        pub const ALL: &[Metric] =
            &[$(Metric { name: $name, kind: Kind::$kind, roles: $roles, labels: &[$($label),*], help: $help }),+];
    };
}

metrics! {
    Gauge "feast_feature_freshness_seconds" DATA ["feature_view", "project"]
        "Age of the newest row of the view in the newest read, under Feast's name";
    Histogram "feast_feature_server_request_latency_seconds" DATA ["endpoint", "feature_count", "feature_view_count"]
        "Duration of requests at Feast's endpoints, under Feast's name";
    Counter "feast_feature_server_request_total" DATA ["endpoint", "status"]
        "Requests at Feast's endpoints, under Feast's name";
    Counter "feast_online_features_status_total" DATA ["feature_view", "status"]
        "Values of answers by retrieval status, under Feast's name";
    Counter "feast_push_request_total" DATA ["push_source", "mode"]
        "Accepted requests at /push, under Feast's name";
    Gauge "littoral_at_rest_files" EDGE ["file", "key"]
        "Stored files by the key that encrypts them: its name, `plain` or `damaged`";
    Gauge "littoral_at_rest_key_ring_valid" EDGE []
        "1 while the file of the key ring is valid; 0 while the last valid one stays in force";
    Counter "littoral_at_rest_rejected_total" DATA ["file", "reason"]
        "Stored files that were rejected: `damaged` or changed, without their `key`, or `plain`";
    Counter "littoral_auth_fetch_failures_total" DATA ["issuer"]
        "Fetches of an issuer's keys that failed";
    Counter "littoral_auth_rejected_total" DATA ["code"]
        "Requests that were rejected because of their credential or its scopes, by error code";
    Gauge "littoral_auth_rules_valid" DATA []
        "1 while the policy and token files are valid; 0 while the last valid ones stay in force";
    Gauge "littoral_build_info" EVERY ["version"]
        "Always 1; the label is the build of the process";
    Gauge "littoral_disk_free_bytes" DATA []
        "Space that is free for the node on the file system of its data directory";
    Gauge "littoral_disk_size_bytes" DATA []
        "Size of the file system of the data directory";
    Counter "littoral_door_clients_disconnected_total" DATA []
        "Requests whose client left while they waited";
    Counter "littoral_door_errors_total" DATA ["code"]
        "Requests that were answered with an error, by error code (host/ERRORS.md)";
    Counter "littoral_door_panics_total" DATA []
        "Requests that ended in a panic";
    Histogram "littoral_door_request_seconds" DATA ["endpoint", "outcome"]
        "Duration of requests from the arrival of the head to the answer, by endpoint and outcome (ok, rejected, failed)";
    Counter "littoral_door_values_total" DATA ["view", "status"]
        "Values of answers by view and status (PRESENT, NULL_VALUE, NOT_FOUND, OUTSIDE_MAX_AGE, UNKNOWN)";
    Histogram "littoral_door_view_read_seconds" DATA ["view"]
        "Duration of reads, by each view that they read";
    Counter "littoral_edge_applied_rows_total" EDGE []
        "Rows that the edge applied from the feed";
    Gauge "littoral_edge_away_from_home" EDGE []
        "1 while the edge follows another region's log than that of its configured or first region";
    Counter "littoral_edge_buckets_corrupted_total" EDGE []
        "Buckets of rows in which re-hashing found memory corruption";
    Counter "littoral_edge_buckets_repaired_total" EDGE []
        "Buckets of rows that were repaired from the leader";
    Gauge "littoral_edge_degraded" EDGE ["reason"]
        "1 while the edge is degraded for this reason";
    Counter "littoral_edge_digest_mismatches_total" EDGE []
        "Comparisons with the leader's checkpoint that found a difference";
    Gauge "littoral_edge_epoch" EDGE []
        "Epoch of the newest record that the edge has applied";
    Counter "littoral_edge_evictions_total" EDGE []
        "Rows of resident views that were evicted because the budget was used up";
    Counter "littoral_edge_feed_ended_total" EDGE []
        "Streams of the feed that ended";
    Counter "littoral_edge_feed_violations_total" EDGE []
        "Streams of the feed that ended because the leader broke the protocol";
    Counter "littoral_edge_fill_calls_total" EDGE []
        "Calls to the leader that requested rows for fills";
    Counter "littoral_edge_fill_errors_total" EDGE []
        "Calls for fills that failed";
    Counter "littoral_edge_fills_joined_total" EDGE []
        "Misses that joined a fill that was already under way";
    Counter "littoral_edge_fills_overtaken_total" EDGE []
        "Filled rows that were not kept because the feed had overtaken them";
    Counter "littoral_edge_fills_total" EDGE []
        "Rows that were requested from the leader";
    Gauge "littoral_edge_fills_waiting" EDGE []
        "Rows whose fill is under way";
    Gauge "littoral_edge_fresh" EDGE []
        "1 while the staleness is within the configured bound";
    Gauge "littoral_edge_head_lsn" EDGE []
        "Newest record of the leader that the edge has heard of";
    Counter "littoral_edge_hits_total" EDGE []
        "Keys of reads whose row, or proven absence, the edge held";
    Gauge "littoral_edge_lag_records" EDGE []
        "Records of the leader that the edge has heard of and not applied";
    Gauge "littoral_edge_leader_connected" EDGE []
        "1 while the leader is connected and heard, so that writes can be forwarded";
    Counter "littoral_edge_local_snapshot_failures_total" EDGE []
        "Local snapshots that could not be written";
    Gauge "littoral_edge_local_snapshot_timestamp_seconds" EDGE []
        "Unix time at which the newest local snapshot was written by this process";
    Counter "littoral_edge_local_snapshots_rejected_total" EDGE []
        "Local snapshots that were not used at the start because they were damaged or did not fit";
    Counter "littoral_edge_local_snapshots_total" EDGE []
        "Local snapshots that were written";
    Counter "littoral_edge_misses_total" EDGE []
        "Keys of reads whose row the edge did not hold";
    Counter "littoral_edge_module_failures_total" EDGE []
        "Releases of modules that could not be fetched or compiled";
    Counter "littoral_edge_other_logs_rejected_total" EDGE []
        "Streams that were rejected because they belong to another log";
    Gauge "littoral_edge_position_lsn" EDGE []
        "Newest record that the edge has applied";
    Counter "littoral_edge_reads_incomplete_total" EDGE []
        "Reads that were answered with unknown values because the leader could not be reached";
    Counter "littoral_edge_reads_waited_total" EDGE []
        "Reads that waited for the freshness that they demand";
    Gauge "littoral_edge_ready" EDGE []
        "1 while the edge has data and may serve";
    Counter "littoral_edge_rehomed_total" EDGE []
        "Moves to another region's log without a new snapshot";
    Counter "littoral_edge_rows_outside_total" EDGE []
        "Rows that a publisher sent although a residency rule keeps them out of the edge's region; they were discarded";
    Histogram "littoral_edge_scrub_seconds" EDGE []
        "Duration of re-hashing all rows";
    Counter "littoral_edge_snapshot_rows_total" EDGE []
        "Rows that arrived with snapshots";
    Counter "littoral_edge_snapshots_total" EDGE []
        "Snapshots that began to arrive";
    Gauge "littoral_edge_staleness_seconds" EDGE []
        "Upper bound on how far the edge is behind its leader";
    Counter "littoral_edge_tails_kept_total" EDGE []
        "Detached tails that were saved to disk";
    Counter "littoral_edge_tails_not_kept_total" EDGE []
        "Detached tails that could not be saved";
    Counter "littoral_edge_tombstones_collected_total" EDGE []
        "Tombstones that were collected";
    Gauge "littoral_edge_verified_age_seconds" EDGE []
        "Age of the newest checkpoint to which the rows were equal";
    Gauge "littoral_edge_verified_lsn" EDGE []
        "Record as of which the rows were last equal to the leader's";
    Gauge "littoral_edge_view_budget_bytes" EDGE ["residency"]
        "Memory budget of the rows of all views with this residency";
    Counter "littoral_edge_views_degraded_total" EDGE []
        "Full views that became resident because they outgrew their budget";
    Counter "littoral_feed_bandwidth_waits_total" DATA ["region", "what"]
        "Times that records or a snapshot (what) waited because feed.bandwidth_max of the region was used up";
    Counter "littoral_feed_ended_total" DATA ["reason"]
        "Sessions of subscribers that this node ended, by reason";
    Counter "littoral_feed_record_bytes_total" DATA []
        "Bytes of records that were sent to subscribers";
    Counter "littoral_feed_rejected_total" DATA ["reason"]
        "Connections and subscribers that were rejected, by the bound that was reached";
    Counter "littoral_feed_snapshots_total" DATA []
        "Snapshots that were sent in full";
    Gauge "littoral_feed_streams" DATA ["version"]
        "Open streams of peers (feeds and calls), by the protocol version on which both sides have agreed";
    Gauge "littoral_feed_subscribers" DATA []
        "Connected subscribers";
    Gauge "littoral_feed_subscribers_compressed" DATA []
        "Connected subscribers that receive the feed compressed";
    Gauge "littoral_feed_waiting_bytes" DATA []
        "Bytes that wait to be sent to subscribers";
    Gauge "littoral_http_connections" EVERY []
        "Open connections of clients";
    Counter "littoral_http_connections_closed_total" EVERY ["reason"]
        "Connections that were closed because of their client, by reason (handshake, silent, idle, unread, malformed, flood)";
    Counter "littoral_http_connections_gave_way_total" EVERY ["bound"]
        "Connections that were closed for new ones, by the bound (address, identity, places, reserve, handshakes)";
    Counter "littoral_http_connections_rejected_total" EVERY ["bound"]
        "Connections that found no place (address, identity), or only one of the reserve (places)";
    Gauge "littoral_insecure" EVERY []
        "1 while a listener beyond loopback is unprotected, as --insecure allows";
    Histogram "littoral_leader_append_seconds" LEADER []
        "Duration of appending a batch to the log, including its one fsync";
    Histogram "littoral_leader_batch_records" LEADER []
        "Records per batch that was appended to the log";
    Counter "littoral_leader_checkpoints_total" LEADER []
        "Checkpoints that were taken for anti-entropy";
    Counter "littoral_leader_conflicts_total" LEADER []
        "Writes of one row in two regions, neither of which knew of the other";
    Gauge "littoral_leader_epoch" LEADER []
        "Epoch of the node's log";
    Gauge "littoral_leader_fresh" LEADER []
        "1 while the node leads, or is a member close behind its leader";
    Gauge "littoral_leader_head_lsn" LEADER []
        "Newest record that the node has applied";
    Gauge "littoral_leader_leading" LEADER []
        "1 while the node leads its region";
    Counter "littoral_leader_log_bytes_total" LEADER []
        "Bytes that were appended to the log";
    Gauge "littoral_leader_log_files_missing" LEADER []
        "1 while files of the log are missing on disk";
    Gauge "littoral_leader_log_oldest_lsn" LEADER []
        "Oldest record that the log keeps";
    Gauge "littoral_leader_log_size_bytes" LEADER []
        "Bytes of the log's files";
    Gauge "littoral_leader_queue_depth" LEADER []
        "Writes that wait for the next batch";
    Counter "littoral_leader_quorum_reads_failed_total" LEADER []
        "Quorum reads for which too few regions answered";
    Counter "littoral_leader_quorum_reads_total" LEADER []
        "Quorum reads";
    Gauge "littoral_leader_region_connected" LEADER ["region"]
        "1 while the records of the other region arrive";
    Counter "littoral_leader_region_feed_ended_total" LEADER ["region"]
        "Streams from other regions' leaders that ended";
    Gauge "littoral_leader_region_lag_records" LEADER ["region"]
        "Records of the other region that are not applied here, as far as known";
    Gauge "littoral_leader_region_lag_seconds" LEADER ["region"]
        "For how long the other region may have had records that are missing here";
    Counter "littoral_leader_region_record_bytes_total" LEADER ["region"]
        "Bytes of records that arrived from other regions";
    Counter "littoral_leader_rollbacks_total" LEADER []
        "Starts at which the log was found rolled back";
    Gauge "littoral_leader_rows_bytes" LEADER []
        "Memory of the rows that the leader holds";
    Gauge "littoral_leader_rows_corrupted" LEADER []
        "1 once re-hashing found memory corruption; restart the leader";
    Gauge "littoral_leader_rows_max_bytes" LEADER []
        "Memory that the rows may use; beyond it, writes that add rows are rejected";
    Histogram "littoral_leader_scrub_seconds" LEADER []
        "Duration of re-hashing all rows";
    Gauge "littoral_leader_snapshot_bytes" LEADER []
        "Bytes of the newest snapshot that this process wrote";
    Counter "littoral_leader_snapshot_failures_total" LEADER []
        "Snapshots that could not be written";
    Histogram "littoral_leader_snapshot_seconds" LEADER []
        "Duration of writing a snapshot";
    Gauge "littoral_leader_snapshot_timestamp_seconds" LEADER []
        "Unix time at which this process wrote the newest snapshot";
    Counter "littoral_leader_tombstones_collected_total" LEADER []
        "Tombstones that were collected";
    Gauge "littoral_leader_writable" LEADER []
        "1 while the node accepts writes or forwards them to a leader";
    Counter "littoral_leader_writes_rejected_total" LEADER []
        "Writes that were rejected";
    Counter "littoral_leader_writes_total" LEADER []
        "Writes that were acknowledged";
    Gauge "littoral_lease_epoch" LEADER []
        "Epoch in which this node last led";
    Counter "littoral_lease_request_errors_total" LEADER []
        "Requests to the lease store that failed";
    Histogram "littoral_lease_request_seconds" LEADER ["request"]
        "Duration of requests to the lease store, by kind";
    Counter "littoral_lease_step_downs_total" LEADER ["why"]
        "Times at which this node stopped leading, by reason";
    Gauge "littoral_lease_store_lost" LEADER []
        "1 while the lease store is not the one that this node remembers";
    Counter "littoral_members_follow_ended_total" LEADER []
        "Sessions with the region's leader that ended";
    Counter "littoral_members_forks_total" LEADER []
        "Forks that were found in this member's log";
    Histogram "littoral_members_promotion_seconds" LEADER []
        "Duration of promotions";
    Gauge "littoral_members_reachable" LEADER ["member"]
        "1 while this node leads and hears the member";
    Counter "littoral_members_records_detached_total" LEADER []
        "Records that were moved to a detached tail";
    Histogram "littoral_module_call_seconds" DATA ["module"]
        "Duration of calls of modules";
    Counter "littoral_module_faults_total" DATA ["module", "kind"]
        "Calls of modules that failed, by kind";
    Counter "littoral_module_lines_dropped_total" DATA []
        "Log lines of modules beyond their limit";
    Counter "littoral_module_shared_calls_total" DATA ["module"]
        "Calls of modules that several requests shared";
    Counter "littoral_module_shared_requests_total" DATA ["module"]
        "Requests that shared a call of a module";
    Counter "littoral_peer_calls_rejected_total" DATA []
        "Calls of peers that were rejected because of the role of the peer's certificate";
    Counter "littoral_peer_calls_total" DATA []
        "Calls that peers made to this node";
    Counter "littoral_peer_malformed_total" DATA []
        "Streams of peers that ended because of malformed bytes";
    Counter "littoral_peer_received_bytes_total" DATA []
        "Bytes that arrived from peers: the feed and calls, as sent";
    Counter "littoral_peer_sent_bytes_total" DATA ["region"]
        "Bytes that were sent to the nodes of the region: the feed, compressed if it is, and replies to calls";
    Counter "littoral_peer_uncompressed_bytes_total" DATA ["region"]
        "What littoral_peer_sent_bytes_total would be without compression";
    Gauge "littoral_process_tasks" EVERY []
        "Tasks of the process's threads that have not ended";
    Counter "littoral_project_rejected_total" DATA ["project", "quota"]
        "Requests that a project's quota rejected, by quota (stored for rows and bytes)";
    Counter "littoral_router_dns_queries_total" ROUTER []
        "DNS queries that were answered";
    Gauge "littoral_router_doors" ROUTER ["region"]
        "Doors of the region in the topology";
    Gauge "littoral_router_doors_usable" ROUTER ["region"]
        "Doors of the region that pass their probes and are not ejected";
    Counter "littoral_router_ejections_total" ROUTER []
        "Doors that were ejected because their requests failed";
    Counter "littoral_router_health_changes_total" ROUTER ["to"]
        "Changes of a door's health, by the new state";
    Counter "littoral_router_hedges_total" ROUTER []
        "Second attempts because the first was slow";
    Counter "littoral_router_probes_total" ROUTER ["result"]
        "Probes of doors, by result (good, bad)";
    Counter "littoral_router_region_ejections_total" ROUTER []
        "Regions that were ejected because requests to too many of their doors failed";
    Histogram "littoral_router_request_seconds" ROUTER ["region", "door"]
        "Duration of requests that were answered, by the door that answered";
    Counter "littoral_router_requests_total" ROUTER ["outcome"]
        "Requests by outcome: answered, or the code of the router's own error";
    Counter "littoral_router_retries_total" ROUTER []
        "Further attempts because one failed or took too long";
    Counter "littoral_router_topology_changes_total" ROUTER []
        "Topologies that came into effect";
    Gauge "littoral_router_topology_invalid" ROUTER []
        "1 while the topology file is invalid and the last valid one stays in effect";
    Counter "littoral_router_topology_rejected_total" ROUTER []
        "Topology files that were rejected";
    Gauge "littoral_tls_certificate_expiry_timestamp_seconds" EVERY []
        "Unix time at which the node's certificate expires";
    Counter "littoral_tls_handshakes_total" EVERY ["listener", "result"]
        "TLS handshakes of clients and peers, by listener (door, peer) and result (ok, failed)";
    Counter "littoral_tls_reloads_total" EVERY ["result"]
        "Reloads of the certificate and the trusted roots, by result (ok, rejected)";
    Counter "littoral_tls_renewals_total" EVERY ["result"]
        "Renewals of the node's certificate, by result (ok, failed)";
    Counter "littoral_tls_signed_total" LEADER []
        "Certificates that this node has signed";
    Counter "littoral_trace_spans_dropped_total" EVERY ["reason"]
        "Spans that were not exported, by reason: the queue was full, the collector failed or rejected them, or the process stopped";
    Counter "littoral_trace_spans_exported_total" EVERY []
        "Spans that the collector of traces accepted";
    Gauge "littoral_view_bytes" DATA ["view", "residency"]
        "Bytes of rows that the node holds";
    Gauge "littoral_view_rows" DATA ["view", "residency"]
        "Rows that the node holds";
    Gauge "process_max_fds" EVERY []
        "File descriptors that the process may open";
    Gauge "process_open_fds" EVERY []
        "File descriptors that the process has open";
    Gauge "process_resident_memory_bytes" EVERY []
        "Resident memory of the process";
    Gauge "process_start_time_seconds" EVERY []
        "Unix time at which the process started";
}

impl Role {
    /// Returns the word for documents.
    const fn as_str(self) -> &'static str {
        match self {
            Self::Leader => "leader",
            Self::Edge => "edge",
            Self::Router => "router",
        }
    }
}

impl Metric {
    /// Returns the unit that the name states.
    #[must_use]
    pub fn unit(&self) -> &'static str {
        let name = self.name.strip_suffix("_total").unwrap_or(self.name);
        let units = ["seconds", "bytes", "records", "rows"];
        units.into_iter().find(|unit| name.ends_with(&format!("_{unit}"))).unwrap_or("")
    }
}

/// Describes every metric, and sets the role's counters without labels to zero.
pub(super) fn describe(role: Role) {
    for metric in ALL {
        match metric.kind {
            Kind::Counter => describe_counter!(metric.name, metric.help),
            Kind::Gauge => describe_gauge!(metric.name, metric.help),
            Kind::Histogram => describe_histogram!(metric.name, metric.help),
        }
        if metric.kind == Kind::Counter && metric.labels.is_empty() && metric.roles.contains(&role) {
            counter!(metric.name).increment(0);
        }
    }
}

/// Renders the table as Markdown, for `host/METRICS.md`.
#[must_use]
pub fn markdown() -> String {
    let list = |words: &[&str]| words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ");
    let rows = ALL.iter().map(|metric| {
        let Metric { name, kind, roles, labels, help } = metric;
        let kind = format!("{kind:?}").to_lowercase();
        let roles: Vec<_> = roles.iter().map(|role| role.as_str()).collect();
        format!("| `{name}` | {kind} | {} | {} | {} | {help} |\n", metric.unit(), roles.join(", "), list(labels))
    });
    format!(
        "| metric | type | unit | nodes | labels | meaning |\n|---|---|---|---|---|---|\n{}",
        rows.collect::<String>()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_conventions() {
        assert!(ALL.is_sorted_by(|a, b| a.name < b.name), "the table is in alphabetical order, each name once");
        for Metric { name, kind, help, labels, .. } in ALL {
            assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{name}");
            assert_eq!(*kind == Kind::Counter, name.ends_with("_total"), "{name}: counters end with _total");
            let scaled = ["ms", "us", "ns", "millis", "micros", "kib", "mib", "percent"];
            assert!(!name.split('_').any(|word| scaled.contains(&word)), "{name}: the unit is not a base unit");
            assert!(!help.is_empty() && !help.ends_with('.') && !help.contains('|'), "{name}: {help}");
            assert!(labels.iter().all(|label| !["le", "quantile", "job", "instance"].contains(label)), "{name}");
        }
    }

    #[test]
    fn the_page_shows_the_table() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../METRICS.md");
        let page = std::fs::read_to_string(path).unwrap();
        let (begin, end) =
            ("<!-- table: written by `cargo test -p littoral-runtime` with LITTORAL_BLESS=1 -->\n", "<!-- end -->\n");
        let (before, rest) = page.split_once(begin).unwrap();
        let (held, after) = rest.split_once(end).unwrap();
        if std::env::var_os("LITTORAL_BLESS").is_some() {
            std::fs::write(path, format!("{before}{begin}{}{end}{after}", markdown())).unwrap();
            return;
        }
        assert_eq!(held, markdown(), "host/METRICS.md is outdated: run this test with LITTORAL_BLESS=1");
    }
}
