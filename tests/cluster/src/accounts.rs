//! The view that the tests write and read: an account's balance, and a note of any length.

use littoral_provision::{
    Cluster, Node,
    cluster::eventually,
    http::{Answer, Client},
};
use serde_json::{Value, json};
use std::{io, time::Duration};

/// The view's name.
pub const VIEW: &str = "accounts";

/// How long an edge may take to hold what the leader has.
pub const CATCH_UP_MAX: Duration = Duration::from_secs(30);

/// The event time of version 0: 2026-01-01T00:00:00Z, in seconds.
const BEGINNING: i64 = 1_767_225_600;

/// Creates the view as soon as the node accepts writes: a leader with a new log first learns what the other regions
/// hold.
///
/// # Panics
/// When the node rejects it.
pub fn make_view(node: &Node) {
    let view = json!({
        "entities": [{ "name": "account", "join_key": "account_id", "value_type": "int64" }],
        "features": [
            { "name": "balance", "value_type": "int64" },
            { "name": "note", "value_type": "string" },
        ],
    });
    eventually("the node accepts writes", CATCH_UP_MAX, || node.status()["writable"] == json!(true));
    let made = node.client().put(&format!("/v1/views/{VIEW}"), &view).expect("the node answers");
    assert_eq!(made.status, 200, "{}", made.text());
}

/// Returns a row whose balance is `version`, and whose event time is as many seconds after version 0: a later version
/// wins.
#[must_use]
pub fn row(id: i64, version: i64) -> Value {
    row_with(id, version, &format!("account {id}"))
}

/// Like [`row`], with a note.
#[must_use]
pub fn row_with(id: i64, version: i64, note: &str) -> Value {
    json!({
        "key": { "account_id": id },
        "values": { "balance": version, "note": note },
        "event_timestamp": BEGINNING + version,
    })
}

/// Writes rows.
///
/// # Errors
/// When there is no answer; whether they were accepted is then unknown.
pub fn write(client: &mut Client, rows: &[Value]) -> io::Result<Answer> {
    client.post(&format!("/v1/views/{VIEW}/rows"), &json!({ "rows": rows }))
}

/// Like [`write()`], with headers.
///
/// # Errors
/// As [`write()`].
pub fn write_with(client: &mut Client, rows: &[Value], headers: &[(&str, &str)]) -> io::Result<Answer> {
    let body = json!({ "rows": rows }).to_string();
    client.send("POST", &format!("/v1/views/{VIEW}/rows"), headers, body.as_bytes())
}

/// Writes rows and returns the freshness token.
///
/// # Panics
/// When they are not accepted.
pub fn must_write(client: &mut Client, rows: &[Value]) -> String {
    let answer = write(client, rows).expect("the node answers").ok();
    answer.json()["token"].as_str().expect("a write answers with a token").to_owned()
}

/// Reads balances, with headers.
///
/// # Errors
/// When there is no answer.
pub fn read(client: &mut Client, ids: &[i64], headers: &[(&str, &str)]) -> io::Result<Answer> {
    let body = json!({ "features": [format!("{VIEW}:balance")], "entities": { "account_id": ids } });
    client.send("POST", "/v1/read", headers, body.to_string().as_bytes())
}

/// Returns the balances in an answer: `None` for a missing row.
#[must_use]
pub fn balances(answer: &Answer) -> Vec<Option<i64>> {
    column(answer, "values").iter().map(Value::as_i64).collect()
}

/// Returns a list of the balance's column in an answer: `values`, `statuses`, `event_timestamps`, `ages_ms`.
#[must_use]
pub fn column(answer: &Answer, list: &str) -> Vec<Value> {
    let columns = answer.json()["columns"].as_array().cloned().unwrap_or_default();
    let balance = columns.into_iter().find(|column| column["name"] == "balance").unwrap_or_default();
    balance[list].as_array().cloned().unwrap_or_default()
}

/// Reads balances without a freshness demand.
///
/// # Panics
/// When the node does not answer with 200.
#[must_use]
#[track_caller]
pub fn must_read(client: &mut Client, ids: &[i64]) -> Vec<Option<i64>> {
    balances(&read(client, ids, &[]).expect("the node answers").ok())
}

/// Waits until every edge is ready and has applied what the leader has.
///
/// # Panics
/// When one does not in time.
pub fn catch_up(cluster: &Cluster) {
    for edge in &cluster.edges {
        eventually("the edge has what the leader has", CATCH_UP_MAX, || {
            let (leader, edge) = (cluster.leader.status(), edge.status());
            !leader["position"].is_null() && leader["position"] == edge["position"] && edge["ready"] == json!(true)
        });
    }
}
