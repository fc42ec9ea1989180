//! Names of headers.

use http::HeaderName;

/// Request: the write concern. Answer: the concern that was reached.
pub const CONCERN: HeaderName = HeaderName::from_static("littoral-concern");
/// Request: the key that makes a retried write safe.
pub const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// Request: the region whose part of the rows is written, in a view whose merge policy combines parts.
pub const PART: HeaderName = HeaderName::from_static("littoral-part");
/// Request: the project whose definitions it names.
pub const PROJECT: HeaderName = HeaderName::from_static("littoral-project");
/// Request: how long to wait for freshness or durability, in milliseconds.
pub const WAIT_MS: HeaderName = HeaderName::from_static("littoral-wait-ms");

/// Request: the freshness token that the answer must cover.
pub const AT_LEAST: HeaderName = HeaderName::from_static("littoral-at-least");
/// Request: which nodes may answer a read.
pub const CONSISTENCY: HeaderName = HeaderName::from_static("littoral-consistency");
/// Request: the maximum staleness of a read, in milliseconds.
pub const MAX_STALENESS_MS: HeaderName = HeaderName::from_static("littoral-max-staleness-ms");
/// Request: what to do while a read's demand is not met.
pub const ON_UNMET: HeaderName = HeaderName::from_static("littoral-on-unmet");

/// Answer: why it falls short of the configuration or the demand.
pub const DEGRADED: HeaderName = HeaderName::from_static("littoral-degraded");
/// Answer: the releases of the modules that were called.
pub const MODULE_DIGEST: HeaderName = HeaderName::from_static("littoral-module-digest");
/// Answer: the number of rows of a write that changed nothing.
pub const OUTRANKED: HeaderName = HeaderName::from_static("littoral-outranked");
/// Answer: the position up to which it includes every record.
pub const POSITION: HeaderName = HeaderName::from_static("littoral-position");
/// Answer: the regions whose leaders answered a read of a quorum.
pub const REGIONS: HeaderName = HeaderName::from_static("littoral-regions");
/// Answer: which node answered.
pub const SOURCE: HeaderName = HeaderName::from_static("littoral-source");
/// Answer: the upper bound of its staleness, in milliseconds.
pub const STALENESS_MS: HeaderName = HeaderName::from_static("littoral-staleness-ms");
/// Answer: its freshness token.
pub const TOKEN: HeaderName = HeaderName::from_static("littoral-token");

/// Answer: the error code, at every door. It distinguishes the answer of a node from that of another server.
pub const ERROR: HeaderName = HeaderName::from_static("littoral-error");

/// Request to a router: the client's coordinates, as `52.5,13.4`.
pub const PLACE: HeaderName = HeaderName::from_static("littoral-place");
/// Request to a router: the client's region.
pub const REGION: HeaderName = HeaderName::from_static("littoral-region");
/// Request to a router: the tenant.
pub const TENANT: HeaderName = HeaderName::from_static("littoral-tenant");
/// Request to a router: the time limit of the request, in milliseconds.
pub const TIMEOUT_MS: HeaderName = HeaderName::from_static("littoral-timeout-ms");
/// Request to a router: `1` to get [`ROUTED_TO`] and [`ROUTE_REASON`] in the answer.
pub const EXPLAIN: HeaderName = HeaderName::from_static("littoral-explain");
/// Answer of a router: the door that answered, as `region/node`.
pub const ROUTED_TO: HeaderName = HeaderName::from_static("littoral-routed-to");
/// Answer of a router: why it chose that door.
pub const ROUTE_REASON: HeaderName = HeaderName::from_static("littoral-route-reason");

/// The prefix of every header of this API, except [`IDEMPOTENCY_KEY`].
pub const PREFIX: &str = "littoral-";
