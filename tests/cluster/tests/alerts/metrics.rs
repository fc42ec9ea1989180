//! What nodes export is what `host/METRICS.md` lists, with HELP and TYPE, and follows Prometheus' conventions.

use littoral_cluster::accounts;
use littoral_provision::{
    Cluster, Node, Router, cache,
    cluster::{Options, eventually},
    http::Client,
    missing::require,
    prometheus::promtool,
};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

/// What the page lists about a metric.
pub(super) struct Listed {
    kind: String,
    nodes: String,
    labels: BTreeSet<String>,
}

/// Returns the metrics that the page lists.
pub(super) fn listed() -> BTreeMap<String, Listed> {
    let page = fs::read_to_string(cache::workspace().join("host/METRICS.md")).unwrap();
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `"));
    let metrics = rows.map(|row| {
        let cells: Vec<&str> = row.split(" | ").collect();
        let labels = cells[4].split('`').skip(1).step_by(2).map(str::to_owned).collect();
        let name = cells[0].trim_end_matches('`').to_owned();
        (name, Listed { kind: cells[1].to_owned(), nodes: cells[3].to_owned(), labels })
    });
    metrics.collect()
}

/// Returns the metric to which a series belongs.
pub(super) fn family<'a>(series: &'a str, listed: &BTreeMap<String, Listed>) -> &'a str {
    let part = ["_bucket", "_sum", "_count"].into_iter().find_map(|suffix| series.strip_suffix(suffix));
    part.filter(|name| listed.get(*name).is_some_and(|metric| metric.kind == "histogram")).unwrap_or(series)
}

/// Returns the series' names with the names of their labels.
fn series(text: &str) -> BTreeSet<(String, BTreeSet<String>)> {
    let lines = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    let series = lines.map(|line| {
        let (name, rest) = line.split_once(['{', ' ']).unwrap();
        let labels =
            rest.split_once('}').filter(|_| line[name.len()..].starts_with('{')).map_or("", |(labels, _)| labels);
        let labels =
            labels.split("\",").filter_map(|label| label.split_once('=')).map(|(name, _)| name.trim().to_owned());
        (name.to_owned(), labels.filter(|label| label != "le").collect())
    });
    series.collect()
}

fn scrape(client: &mut Client) -> String {
    client.get("/metrics").unwrap().ok().text()
}

/// Checks a node's metrics. Returns the names that it exports.
fn check(test: &str, node: &str, text: &str, listed: &BTreeMap<String, Listed>) -> BTreeSet<String> {
    let mut exported = BTreeSet::new();
    for (name, labels) in series(text) {
        let family = family(&name, listed);
        let metric =
            listed.get(family).unwrap_or_else(|| panic!("{node} exports {name}, which the page does not list"));
        assert!(metric.nodes.contains(node), "{node} exports {family}, which the page lists for {}", metric.nodes);
        assert_eq!(labels, metric.labels, "labels of {name} at the {node}");
        assert!(text.contains(&format!("# HELP {family} ")), "{family} has no HELP");
        assert!(text.contains(&format!("# TYPE {family} {}\n", metric.kind)), "{family} is not a {}", metric.kind);
        exported.insert(family.to_owned());
    }
    for (name, metric) in listed {
        if metric.kind == "counter" && metric.labels.is_empty() && metric.nodes.contains(node) {
            assert!(exported.contains(name), "the {node} does not export {name} from the start");
        }
    }
    if let Some(output) = require(test, promtool(cache::workspace().as_ref(), &["check", "metrics"], text.as_bytes())) {
        let problems = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
        // The name of Feast's gauge and of its histogram's labels are Feast's.
        let problems: Vec<_> = problems.lines().filter(|line| !line.starts_with("feast_")).collect();
        assert!(problems.is_empty(), "promtool check metrics at the {node}: {problems:#?}");
    }
    exported
}

#[test]
fn nodes_export_what_the_page_lists_with_help_and_type() {
    let name = "nodes_export_what_the_page_lists_with_help_and_type";
    let feast = "[door]\nfeast_metrics = true\n".to_owned();
    let options = Options { edge_configs: vec![Some(feast)], ..Options::default() };
    let cluster = Cluster::start_with(&options).unwrap();
    let (leader, edge) = (&cluster.leader, &cluster.edges[0]);
    accounts::make_view(leader);
    accounts::must_write(&mut leader.client(), &[accounts::row(1, 5)]);
    accounts::catch_up(&cluster);
    let topology = format!(
        "role = \"topology\"\nname = \"test\"\npattern = \"active_active\"\n[[regions]]\nname = \"west\"\nlatitude = 39.0\n\
         longitude = -77.0\nleader = \"{}\"\nedges = [{{ name = \"edge-1\", door = \"{}\" }}]\n",
        leader.ready.door, edge.ready.door
    );
    let router = Router::start(cluster.dir(), &topology, "", None).unwrap();
    let read = json!({ "features": ["accounts:balance", "accounts:note"], "entities": { "account_id": [1, 2] } });
    eventually("the router answers", accounts::CATCH_UP_MAX, || {
        router.client().post("/v1/read", &read).is_ok_and(|answer| answer.status == 200)
    });
    for _ in 0..3 {
        edge.client().post("/get-online-features", &read).unwrap().ok();
        leader.client().post("/v1/read", &read).unwrap().ok();
    }
    assert!(
        edge.client().post("/v1/read", &json!({ "features": ["nope:nope"], "entities": {} })).unwrap().status >= 400
    );
    eventually("the gauges of the views are set", accounts::CATCH_UP_MAX, || {
        [leader, edge].iter().all(|node| scrape(&mut node.client()).contains("littoral_view_rows{view=\"accounts\""))
    });
    use_a_project(leader, edge);
    let listed = listed();
    let texts = [&mut leader.client(), &mut edge.client(), &mut router.client()].map(scrape);
    for (node, text) in ["leader", "edge", "router"].iter().zip(&texts) {
        check(name, node, text, &listed);
    }
    let text = &texts[1];
    for line in [
        "littoral_door_values_total{view=\"accounts\",status=\"PRESENT\"} ",
        "littoral_door_values_total{view=\"accounts\",status=\"NOT_FOUND\"} ",
        "littoral_door_view_read_seconds_count{view=\"accounts\"} ",
        "littoral_door_values_total{view=\"fraud/accounts\",status=\"PRESENT\"} 1\n",
        "littoral_project_rejected_total{project=\"fraud\",quota=\"requests_per_s\"} 2\n",
        "feast_online_features_status_total{feature_view=\"accounts\",status=\"present\"} 6\n",
        "feast_online_features_status_total{feature_view=\"accounts\",status=\"not_found\"} 6\n",
        "feast_feature_server_request_total{endpoint=\"/get-online-features\",status=\"success\"} 4\n",
        "feast_feature_freshness_seconds{feature_view=\"accounts\",project=\"default\"} ",
        "feast_feature_freshness_seconds{feature_view=\"accounts\",project=\"fraud\"} ",
        "feast_feature_server_request_latency_seconds_count{endpoint=\"/get-online-features\",feature_count=\"1-10\",feature_view_count=\"1\"} 4\n",
    ] {
        assert!(text.contains(line), "the edge lacks {line}: {text}");
    }
    assert!(!texts[0].contains("\nfeast_"), "Feast's names are off by default");
    assert!(!text.contains("nope"), "a name that the catalogue does not have is no label");
}

/// Reads from a view of the project `fraud` with the same name as a view of `default`, and then exceeds the quota
/// twice.
fn use_a_project(leader: &Node, edge: &Node) {
    let put = |path: &str, body: &Value| {
        leader.client().send("PUT", path, &[], body.to_string().as_bytes()).unwrap().ok();
    };
    put("/v1/projects/fraud", &json!({}));
    let view = json!({ "entities": [{ "name": "account_id", "value_type": "int64" }],
        "features": [{ "name": "balance", "value_type": "int64" }] });
    put("/p/fraud/v1/views/accounts", &view);
    let row = json!({ "rows": [{ "key": { "account_id": 1 }, "values": { "balance": 5 } }] });
    leader.client().post("/p/fraud/v1/views/accounts/rows", &row).unwrap().ok();
    let read = |project: &str| {
        let body = json!({ "features": ["accounts:balance"], "entities": { "account_id": [1] } });
        edge.client().post(&format!("/p/{project}/get-online-features"), &body).unwrap()
    };
    eventually("the edge has the row", accounts::CATCH_UP_MAX, || {
        let rows = edge.client().get("/p/fraud/v1/views/accounts/rows").unwrap();
        rows.status == 200 && rows.json()["rows"].as_array().is_some_and(|rows| rows.len() == 1)
    });
    read("fraud").ok();
    put("/v1/projects/fraud", &json!({ "quotas": { "requests_per_s": 0 } }));
    eventually("the edge has the quota", accounts::CATCH_UP_MAX, || {
        edge.client().get("/v1/projects/fraud").unwrap().json()["quotas"]["requests_per_s"] == json!(0)
    });
    for _ in 0..2 {
        assert_eq!(read("fraud").status, 429);
    }
    assert_eq!(read("nope").status, 404);
}
