//! Error codes: stable words by which programs distinguish errors. They are in [`crate::Problem`] and in the header
//! [`crate::headers::ERROR`].

/// A frame has two columns for one name of the view.
pub const AMBIGUOUS_COLUMN: &str = "ambiguous_column";
/// The answer would be larger than allowed.
pub const ANSWER_TOO_LARGE: &str = "answer_too_large";
/// The body did not arrive as announced.
pub const BODY_BROKEN: &str = "body_broken";
/// The body did not arrive in time.
pub const BODY_TIMEOUT: &str = "body_timeout";
/// The body is larger than allowed.
pub const BODY_TOO_LARGE: &str = "body_too_large";
/// The client closed its side of the connection during the request.
pub const CLIENT_LEFT: &str = "client_left";
/// A column is among the entities and among the parameters.
pub const COLUMN_GIVEN_TWICE: &str = "column_given_twice";
/// The component of a module is larger than allowed.
pub const COMPONENT_TOO_LARGE: &str = "component_too_large";
/// The write is durable, but its concern was not reached in time.
pub const CONCERN_NOT_REACHED: &str = "concern_not_reached";
/// A door did not answer a write, which it may have accepted.
pub const DOOR_LOST: &str = "door_lost";
/// The router could reach no door.
pub const DOORS_LOST: &str = "doors_lost";
/// The body has no component.
pub const EMPTY_MODULE: &str = "empty_module";
/// The event timestamp is too far in the future.
pub const FUTURE_EVENT: &str = "future_event";
/// A loopback door rejects the `Host` of the request.
pub const HOST_NOT_ALLOWED: &str = "host_not_allowed";
/// The idempotency key belongs to another write.
pub const IDEMPOTENCY_MISMATCH: &str = "idempotency_mismatch";
/// A fault of the node. Its log describes it.
pub const INTERNAL: &str = "internal";
/// The write or the definition is invalid.
pub const INVALID: &str = "invalid";
/// The query has an invalid IP address.
pub const INVALID_ADDRESS: &str = "invalid_address";
/// The body is JSON, but not what the endpoint accepts.
pub const INVALID_BODY: &str = "invalid_body";
/// The write concern is invalid.
pub const INVALID_CONCERN: &str = "invalid_concern";
/// The cursor was not returned by an earlier page.
pub const INVALID_CURSOR: &str = "invalid_cursor";
/// The freshness demand is invalid.
pub const INVALID_DEMAND: &str = "invalid_demand";
/// A value of a read is not of its column's type.
pub const INVALID_ENTITY: &str = "invalid_entity";
/// The query's `from` is invalid.
pub const INVALID_FROM: &str = "invalid_from";
/// A header is invalid.
pub const INVALID_HEADER: &str = "invalid_header";
/// The idempotency key is invalid.
pub const INVALID_IDEMPOTENCY_KEY: &str = "invalid_idempotency_key";
/// The body is not JSON.
pub const INVALID_JSON: &str = "invalid_json";
/// The query's `limit` is invalid.
pub const INVALID_LIMIT: &str = "invalid_limit";
/// The query's `log` is invalid.
pub const INVALID_LOG: &str = "invalid_log";
/// The part is not a region.
pub const INVALID_PART: &str = "invalid_part";
/// The request has no path.
pub const INVALID_PATH: &str = "invalid_path";
/// The coordinates are invalid.
pub const INVALID_PLACE: &str = "invalid_place";
/// The push's `to` is invalid.
pub const INVALID_PUSH_MODE: &str = "invalid_push_mode";
/// A feature reference is invalid.
pub const INVALID_REFERENCE: &str = "invalid_reference";
/// A row of the write is invalid.
pub const INVALID_ROW: &str = "invalid_row";
/// The Arrow stream is invalid.
pub const INVALID_ROWS: &str = "invalid_rows";
/// The release of a module is missing or invalid.
pub const INVALID_VERSION: &str = "invalid_version";
/// The definition of a view is invalid.
pub const INVALID_VIEW: &str = "invalid_view";
/// The wait is invalid.
pub const INVALID_WAIT: &str = "invalid_wait";
/// The leader is needed and cannot be reached.
pub const LEADER_UNAVAILABLE: &str = "leader_unavailable";
/// The frame lacks a column of the view.
pub const MISSING_COLUMN: &str = "missing_column";
/// The read lacks a join key of a view.
pub const MISSING_JOIN_KEY: &str = "missing_join_key";
/// The read lacks a parameter of a module.
pub const MISSING_REQUEST_DATA: &str = "missing_request_data";
/// All instances of the module are in use.
pub const MODULE_BUSY: &str = "module_busy";
/// The module returned an error.
pub const MODULE_FAILED: &str = "module_failed";
/// The module's release is not compiled at this node yet.
pub const MODULE_NOT_READY: &str = "module_not_ready";
/// The module exceeded its memory.
pub const MODULE_OUT_OF_MEMORY: &str = "module_out_of_memory";
/// The component was rejected.
pub const MODULE_REFUSED: &str = "module_refused";
/// The module exceeded its time.
pub const MODULE_TIMEOUT: &str = "module_timeout";
/// The module trapped.
pub const MODULE_TRAP: &str = "module_trap";
/// The module returned other columns than it declares.
pub const MODULE_WRONG_SHAPE: &str = "module_wrong_shape";
/// Two columns of the answer would have one name.
pub const NAME_COLLISION: &str = "name_collision";
/// The body and the path have different names.
pub const NAME_MISMATCH: &str = "name_mismatch";
/// The read has no entity.
pub const NO_ENTITIES: &str = "no_entities";
/// The read has no feature.
pub const NO_FEATURES: &str = "no_features";
/// The node keeps no conflict ledger.
pub const NO_LEDGER: &str = "no_ledger";
/// The process records no metrics.
pub const NO_METRICS: &str = "no_metrics";
/// A push can only go to the online store.
pub const NO_OFFLINE_STORE: &str = "no_offline_store";
/// The write has no row.
pub const NO_ROWS: &str = "no_rows";
/// The node keeps no detached tails.
pub const NO_TAILS: &str = "no_tails";
/// The node is not an edge.
pub const NOT_AN_EDGE: &str = "not_an_edge";
/// The log could not store the write.
pub const NOT_DURABLE: &str = "not_durable";
/// The data is not fresh.
pub const NOT_FRESH: &str = "not_fresh";
/// The freshness demand was not met in time.
pub const NOT_FRESH_ENOUGH: &str = "not_fresh_enough";
/// The node does not hold every row of the view.
pub const NOT_HELD_WHOLE: &str = "not_held_whole";
/// The node is not the leader.
pub const NOT_LEADER: &str = "not_leader";
/// The node has no data yet, or is draining.
pub const NOT_READY: &str = "not_ready";
/// The router has no door left for the request.
pub const NOTHING_LEFT: &str = "nothing_left";
/// The edge has rejected no such log.
pub const NOTHING_TO_ADOPT: &str = "nothing_to_adopt";
/// Pages of the request's `Origin` may not use the door.
pub const ORIGIN_NOT_ALLOWED: &str = "origin_not_allowed";
/// The node is at one of its bounds.
pub const OVERLOADED: &str = "overloaded";
/// Too few regions answered a read of a quorum.
pub const QUORUM_NOT_REACHED: &str = "quorum_not_reached";
/// The read has too many rows or values.
pub const READ_TOO_LARGE: &str = "read_too_large";
/// No door answered within the time limit.
pub const ROUTER_TIMEOUT: &str = "router_timeout";
/// The node is starting.
pub const STARTING: &str = "starting";
/// The log no longer has the records of the token.
pub const TOKEN_LOST: &str = "token_lost";
/// The read has too many features.
pub const TOO_MANY_FEATURES: &str = "too_many_features";
/// Too many requests wait for freshness or durability.
pub const TOO_MANY_WAITING: &str = "too_many_waiting";
/// The columns have different lengths.
pub const UNEQUAL_LENGTHS: &str = "unequal_lengths";
/// There is no such conflict.
pub const UNKNOWN_CONFLICT: &str = "unknown_conflict";
/// There is no such feature.
pub const UNKNOWN_FEATURE: &str = "unknown_feature";
/// There is no such module.
pub const UNKNOWN_MODULE: &str = "unknown_module";
/// There is no such path.
pub const UNKNOWN_PATH: &str = "unknown_path";
/// There is no such push source.
pub const UNKNOWN_PUSH_SOURCE: &str = "unknown_push_source";
/// The topology has no such region.
pub const UNKNOWN_REGION: &str = "unknown_region";
/// There is no such feature service.
pub const UNKNOWN_SERVICE: &str = "unknown_service";
/// The node keeps no such detached tail.
pub const UNKNOWN_TAIL: &str = "unknown_tail";
/// There is no such feature view.
pub const UNKNOWN_VIEW: &str = "unknown_view";
/// A reference names a version of a view.
pub const UNSUPPORTED_VERSION: &str = "unsupported_version";
/// The write has too many rows or bytes.
pub const WRITE_TOO_LARGE: &str = "write_too_large";
/// The path does not support the method.
pub const WRONG_METHOD: &str = "wrong_method";
