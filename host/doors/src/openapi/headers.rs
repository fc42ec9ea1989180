//! The headers of requests and answers.

use super::Schemas;
use http::HeaderName;
use littoral_api::headers::{
    AT_LEAST, CONCERN, CONSISTENCY, DEGRADED, ERROR, IDEMPOTENCY_KEY, MAX_STALENESS_MS, MODULE_DIGEST, ON_UNMET,
    OUTRANKED, PART, POSITION, PROJECT, REGIONS, SOURCE, STALENESS_MS, TOKEN, WAIT_MS,
};
use littoral_model::{
    freshness::{Consistency, OnUnmet, Source},
    project::DEFAULT,
    write::{IDEMPOTENCY_KEY_LEN_MAX, WriteConcern},
};
use littoral_runtime::{draining::HEADER as DRAINING, request_id::HEADER as REQUEST_ID};
use serde_json::{Map, Value, json};

/// The headers of a read, by their names in the document.
pub(super) const OF_READS: [&str; 5] = ["MaxStaleness", "AtLeast", "Consistency", "OnUnmet", "Wait"];

/// The header of what concerns a project, by its name in the document.
pub(super) const OF_PROJECTS: [&str; 1] = ["Project"];

/// The headers of a write of rows, by their names in the document.
pub(super) const OF_WRITES: [&str; 4] = ["IdempotencyKey", "Concern", "ConcernWait", "Part"];

/// The headers of every answer.
pub(super) static OF_ANSWERS: [HeaderName; 2] = [DRAINING, REQUEST_ID];

/// The headers of an error.
pub(super) static OF_ERRORS: [HeaderName; 3] = [DRAINING, REQUEST_ID, ERROR];

/// The headers of an answer to a read.
pub(super) static OF_READ_ANSWERS: [HeaderName; 7] =
    [POSITION, TOKEN, STALENESS_MS, SOURCE, REGIONS, DEGRADED, MODULE_DIGEST];

/// The headers of an answer to a write of rows.
pub(super) static OF_WRITE_ANSWERS: [HeaderName; 4] = [POSITION, TOKEN, CONCERN, OUTRANKED];

/// Returns references to headers of answers.
pub(super) fn references(names: &[HeaderName]) -> Map<String, Value> {
    let reference =
        |name: &HeaderName| (name.to_string(), json!({ "$ref": format!("#/components/headers/{}", name.as_str()) }));
    names.iter().map(reference).collect()
}

/// Returns the headers of requests.
pub(super) fn parameters(schemas: &mut Schemas) -> Map<String, Value> {
    let number = json!({ "type": "integer", "minimum": 0 });
    let text = json!({ "type": "string" });
    let key = json!({ "type": "string", "minLength": 1, "maxLength": IDEMPOTENCY_KEY_LEN_MAX });
    let concern = json!({ "allOf": [schemas.request::<WriteConcern>()], "default": WriteConcern::default() });
    let (consistency, on_unmet) = (schemas.request::<Consistency>(), schemas.request::<OnUnmet>());
    let all = [
        (
            "MaxStaleness",
            MAX_STALENESS_MS,
            number.clone(),
            "How far the answer may be behind the leader, in milliseconds.",
        ),
        ("AtLeast", AT_LEAST, text.clone(), "A freshness token. The answer must include everything up to it."),
        ("Consistency", CONSISTENCY, consistency.into(), "Which nodes may answer."),
        ("OnUnmet", ON_UNMET, on_unmet.into(), "What to do while the demand is not met."),
        ("Wait", WAIT_MS, number.clone(), "How long the read may wait for its demand, in milliseconds."),
        ("Concern", CONCERN, concern, "How durable the write must be before it is acknowledged."),
        ("ConcernWait", WAIT_MS, number, "How long the write may wait for its concern, in milliseconds."),
        (
            "IdempotencyKey",
            IDEMPOTENCY_KEY,
            key,
            "Makes a retry safe: a second write with this key and the same content gets the answer of the first.",
        ),
        (
            "Project",
            PROJECT,
            json!({ "type": "string", "default": DEFAULT }),
            "The project. The path prefix `/p/PROJECT` can name it too. By default that of the credential.",
        ),
        (
            "Part",
            PART,
            text,
            "The region whose part of the rows is written, in a view whose merge policy combines the regions' parts. By \
             default the region that accepts the write.",
        ),
    ];
    let parameter = |(name, header, schema, description): (&str, HeaderName, Value, &str)| {
        let value = json!({ "name": header.as_str(), "in": "header", "description": description, "schema": schema });
        (name.to_owned(), value)
    };
    all.into_iter().map(parameter).collect()
}

/// Returns the headers of answers.
pub(super) fn of_answers(schemas: &mut Schemas) -> Map<String, Value> {
    let (number, text) = (json!({ "type": "integer", "minimum": 0 }), json!({ "type": "string" }));
    let (source, concern) = (schemas.answer::<Source>(), schemas.answer::<WriteConcern>());
    let all = [
        (POSITION, text.clone(), "The answer includes every record up to this position: `incarnation:lsn`."),
        (
            TOKEN,
            text.clone(),
            "The freshness token to demand for monotonic reads, or for reads that include this write.",
        ),
        (
            STALENESS_MS,
            number.clone(),
            "Upper bound of how far the answer is behind the leader, in milliseconds. Left out if the node never had contact \
             with a leader.",
        ),
        (SOURCE, source.into(), "Which node answered."),
        (REGIONS, text.clone(), "The regions whose leaders answered a read of a quorum, separated by commas."),
        (DEGRADED, text.clone(), "Why the answer is less than was configured or demanded. Left out if it is not."),
        (MODULE_DIGEST, text.clone(), "`name=digest` of each module that was called, separated by commas."),
        (CONCERN, concern.into(), "The concern that was reached."),
        (OUTRANKED, number, "The number of rows that changed nothing. Left out if there are none."),
        (DRAINING, text.clone(), "`1` if the node is draining: send further requests to another node."),
        (
            REQUEST_ID,
            text.clone(),
            "The id of the request, for log lines: the id that the client sent in this header, or a random one.",
        ),
        (ERROR, text, "The error code: a stable word by which programs distinguish errors."),
    ];
    let header = |(name, schema, description): (HeaderName, Value, &str)| {
        (name.to_string(), json!({ "description": description, "schema": schema }))
    };
    all.into_iter().map(header).collect()
}
