//! Tests that a node reports what was not done or is unknown, through real processes.

use littoral_cluster::accounts;
use littoral_provision::{Cluster, binary, cluster::Options, http::Answer, modules};
use rustix::process::Signal;
use serde_json::{Value, json};
use std::{
    process::Command,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

fn littoral(arguments: &[&str]) -> (bool, String) {
    let output = Command::new(binary::littoral()).args(arguments).output().unwrap();
    let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap()).concat();
    (output.status.success(), text)
}

fn rows(cluster: &Cluster, body: &Value) -> Value {
    cluster.leader.client().post("/v1/views/accounts/rows", body).unwrap().ok().json()
}

/// Returns the time in `seconds` seconds, as RFC 3339.
fn ahead(seconds: u64) -> String {
    #[allow(clippy::disallowed_methods, reason = "the cluster's nodes go by the real clock")]
    let at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap() + Duration::from_secs(seconds);
    littoral_model::event_time::EventTime::from_ms(at.as_millis() as i64).to_string()
}

#[test]
fn a_row_that_is_not_held_is_unknown_while_the_leader_is_silent() {
    let resident = "[edge]\nview_mode = \"resident\"\n";
    let options = Options { edge_configs: vec![Some(resident.to_owned())], ..Options::default() };
    let cluster = Cluster::start_with(&options).unwrap();
    accounts::make_view(&cluster.leader);
    accounts::must_write(&mut cluster.leader.client(), &[accounts::row(1, 10), accounts::row(2, 20)]);
    accounts::catch_up(&cluster);
    let edge = &cluster.edges[0];
    let native = |ids: Value| -> Answer {
        let body = json!({ "features": ["accounts:balance"], "entities": { "account_id": ids } });
        edge.client().with_timeout(Duration::from_secs(20)).post("/v1/read", &body).unwrap()
    };
    let held = native(json!([1])).ok().json();
    assert_eq!(held["columns"][1]["values"], json!([10]));

    cluster.leader.signal(Signal::STOP).unwrap();
    let answer = native(json!([1, 2, 99])).ok();
    let column = answer.json()["columns"][1].clone();
    assert_eq!(column["statuses"], json!(["PRESENT", "UNKNOWN", "UNKNOWN"]), "{column}");
    assert_eq!((&column["values"], answer.header("littoral-degraded")), (&json!([10, null, null]), Some("incomplete")));
    let mut client = edge.client().with_timeout(Duration::from_secs(20));
    let mut feast = |ids: Value| {
        let body = json!({ "features": ["accounts:balance"], "entities": { "account_id": ids } });
        client.post("/get-online-features", &body).unwrap()
    };
    let known = feast(json!([1]));
    assert_eq!(known.status, 200, "held rows are served: {}", known.text());
    let feast = feast(json!([1, 2, 99]));
    assert_eq!((feast.status, feast.header("littoral-error")), (503, Some("leader_unavailable")), "{}", feast.text());
    let entity = ["--entity", "account_id=2", "--to", &edge.url()];
    let (_, shown) = littoral(&[&["read", "--features", "accounts:balance"], &entity[..]].concat());
    assert!(shown.contains("UNKNOWN"), "{shown}");

    cluster.leader.signal(Signal::CONT).unwrap();
    littoral_provision::cluster::eventually("known again", Duration::from_secs(60), || {
        native(json!([2, 99])).json()["columns"][1]["statuses"] == json!(["PRESENT", "NOT_FOUND"])
    });
}

#[test]
fn a_deletion_outranks_visible_rows_or_reports_that_it_does_not() {
    let cluster = Cluster::start(1).unwrap();
    accounts::make_view(&cluster.leader);
    let row =
        |id: i64| json!({ "key": { "account_id": id }, "values": { "balance": 7 }, "event_timestamp": ahead(50) });
    rows(&cluster, &json!({ "rows": [row(60), row(61)] }));
    let late = json!({ "deletes": [
        { "key": { "account_id": 9 } },
        { "key": { "account_id": 61 }, "event_timestamp": "2026-01-01T00:00:00Z" },
    ] });
    // Through an edge, because it must forward the receipt unchanged.
    let answer = cluster.edges[0].client().post("/v1/views/accounts/rows", &late).unwrap().ok();
    assert_eq!(answer.json()["outranked"], json!({ "count": 1, "rows": [{ "delete": 1 }] }));
    assert_eq!(answer.header("littoral-outranked"), Some("1"));
    let seen = rows(&cluster, &json!({ "deletes": [{ "key": { "account_id": 60 } }] }));
    assert_eq!(seen["outranked"], json!({ "count": 0, "rows": [] }));
    assert_eq!(accounts::must_read(&mut cluster.leader.client(), &[60, 61]), [None, Some(7)]);
    let push = json!({ "feature_view_name": "accounts", "df": { "account_id": [61], "balance": [1], "note": [""],
        "event_timestamp": ["2026-01-01T00:00:00Z"] } });
    let pushed = cluster.leader.client().post("/write-to-online-store", &push).unwrap();
    assert_eq!((pushed.status, pushed.header("littoral-outranked")), (200, Some("1")), "{}", pushed.text());
}

#[test]
fn a_release_is_served_at_every_edge_when_the_push_returns() {
    let cluster = Cluster::start(2).unwrap();
    let component = modules::build("modules/transformed_conv_rate").unwrap();
    let file = cluster.dir().join("module.wasm");
    std::fs::write(&file, component).unwrap();
    let view = json!({ "entities": [{ "name": "driver_id", "value_type": "int64" }],
        "features": [{ "name": "conv_rate", "value_type": "float" }] });
    let mut leader = cluster.leader.client();
    leader.put("/v1/views/driver_hourly_stats", &view).unwrap().ok();
    let url = cluster.leader.url();
    let push = ["--json", "module", "push", file.to_str().unwrap(), "--name", "conv", "--release", "1", "--to", &url];
    let (pushed, output) = littoral(&push);
    assert!(pushed, "{output}");
    let output: Value = serde_json::from_str(&output).unwrap();
    assert_eq!(output["edges"], json!({ "ready": 2, "of": 2 }), "{output}");
    let outputs = output["manifest"]["outputs"].as_array().unwrap();
    let feature = format!("conv:{}", outputs[0]["name"].as_str().unwrap());
    let mut entities = json!({ "driver_id": [1] });
    for param in output["manifest"]["params"].as_array().unwrap() {
        entities[param["name"].as_str().unwrap()] = json!([1]);
    }
    let read = json!({ "features": [feature], "entities": entities });
    for edge in &cluster.edges {
        let answer = edge.client().post("/v1/read", &read).unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    // Without waiting, the token covers the release.
    let put = std::fs::read(&file).unwrap();
    let headers = [("content-type", "application/wasm")];
    let put = leader.send("PUT", "/v1/modules/other?version=1", &headers, &put).unwrap().ok().json();
    let read = json!({ "features": [feature.replace("conv:", "other:")], "entities": entities }).to_string();
    for edge in &cluster.edges {
        let headers = [("littoral-at-least", put["token"].as_str().unwrap()), ("littoral-wait-ms", "20000")];
        let answer = edge.client().send("POST", "/v1/read", &headers, read.as_bytes()).unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
}

#[test]
fn the_command_line_reads_keys_of_any_text() {
    let cluster = Cluster::start(0).unwrap();
    let view = json!({ "entities": [{ "name": "code", "value_type": "string" }],
        "features": [{ "name": "n", "value_type": "int64" }] });
    let mut leader = cluster.leader.client();
    leader.put("/v1/views/codes", &view).unwrap().ok();
    let keys = [" lead", "a,b", "trail ", "a,x=1", "\"quoted\"", ""];
    let rows: Vec<_> =
        (1..).zip(keys).map(|(n, code)| json!({ "key": { "code": code }, "values": { "n": n } })).collect();
    leader.post("/v1/views/codes/rows", &json!({ "rows": rows })).unwrap().ok();
    let given = ["code= lead", "code=a,b", "code=trail ", "code=\"a,x=1\"", r#"code="\"quoted\"""#, "code="];
    for (n, entity) in (1..).zip(given) {
        let url = cluster.leader.url();
        let (_, output) = littoral(&["--json", "read", "--features", "codes:n", "--entity", entity, "--to", &url]);
        let output: Value = serde_json::from_str(&output).unwrap();
        let columns = output["columns"].as_array().unwrap();
        assert_eq!(columns.last().unwrap()["values"], json!([n]), "{entity}: {output}");
    }
}
