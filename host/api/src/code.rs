//! Error codes: stable words by which programs distinguish errors. They are in [`crate::Problem`] and in the header
//! [`crate::headers::ERROR`]. This table is the only place that defines them: `littoral errors` prints it and
//! `host/ERRORS.md` is generated from it.

/// An error code and what its reader needs to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Code {
    /// The code, as answers carry it.
    pub word: &'static str,
    /// The HTTP statuses that accompany it.
    pub statuses: &'static [u16],
    /// What happened.
    pub meaning: &'static str,
    /// What to do.
    pub remedy: &'static str,
}

/// Defines a constant for each code, and the table [`ALL`].
macro_rules! codes {
    ($($name:ident = $word:literal, [$($status:literal),+], $meaning:literal, $remedy:literal;)+) => {
        $(#[doc = $meaning] pub const $name: &str = $word;)+

        /// All codes, in alphabetical order.
        pub const ALL: &[Code] =
            &[$(Code { word: $word, statuses: &[$($status),+], meaning: $meaning, remedy: $remedy }),+];
    };
}

/// Renders the table as Markdown, for `host/ERRORS.md`.
#[must_use]
pub fn markdown() -> String {
    let rows = ALL.iter().map(|Code { word, statuses, meaning, remedy }| {
        let statuses: Vec<String> = statuses.iter().map(u16::to_string).collect();
        format!("| `{word}` | {} | {meaning} | {remedy} |\n", statuses.join(", "))
    });
    format!("| code | status | meaning | remedy |\n|---|---|---|---|\n{}", rows.collect::<String>())
}

/// Finds a code by its word.
#[must_use]
pub fn find(word: &str) -> Option<&'static Code> {
    ALL.binary_search_by(|code| code.word.cmp(word)).ok().map(|at| &ALL[at])
}

/// Whether the table lists `status` for the code `word`. Debug builds check it for every error.
#[must_use]
pub fn accompanies(word: &str, status: u16) -> bool {
    find(word).is_some_and(|code| code.statuses.contains(&status))
}

codes! {
    AMBIGUOUS_COLUMN = "ambiguous_column", [422],
        "A frame has two columns for one name of the view.",
        "Remove or rename one of the two columns.";
    ANSWER_TOO_LARGE = "answer_too_large", [413],
        "The answer would be larger than allowed.",
        "Request fewer rows or features or a smaller `limit`, or raise `door.answer_bytes_max`.";
    BODY_BROKEN = "body_broken", [400],
        "The body did not arrive as announced.",
        "Send the request again. If it recurs, look for a proxy that cuts requests short.";
    BODY_TIMEOUT = "body_timeout", [408],
        "The body did not arrive in time.",
        "Send the body without pauses, or raise `door.body_timeout_ms`.";
    BODY_TOO_LARGE = "body_too_large", [413],
        "The body is larger than allowed.",
        "Split the request, or raise the limit that the message names.";
    CERTIFICATE_NOT_ACCEPTED = "certificate_not_accepted", [401],
        "The door does not accept client certificates as credentials.",
        "Send a bearer token, or set `auth.client_certificates`.";
    CLIENT_LEFT = "client_left", [412, 408],
        "The client closed its side of the connection during the request.",
        "Nothing: the client no longer waits for this answer.";
    CLIENT_OVER_SHARE = "client_over_share", [429],
        "The client uses more than its share of a bound that all clients share.",
        "Wait for answers before you send more. Add a proxy that many clients share to `auth.trust` or `router.trust`.";
    COLUMN_GIVEN_TWICE = "column_given_twice", [400],
        "A column is among the entities and among the parameters.",
        "Give each column once, either under `entities` or under `params`.";
    COMPONENT_TOO_LARGE = "component_too_large", [413],
        "The component of a module is larger than allowed.",
        "Build the module for size, or raise `door.module_bytes_max` and `leader.module_bytes_max`.";
    CONCERN_NOT_REACHED = "concern_not_reached", [504],
        "The write is durable, but its concern was not reached in time.",
        "The write is stored. Wait with the token of the answer, or check the regions or members that the message names.";
    CREDENTIAL_MISSING = "credential_missing", [401],
        "The request has no credential.",
        "Send the header `Authorization: Bearer TOKEN`.";
    CREDENTIAL_REJECTED = "credential_rejected", [401],
        "The leader rejects the credential that the edge forwarded.",
        "Configure `[auth]` alike at the edge and its leader, or send the request to the leader.";
    CREDENTIAL_UNSUPPORTED = "credential_unsupported", [401],
        "The credential is not one bearer token.",
        "Send the header `Authorization: Bearer TOKEN` once.";
    DOOR_LOST = "door_lost", [502],
        "A door did not answer a write, which it may have accepted.",
        "Repeat the write with the same idempotency key: the door may have accepted it.";
    DOORS_LOST = "doors_lost", [503],
        "The router could reach no door.",
        "Retry shortly. Check that the doors of the topology run and can be reached from the router.";
    EMPTY_MODULE = "empty_module", [400],
        "The body has no component.",
        "Send the bytes of the component as the body.";
    FORBIDDEN = "forbidden", [403],
        "The caller lacks a scope.",
        "Grant the scope in the policy file, or use a credential that has it.";
    FUTURE_EVENT = "future_event", [422],
        "The event timestamp is too far in the future.",
        "Correct the event timestamp or the clock of its source, or raise `leader.future_ms_max`.";
    HEADER_NOT_TRUSTED = "header_not_trusted", [403],
        "A header influences routing or placement, and its sender is not trusted.",
        "Leave the header out, or add the client to `auth.trust` or `router.trust`.";
    HOST_NOT_ALLOWED = "host_not_allowed", [403],
        "A loopback door rejects the `Host` of the request.",
        "Use a loopback name, or add the name to `door.hosts`.";
    IDEMPOTENCY_MISMATCH = "idempotency_mismatch", [409],
        "The idempotency key belongs to another write.",
        "Use a new idempotency key for a different write.";
    INTERNAL = "internal", [500],
        "A fault of the node. Its log describes it.",
        "Search the log of the node for the error, and report it.";
    INVALID = "invalid", [422],
        "The write or the definition is invalid.",
        "Correct what the message names.";
    INVALID_ADDRESS = "invalid_address", [400],
        "The query has an invalid IP address.",
        "Send an IPv4 or IPv6 address.";
    INVALID_BODY = "invalid_body", [400, 422],
        "The body is JSON, but not what the endpoint accepts.",
        "Compare the body with /v1/openapi.json.";
    INVALID_CONCERN = "invalid_concern", [400],
        "The write concern is invalid.",
        "Use `local`, `quorum` or `regions=N`.";
    INVALID_CURSOR = "invalid_cursor", [400],
        "The cursor was not returned by an earlier page.",
        "Use the `next` cursor of the previous page unchanged, or start without a cursor.";
    INVALID_DEMAND = "invalid_demand", [400],
        "The freshness demand is invalid.",
        "Correct the header or member that the message names.";
    INVALID_ENTITY = "invalid_entity", [422],
        "A value of a read is not of its column's type.",
        "Send a value of the type that the message names.";
    INVALID_FROM = "invalid_from", [400],
        "The query's `from` is invalid.",
        "Use the `next` position of the previous page, or start without `from`.";
    INVALID_HEADER = "invalid_header", [400],
        "A header is invalid.",
        "Correct the header that the message names.";
    INVALID_IDEMPOTENCY_KEY = "invalid_idempotency_key", [400],
        "The idempotency key is invalid.",
        "Use 1 to 128 visible ASCII characters.";
    INVALID_JSON = "invalid_json", [400, 422],
        "The body is not JSON.",
        "Correct the JSON at the line and column that the message names.";
    INVALID_LIMIT = "invalid_limit", [400],
        "The query's `limit` is invalid.",
        "Use a number in the range that the message names.";
    INVALID_LOG = "invalid_log", [400],
        "The query's `log` is invalid.",
        "Use the name of the log that the status of the edge shows.";
    INVALID_PART = "invalid_part", [400],
        "The part is not a region.",
        "Use the name of a region.";
    INVALID_PATH = "invalid_path", [400],
        "The request has no path.",
        "Send a path that begins with a slash.";
    INVALID_PLACE = "invalid_place", [400],
        "The coordinates are invalid.",
        "Send `LATITUDE,LONGITUDE` in degrees.";
    INVALID_PROJECT = "invalid_project", [400],
        "The name of a project is invalid.",
        "Use 1 to 128 letters, digits, `_` or `-`.";
    INVALID_PUSH_MODE = "invalid_push_mode", [422],
        "The push's `to` is invalid.",
        "Push to `online`.";
    INVALID_REFERENCE = "invalid_reference", [400],
        "A feature reference is invalid.",
        "Write a reference as `view:feature`.";
    INVALID_ROW = "invalid_row", [422],
        "A row of the write is invalid.",
        "Correct the row and column that the message names. No row of the write was stored.";
    INVALID_ROWS = "invalid_rows", [422],
        "The Arrow stream is invalid.",
        "Send one Arrow IPC stream with the columns of the view.";
    INVALID_VERSION = "invalid_version", [400],
        "The release of a module is missing or invalid.",
        "Give the release as `?release=V`.";
    INVALID_VIEW = "invalid_view", [400],
        "The definition of a view is invalid.",
        "Correct the definition as the message states.";
    INVALID_WAIT = "invalid_wait", [400],
        "The wait is invalid.",
        "Use a whole number of milliseconds.";
    ISSUER_UNAVAILABLE = "issuer_unavailable", [503],
        "The keys of the issuer of the token could not be fetched.",
        "Retry shortly; check that the node reaches the issuer.";
    LEADER_UNAVAILABLE = "leader_unavailable", [503],
        "The leader is needed and cannot be reached.",
        "Retry shortly. If it continues, check the leader and the network between it and this node.";
    MEMORY_FULL = "memory_full", [507],
        "The leader has no memory left for more rows. Reads and deletions of rows continue.",
        "Drop a view, delete rows, or give the leader more memory and raise `leader.rows_bytes_max`.";
    MISSING_COLUMN = "missing_column", [422],
        "The frame lacks a column of the view.",
        "Add the column that the message names.";
    MISSING_JOIN_KEY = "missing_join_key", [400],
        "The read lacks a join key of a view.",
        "Add the join key that the message names to the entities.";
    MISSING_REQUEST_DATA = "missing_request_data", [404],
        "The read lacks a parameter of a module.",
        "Add the parameter that the message names to the entities or to `params`.";
    MODULE_BUSY = "module_busy", [503],
        "All instances of the module are in use.",
        "Retry shortly. If it continues, raise `modules.calls_per_module` or `modules.instances_max`.";
    MODULE_FAILED = "module_failed", [422],
        "The module returned an error.",
        "Read the message, which comes from the module.";
    MODULE_NOT_READY = "module_not_ready", [503],
        "The module's release is not compiled at this node yet.",
        "Retry shortly, or push with `--wait`.";
    MODULE_OUT_OF_MEMORY = "module_out_of_memory", [500],
        "The module exceeded its memory.",
        "Send fewer rows, make the module use less memory, or raise `modules.memory_bytes`.";
    MODULE_REFUSED = "module_refused", [422],
        "The component was rejected.",
        "Correct the module as the message states; `littoral module inspect FILE` shows what it declares.";
    MODULE_TIMEOUT = "module_timeout", [500],
        "The module exceeded its time.",
        "Send fewer rows, make the module faster, or raise `modules.deadline_ms` or `modules.wall_ms`.";
    MODULE_TRAP = "module_trap", [500],
        "The module trapped.",
        "Correct the module; the message shows where it trapped.";
    MODULE_WRONG_SHAPE = "module_wrong_shape", [500],
        "The module returned other columns than it declares.",
        "Correct the module: it must return the columns and the number of rows that it declares.";
    NAME_COLLISION = "name_collision", [400],
        "Two columns of the answer would have one name.",
        "Request one of the two, or set `full_feature_names`.";
    NAME_MISMATCH = "name_mismatch", [400],
        "The body and the path have different names.",
        "Use one name in the path and in the body.";
    NO_ENTITIES = "no_entities", [400],
        "The read has no entity.",
        "Add at least one entity.";
    NO_FEATURES = "no_features", [400],
        "The read has no feature.",
        "Add at least one feature or a feature service.";
    NO_LEDGER = "no_ledger", [404],
        "The node keeps no conflict ledger.",
        "Send the request to the door of a leader.";
    NO_METRICS = "no_metrics", [404],
        "The process records no metrics.",
        "Start the process with metrics.";
    NO_OFFLINE_STORE = "no_offline_store", [422],
        "A push can only go to the online store.",
        "Push to `online` only.";
    NO_ROWS = "no_rows", [400],
        "The write has no row.",
        "Add at least one row or deletion.";
    NO_TAILS = "no_tails", [404],
        "The node keeps no detached tails.",
        "Send the request to the door of a member or an edge with a data directory.";
    NOT_AN_EDGE = "not_an_edge", [404],
        "The node is not an edge.",
        "Send the request to the door of an edge.";
    NOT_DURABLE = "not_durable", [503],
        "The log could not store the write.",
        "Repeat the write with the same idempotency key. Check the disk of the leader: its log names the error.";
    NOT_FRESH = "not_fresh", [503],
        "The data is not fresh.",
        "Wait until the edge has caught up with its leader. The node serves reads in the meantime.";
    NOT_FRESH_ENOUGH = "not_fresh_enough", [412],
        "The freshness demand was not met in time.",
        "Retry, demand less, or allow a longer wait (`littoral-wait-ms`).";
    NOT_HELD_WHOLE = "not_held_whole", [409],
        "The node does not hold every row of the view.",
        "Send the request to the leader or to an edge that holds the view in full.";
    NOT_LEADER = "not_leader", [503],
        "The node is not the leader.",
        "Retry shortly: another member is being promoted or this one is losing the lease.";
    NOT_READY = "not_ready", [503],
        "The node has no data yet, or is draining.",
        "Retry at another node, or wait until this one is ready.";
    NOTHING_LEFT = "nothing_left", [503],
        "The router has no door left for the request.",
        "Retry shortly. Check the health of the doors with `littoral status ROUTER`.";
    NOTHING_TO_ADOPT = "nothing_to_adopt", [409],
        "The edge has rejected no such log.",
        "Check the name of the log with `littoral status EDGE`.";
    ORIGIN_NOT_ALLOWED = "origin_not_allowed", [403],
        "Pages of the request's `Origin` may not use the door.",
        "Add the web site to `door.origins` if its pages may use this door.";
    OUTSIDE_REGIONS = "outside_regions", [421],
        "The project's rows may not be in the region of the node.",
        "Send the request to a node in the regions that `littoral project show PROJECT` lists. Set `[edge] region` of \
         an edge in one of them.";
    OVER_QUOTA = "over_quota", [429],
        "The project has used up a rate, or has too many requests at the same time.",
        "Retry after the time in `retry-after`, or raise the quota with `littoral project apply`.";
    OVERLOADED = "overloaded", [503],
        "The node is at one of its bounds.",
        "Retry after the time in `retry-after`. If it continues, add nodes or raise the limit that the message names.";
    PROJECT_CONFLICT = "project_conflict", [400, 403],
        "The request names several projects (400), or its credential is for another one (403).",
        "Name the project once: in the path, in the header `littoral-project`, or by the credential. Use a credential \
         for that project.";
    QUORUM_NOT_REACHED = "quorum_not_reached", [503],
        "Too few regions answered a read of a quorum.",
        "Retry, or read with another consistency. Check the regions that the message names.";
    QUOTA_FULL = "quota_full", [507],
        "The project has as many rows, bytes or modules as its quota allows.",
        "Delete rows, drop a view or a module, or raise the quota with `littoral project apply`. A retry does not \
         help.";
    READ_ONLY = "read_only", [403],
        "The door or the router only answers reads.",
        "Send the change to another door. The key is `door.read_only` or `router.gateway.read_only`.";
    READ_TOO_LARGE = "read_too_large", [413],
        "The read has too many rows or values.",
        "Request fewer rows or features, or raise `door.read_rows_max` or `door.read_values_max`.";
    ROUTER_TIMEOUT = "router_timeout", [504],
        "No door answered within the time limit.",
        "Retry. Check the latency of the doors with `littoral status ROUTER`.";
    STARTING = "starting", [503],
        "The node is starting.",
        "Retry shortly; the message shows how far the start is.";
    TOKEN_ALGORITHM = "token_algorithm", [401],
        "The algorithm of the token is not accepted, or does not fit its key.",
        "Sign with an algorithm that `auth.issuers.algorithms` lists.";
    TOKEN_AUDIENCE = "token_audience", [401],
        "The token is for another audience.",
        "Request a token for an audience of `auth.issuers.audiences`.";
    TOKEN_CLAIM_MISSING = "token_claim_missing", [401],
        "The token lacks a claim, or the claim is invalid.",
        "Configure the issuer to add the claim.";
    TOKEN_EXPIRED = "token_expired", [401],
        "The token has expired.",
        "Request a new token.";
    TOKEN_ISSUER = "token_issuer", [401],
        "The issuer of the token is not accepted.",
        "Add the issuer to `[[auth.issuers]]`, or request a token from another one.";
    TOKEN_KEY_UNKNOWN = "token_key_unknown", [401],
        "The issuer has no key with the key id of the token.",
        "Request a new token.";
    TOKEN_LOST = "token_lost", [412],
        "The log no longer has the records of the token.",
        "Discard the token. The write that it stands for is lost or was stored again under another token.";
    TOKEN_MALFORMED = "token_malformed", [401],
        "The token is not a valid JWT.",
        "Request a new token from its issuer.";
    TOKEN_NOT_YET_VALID = "token_not_yet_valid", [401],
        "The token is not valid yet.",
        "Check the clocks of this host and of the issuer.";
    TOKEN_PROJECT = "token_project", [401],
        "The project that the token claims is not a project's name.",
        "Configure the issuer to use a project's name in the claim that `auth.issuers.project_claim` names.";
    TOKEN_SIGNATURE = "token_signature", [401],
        "The signature of the token is invalid.",
        "Request a new token from its issuer.";
    TOKEN_TOO_LONG = "token_too_long", [401],
        "The token is longer than allowed.",
        "Request a token with fewer claims.";
    TOKEN_UNKNOWN = "token_unknown", [401],
        "The token is not one of the static tokens.",
        "Create a token with `littoral token new`.";
    TOO_MANY_FEATURES = "too_many_features", [400],
        "The read has too many features.",
        "Split the read.";
    TOO_MANY_WAITING = "too_many_waiting", [503],
        "Too many requests wait for freshness or durability.",
        "Retry after the time in `retry-after`, demand less freshness, or raise `door.waiting_requests_max`.";
    UNEQUAL_LENGTHS = "unequal_lengths", [400, 422],
        "The columns have different lengths.",
        "Send as many values in every column.";
    UNKNOWN_CONFLICT = "unknown_conflict", [404],
        "There is no such conflict.",
        "List the conflicts with `littoral conflicts list`: the ledger may have dropped it.";
    UNKNOWN_FEATURE = "unknown_feature", [400],
        "There is no such feature.",
        "List the features with `littoral view show VIEW`.";
    UNKNOWN_MODULE = "unknown_module", [404],
        "There is no such module.",
        "List the modules with `littoral module list`.";
    UNKNOWN_PATH = "unknown_path", [404],
        "There is no such path.",
        "Compare the path with /v1/openapi.json.";
    UNKNOWN_PROJECT = "unknown_project", [404],
        "There is no such project.",
        "Create it with `littoral project apply`, or list the projects with `littoral project list`.";
    UNKNOWN_PUSH_SOURCE = "unknown_push_source", [404, 422],
        "There is no such push source.",
        "List the push sources with `littoral push-source list`.";
    UNKNOWN_REGION = "unknown_region", [400],
        "The topology has no such region.",
        "Use a region of the topology.";
    UNKNOWN_SERVICE = "unknown_service", [404],
        "There is no such feature service.",
        "List the services with `littoral service list`.";
    UNKNOWN_TAIL = "unknown_tail", [404],
        "The node keeps no such detached tail.",
        "List the detached tails with `littoral tails list`.";
    UNKNOWN_VIEW = "unknown_view", [404],
        "There is no such feature view.",
        "List the views with `littoral view list`. A definition reaches an edge within seconds.";
    UNSUPPORTED_VERSION = "unsupported_version", [400],
        "A reference names a version of a view.",
        "Leave the version out of the reference.";
    WRITE_TOO_LARGE = "write_too_large", [413],
        "The write has too many rows or bytes.",
        "Split the write.";
    WRONG_METHOD = "wrong_method", [405],
        "The path does not support the method.",
        "Use a method that the `allow` header lists.";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_found_by_its_word() {
        assert!(ALL.is_sorted_by(|a, b| a.word < b.word), "the table is in alphabetical order");
        assert!(ALL.iter().all(|code| find(code.word) == Some(code)));
        assert_eq!(find("nonsense"), None);
    }

    #[test]
    fn the_page_shows_the_table() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../ERRORS.md");
        let page = std::fs::read_to_string(path).unwrap();
        let (begin, end) =
            ("<!-- table: written by `cargo test -p littoral-api` with LITTORAL_BLESS=1 -->\n", "<!-- end -->\n");
        let (before, rest) = page.split_once(begin).unwrap();
        let (held, after) = rest.split_once(end).unwrap();
        if std::env::var_os("LITTORAL_BLESS").is_some() {
            std::fs::write(path, format!("{before}{begin}{}{end}{after}", markdown())).unwrap();
            return;
        }
        assert_eq!(held, markdown(), "host/ERRORS.md is outdated: run this test with LITTORAL_BLESS=1");
    }
}
