//! The names of the measurements, in the order of the report.

/// One entity, ten features, 10,000 rows.
pub const READ_1X10: &str = "read_1x10";
/// Like `READ_1X10`, at a door with authentication.
pub const AUTH_READ_1X10: &str = "auth_read_1x10";
/// Like `READ_1X10`, at an edge that records traces.
pub const TRACED_READ_1X10: &str = "traced_read_1x10";
/// A hundred entities, ten features, 10,000 rows.
pub const READ_100X10: &str = "read_100x10";
/// A hundred entities, ten features, 1,000,000 rows, Zipf.
pub const READ_ZIPF: &str = "read_zipf_1m";
/// Through `delay_risk`, a warm instance.
pub const MODULE_WARM: &str = "module_warm";
/// Through `delay_risk`, a fresh instance for each call.
pub const MODULE_FRESH: &str = "module_fresh";
/// Tail latency at half of the peak rate.
pub const TAIL: &str = "read_p99_half_rate";
/// 64 writers, one row each.
pub const WRITE_ROWS: &str = "write_64_clients";
/// One writer, batches of 1,000 rows.
pub const WRITE_BATCHES: &str = "write_batches";
/// From commit to visible at an edge.
pub const VISIBLE: &str = "commit_to_visible";
/// From commit to visible at an edge with a compressed feed.
pub const COMPRESSED_VISIBLE: &str = "compressed_visible";
/// From commit in one region to visible at an edge of another.
pub const FAR_VISIBLE: &str = "region_to_visible";
/// Bootstrap of an edge from a snapshot.
pub const BOOTSTRAP: &str = "bootstrap_1m";
/// Warm start of an edge from an encrypted snapshot.
pub const AT_REST: &str = "warm_start_encrypted_1m";
/// Bootstrap of an edge with a compressed feed.
pub const COMPRESSED_BOOTSTRAP: &str = "compressed_bootstrap";
/// Resident memory per row at an edge.
pub const MEMORY: &str = "memory_per_row";
/// Through the router, compared with another proxy.
pub const ROUTER: &str = "router";

/// One entity, ten features, over TLS.
pub const TLS_READ: &str = "tls_read_1x10";
/// Full handshakes.
pub const TLS_HANDSHAKES: &str = "tls_handshakes";
/// From commit to visible at an edge, with mutual TLS.
pub const TLS_VISIBLE: &str = "tls_commit_to_visible";
/// Memory of idle connections.
pub const TLS_IDLE: &str = "tls_idle_connections";
/// A client's tail latency while others flood the door.
pub const FLOOD: &str = "flood_p99";

/// All of them.
pub const NAMES: [&str; 23] = [
    READ_1X10,
    AUTH_READ_1X10,
    TRACED_READ_1X10,
    READ_100X10,
    READ_ZIPF,
    MODULE_WARM,
    MODULE_FRESH,
    TAIL,
    WRITE_ROWS,
    WRITE_BATCHES,
    VISIBLE,
    COMPRESSED_VISIBLE,
    FAR_VISIBLE,
    BOOTSTRAP,
    AT_REST,
    COMPRESSED_BOOTSTRAP,
    MEMORY,
    ROUTER,
    TLS_READ,
    TLS_HANDSHAKES,
    TLS_VISIBLE,
    TLS_IDLE,
    FLOOD,
];
