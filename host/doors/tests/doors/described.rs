//! Requests and answers against the OpenAPI document. Every exchange of these tests is checked, because
//! `stand::Door::send` calls [`check`].

use crate::{
    node::MemoryNode,
    stand::{Answer, Door},
    tails,
};
use boon::{Compiler, Schemas};
use bytes::Bytes;
use littoral_doors::{Config, Metrics, Process};
use serde_json::{Value, json};
use std::{
    collections::BTreeSet,
    sync::{Arc, LazyLock, Mutex, atomic::AtomicUsize, atomic::Ordering::Relaxed},
};

static DOCUMENT: LazyLock<Value> = LazyLock::new(|| serde_json::from_slice(&littoral_doors::openapi()).unwrap());

/// Checks that the document describes an answer, and the request if the door accepted it.
pub fn check(method: &str, path: &str, headers: &[(&str, &str)], body: &Bytes, answer: &Answer) {
    let Some((template, operation)) = operation(method, path) else { return };
    let operation_name = format!("{method} {template} -> {}", answer.status);
    let responses = &operation["responses"];
    let response = responses.get(answer.status.to_string()).unwrap_or(&responses["default"]);
    let response = followed(response);
    check_headers(&operation_name, response, answer);
    if method == "HEAD" {
        return;
    }
    check_body(&operation_name, response, answer.header("content-type"), &answer.body);
    let sent_as = headers.iter().find(|(name, _)| *name == "content-type").map_or("", |(_, media_type)| *media_type);
    if answer.status == 200 && !body.is_empty() && !sent_as.contains("arrow") {
        let content = operation["requestBody"]["content"].as_object();
        let content = content.unwrap_or_else(|| panic!("{operation_name}: the document has no body"));
        // Bodies with the words that only Python's JSON has are accepted too.
        if let (Some(accepted), Ok(body)) = (content.get("application/json"), serde_json::from_slice(body)) {
            validate(&operation_name, &accepted["schema"], &body);
        }
    }
}

/// Returns the path and the description of the operation of a request.
fn operation(method: &str, path: &str) -> Option<(&'static str, &'static Value)> {
    let path = path.split('?').next().unwrap_or(path);
    // A prefix names the project.
    let inside = path.strip_prefix("/p/").and_then(|rest| rest.find('/').map(|end| &rest[end..]));
    let path = inside.unwrap_or(path);
    let method = if method == "HEAD" { "get".to_owned() } else { method.to_lowercase() };
    let paths = DOCUMENT["paths"].as_object().unwrap();
    let found = paths.iter().find(|(template, _)| fits(template, path))?;
    Some((found.0.as_str(), found.1.get(&method)?))
}

fn fits(template: &str, path: &str) -> bool {
    let Some((before, after)) = template.split_once("{name}") else { return template == path };
    let name = path.strip_prefix(before).and_then(|rest| rest.strip_suffix(after));
    name.is_some_and(|name| !name.is_empty() && !name.contains('/'))
}

/// Follows a reference, if the value is one.
fn followed(value: &'static Value) -> &'static Value {
    let Some(reference) = value.get("$ref").and_then(Value::as_str) else { return value };
    DOCUMENT.pointer(reference.trim_start_matches('#')).unwrap()
}

fn check_headers(operation: &str, response: &Value, answer: &Answer) {
    for name in answer.headers.keys().map(http::HeaderName::as_str).filter(|name| name.starts_with("littoral-")) {
        let described = response["headers"].get(name).is_some();
        assert!(described, "{operation}: the document has no header {name}");
    }
}

fn check_body(operation: &str, response: &Value, media_type: &str, body: &[u8]) {
    let media_type = media_type.split(';').next().unwrap_or(media_type).trim();
    let Some(content) = response.get("content") else {
        return assert!(body.is_empty(), "{operation}: the document has no body");
    };
    let described = content.get(media_type);
    let described = described.unwrap_or_else(|| panic!("{operation}: the document has no body of type '{media_type}'"));
    if media_type.ends_with("json") {
        validate(operation, &described["schema"], &serde_json::from_slice(body).unwrap());
    }
}

fn validate(operation: &str, schema: &Value, value: &Value) {
    static MADE: AtomicUsize = AtomicUsize::new(0);
    static COMPILED: LazyLock<Mutex<Compiled>> = LazyLock::new(Mutex::default);
    let mut compiled = COMPILED.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let Compiled { schemas, of } = &mut *compiled;
    let index = *of.entry(schema.to_string()).or_insert_with(|| {
        // References begin at the root of the document, so the schema becomes part of it.
        let root = json!({ "allOf": [schema], "components": DOCUMENT["components"] });
        let location = format!("http://door/{}", MADE.fetch_add(1, Relaxed));
        let mut compiler = Compiler::new();
        compiler.add_resource(&location, root).unwrap();
        compiler.compile(&location, schemas).unwrap()
    });
    if let Err(error) = schemas.validate(value, index) {
        panic!("{operation}: {error:#}\n{value}");
    }
}

#[derive(Default)]
struct Compiled {
    schemas: Schemas,
    /// By the text of the schema.
    of: std::collections::HashMap<String, boon::SchemaIndex>,
}

/// Sends a request that must succeed.
async fn succeed(door: &Door, done: &mut BTreeSet<(String, &'static str)>, method: &str, path: &str, body: &Value) {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let answer = door.send(method, path, &[], body).await;
    assert_eq!(answer.status, 200, "{method} {path}: {}", String::from_utf8_lossy(&answer.body));
    let (template, _) = operation(method, path).unwrap();
    done.insert((method.to_lowercase(), template));
}

#[tokio::test]
async fn every_operation_accepts_and_answers_what_the_document_describes() {
    let process = Process { metrics: Some(Metrics::new(|| "littoral_up 1\n".into())), ..Process::default() };
    let node = MemoryNode { tails: Some(Arc::new(tails::Kept::default())), is_edge: true, ..MemoryNode::default() };
    let door = Door::open_in(node, Config::default(), process).await;
    let mut done = BTreeSet::new();

    let view = json!({
        "name": "trips", "description": "Trips.", "tags": {"a": "b"}, "owner": "us", "ttl_seconds": 60, "merge": "latest_write",
        "entities": [{"name": "driver", "join_key": "driver_id", "value_type": "int64", "description": "A driver."}],
        "features": [{"name": "trips", "value_type": "double", "tags": {"unit": "1"}}],
        "source": {"name": "s", "event_timestamp": "ts", "created": "c", "field_mapping": {"n": "trips"}},
    });
    let rows =
        json!([{"key": {"driver_id": 1}, "values": {"trips": 7}, "event_timestamp": 1e9}, {"key": {"driver_id": 2}}]);
    let deletes = json!([{"key": {"driver_id": 3}, "event_timestamp": "2001-01-01T00:00:00Z"}]);
    let df = json!({"driver_id": [1], "n": [7], "ts": ["2026-01-01T00:00:00Z"], "c": ["2026-01-01T00:00:01Z"]});
    let module = json!({
        "inputs": [{"view": "trips", "feature": "trips", "value_type": "double"}], "outputs": [{"name": "sum", "value_type": "double"}],
        "params": [{"name": "add", "value_type": "int64"}], "lookups": [], "row_wise": true,
    });
    let projections = json!([{"view": "trips", "alias": "t", "features": ["trips"]}]);
    let entities = json!({"driver_id": [1, 4], "add": [1, 2]});
    let read = json!({
        "features": ["trips:trips", "m:sum"], "entities": {"driver_id": [1, 4]}, "params": {"add": [1, 2]},
        "full_feature_names": true, "demand": {"max_staleness_ms": 5, "on_unmet": "serve_stale", "consistency": "quorum"},
    });
    for (method, path, body) in [
        ("PUT", "/v1/views/trips", &view),
        ("POST", "/v1/views/trips/rows", &json!({"rows": rows, "deletes": deletes})),
        (
            "POST",
            "/v1/rows",
            &json!({"writes": [{"view": "trips", "rows": rows}, {"view": "trips", "deletes": deletes}]}),
        ),
        ("PUT", "/v1/modules/m?release=1&wait_ms=0", &module),
        (
            "PUT",
            "/v1/services/s",
            &json!({"name": "s", "projections": projections, "description": "d", "tags": {"a": "b"}}),
        ),
        ("PUT", "/v1/push-sources/p", &json!({"views": ["trips"], "owner": "us"})),
        ("POST", "/push", &json!({"push_source_name": "p", "df": df, "to": "online_and_offline"})),
        ("POST", "/write-to-online-store", &json!({"feature_view_name": "trips", "df": df})),
        ("POST", "/v1/read", &read),
        ("POST", "/v1/read", &json!({"feature_service": "s", "entities": {"driver_id": [1]}})),
        (
            "POST",
            "/get-online-features",
            &json!({"features": read["features"], "entities": entities, "include_feature_view_version_metadata": true}),
        ),
        ("GET", "/health", &Value::Null),
        ("GET", "/metrics", &Value::Null),
        ("GET", "/v1/openapi.json", &Value::Null),
        ("GET", "/v1/status", &Value::Null),
        ("GET", "/v1/ready", &Value::Null),
        ("GET", "/v1/fresh", &Value::Null),
        ("POST", "/v1/verify", &Value::Null),
        ("POST", "/v1/adopt?log=0000000000000abc", &Value::Null),
        ("GET", "/v1/catalogue", &Value::Null),
        ("GET", "/v1/conflicts?limit=1000", &Value::Null),
        ("POST", "/v1/conflicts/20000-us_10000-eu/replay", &Value::Null),
        ("GET", "/v1/tails", &Value::Null),
        ("GET", "/v1/tails/3-7-9.tail?from=7&limit=2", &Value::Null),
        ("DELETE", "/v1/tails/3-7-9.tail", &Value::Null),
        ("GET", "/v1/views", &Value::Null),
        ("GET", "/v1/views/trips", &Value::Null),
        ("GET", "/v1/views/trips/rows?limit=1", &Value::Null),
        ("GET", "/v1/modules", &Value::Null),
        ("GET", "/v1/modules/m", &Value::Null),
        ("GET", "/v1/services", &Value::Null),
        ("GET", "/v1/services/s", &Value::Null),
        ("GET", "/v1/push-sources", &Value::Null),
        ("GET", "/v1/push-sources/p", &Value::Null),
        (
            "PUT",
            "/v1/projects/fraud",
            &json!({"description": "d", "regions": ["eu"], "quotas": {"rows": 1, "concurrent_requests": 2}}),
        ),
        ("GET", "/v1/projects", &Value::Null),
        ("GET", "/v1/projects/fraud", &Value::Null),
        ("DELETE", "/v1/projects/fraud", &Value::Null),
        ("DELETE", "/v1/services/s", &Value::Null),
        ("DELETE", "/v1/push-sources/p", &Value::Null),
        ("DELETE", "/v1/modules/m", &Value::Null),
        ("DELETE", "/v1/views/trips", &Value::Null),
    ] {
        succeed(&door, &mut done, method, path, body).await;
    }
    let member =
        Door::open(MemoryNode { tails: Some(Arc::new(tails::Kept::default())), ..MemoryNode::default() }).await;
    succeed(&member, &mut done, "POST", "/v1/tails/3-7-9.tail/merge", &Value::Null).await;

    let described = DOCUMENT["paths"].as_object().unwrap().iter().flat_map(|(path, methods)| {
        methods.as_object().unwrap().keys().map(move |method| (method.clone(), path.as_str()))
    });
    assert_eq!(done, described.collect(), "every operation is called");
}
