//! One trace from a router through an edge to its leader, at a collector that decodes OTLP independently.

use littoral_cluster::accounts;
use littoral_provision::{
    Cluster, Node, Plan, Router,
    cluster::{Options, eventually},
    http::Client,
    modules,
    otlp::Collector,
};
use rustix::process::Signal;
use serde_json::{Value, json};
use std::{collections::BTreeSet, time::Duration};

/// Long enough for everything that should happen soon, on a busy machine.
const SOON: Duration = Duration::from_secs(60);

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const SPAN: &str = "00f067aa0ba902b7";

fn parent(flags: &str) -> String {
    format!("00-{TRACE}-{SPAN}-{flags}")
}

fn collector(dir: &std::path::Path) -> Collector {
    Collector::start(dir).unwrap_or_else(|missing| panic!("{missing}"))
}

/// A leader and an edge that send traces to a collector, and hold the tests' view. The edge fetches rows when they are
/// read.
fn cluster(collector: &Collector, sample: f64) -> Cluster {
    let section = collector.section(sample);
    let edge = format!("[edge.views]\n{} = \"resident\"\n{section}", accounts::VIEW);
    let cluster = Cluster::start_with(&Options {
        leader_config: Some(section),
        edge_configs: vec![Some(edge)],
        ..Options::default()
    });
    let cluster = cluster.unwrap();
    accounts::make_view(&cluster.leader);
    let rows: Vec<_> = (0..9).map(|id| accounts::row(id, id + 1)).collect();
    accounts::must_write(&mut cluster.leader.client(), &rows);
    accounts::catch_up(&cluster);
    cluster
}

/// Waits for the spans of a trace until there is one of each of these names, and returns the trace.
fn trace(collector: &Collector, is_of: impl Fn(&Value) -> bool, names: &[&str]) -> Trace {
    let mut found = Vec::new();
    eventually(&format!("spans {names:?}"), SOON, || {
        let spans = collector.spans().unwrap();
        let Some(first) = spans.iter().find(|span| is_of(span)).map(|span| span["trace"].clone()) else { return false };
        found = spans.into_iter().filter(|span| span["trace"] == first).collect();
        names.iter().all(|name| found.iter().any(|span| span["name"] == *name))
    });
    Trace(found)
}

/// The spans of a trace.
struct Trace(Vec<Value>);

impl Trace {
    /// Returns the only span of this name at a node.
    #[track_caller]
    fn span(&self, node: &str, name: &str) -> &Value {
        let is_it = |span: &&Value| span["name"] == name && span["resource"]["service.instance.id"] == node;
        let found: Vec<_> = self.0.iter().filter(is_it).collect();
        assert_eq!(found.len(), 1, "spans '{name}' at {node}: {:#?}", self.0);
        found[0]
    }

    /// Checks that a span is the child of another one, and within its time if both are of one process.
    #[track_caller]
    fn assert_child(&self, (node, child): (&str, &str), (parent_node, parent): (&str, &str)) {
        let (child, parent) = (self.span(node, child), self.span(parent_node, parent));
        assert_eq!(child["parent"], parent["span"], "{child:#} of {parent:#}");
        let number = |span: &Value, key: &str| span[key].as_u64().unwrap();
        assert!(number(child, "began_ns") <= number(child, "ended_ns"));
        if node == parent_node {
            assert!(number(parent, "began_ns") <= number(child, "began_ns"), "{child:#} of {parent:#}");
        }
    }
}

fn is_rooted(span: &Value) -> bool {
    span["resource"]["service.name"] == "littoral-router" && span["kind"] == "server"
}

#[test]
fn one_trace_leads_from_the_router_through_the_edge_to_the_leader_and_the_module() {
    let dir = tempfile::tempdir().unwrap();
    let collector = collector(dir.path());
    // Only the router samples: the other nodes follow its decision.
    let cluster = cluster(&collector, 0.0);
    let airports = json!({
        "entities": [{ "name": "airport", "join_key": "airport", "value_type": "string" }],
        "features": [{ "name": "mean_delay_24h", "value_type": "float" }],
    });
    cluster.leader.client().put("/v1/views/airport_hourly", &airports).unwrap().ok();
    let component = modules::build("misbehaving/deeds").unwrap_or_else(|missing| panic!("{missing}"));
    let mut client = cluster.leader.client().with_timeout(Duration::from_secs(120));
    client.send("PUT", "/v1/modules/deeds?version=1.0.0", &[], &component).unwrap().ok();
    let body = json!({
        "features": [format!("{}:balance", accounts::VIEW), "deeds:out"],
        "entities": { "account_id": [5], "deed": ["behave"], "n": [7] },
    });
    let read = |client: &mut Client, headers: &[(&str, &str)], body: &Value| {
        client.send("POST", "/v1/read", headers, body.to_string().as_bytes()).unwrap()
    };
    let warm = json!({ "features": ["deeds:out"], "entities": { "account_id": [1], "deed": ["behave"], "n": [7] } });
    eventually("the module is ready at the edge", SOON, || {
        read(&mut cluster.edges[0].client(), &[], &warm).status == 200
    });
    let topology = format!(
        "role = \"topology\"\nname = \"test\"\npattern = \"active_active\"\n[[regions]]\nname = \"west\"\n\
         latitude = 39.0\nlongitude = -77.0\nleader = \"{}\"\nedges = [{{ name = \"edge-1\", door = \"{}\" }}]\n",
        cluster.leader.ready.door, cluster.edges[0].ready.door,
    );
    assert!(collector.spans().unwrap().is_empty(), "no node but the router samples");
    let router = Router::start(cluster.dir(), &topology, &collector.section(1.0), None).unwrap();
    read(&mut router.client(), &[], &body).ok();

    let found =
        trace(&collector, is_rooted, &["POST /v1/read", "attempt", "read", "fill", "fill call", "module", "call read"]);
    let root = found.0.iter().find(|span| is_rooted(span)).unwrap();
    assert_eq!((&root["parent"], &root["name"]), (&json!(""), &json!("POST /v1/read")));
    assert_eq!(root["attributes"]["littoral.door"], "edge-1");
    assert_eq!(root["attributes"]["http.response.status_code"], 200);
    for (child, parent) in [
        (("router", "attempt"), ("router", "POST /v1/read")),
        (("edge-1", "POST /v1/read"), ("router", "attempt")),
        (("edge-1", "read"), ("edge-1", "POST /v1/read")),
        (("edge-1", "fill"), ("edge-1", "read")),
        (("edge-1", "fill call"), ("edge-1", "fill")),
        (("edge-1", "call read"), ("edge-1", "fill call")),
        (("leader", "call read"), ("edge-1", "call read")),
        (("edge-1", "module"), ("edge-1", "read")),
    ] {
        found.assert_child(child, parent);
    }
    assert_eq!(found.0.len(), 9, "{:#?}", found.0);
    let module = found.span("edge-1", "module");
    assert_eq!(
        (&module["attributes"]["littoral.module"], &module["attributes"]["littoral.rows"]),
        (&json!("deeds"), &json!(1))
    );
    assert_eq!(found.span("edge-1", "fill")["attributes"]["littoral.keys"], 1);
    assert!(found.0.iter().all(|span| span["is_error"] == false), "{:#?}", found.0);

    // A write, through the router to the leader.
    let write = json!({ "rows": [accounts::row(7, 700)] }).to_string();
    let path = format!("/v1/views/{}/rows", accounts::VIEW);
    router.client().send("POST", &path, &[], write.as_bytes()).unwrap().ok();
    let is_write = |span: &Value| is_rooted(span) && span["attributes"]["littoral.purpose"] == "write";
    let route = "POST /v1/views/{name}/rows";
    let found = trace(&collector, is_write, &["POST", "attempt", route, "validate", "commit", "append"]);
    for (child, parent) in [
        (("router", "attempt"), ("router", "POST")),
        (("leader", route), ("router", "attempt")),
        (("leader", "validate"), ("leader", route)),
        (("leader", "commit"), ("leader", route)),
        (("leader", "append"), ("leader", "commit")),
    ] {
        found.assert_child(child, parent);
    }
    assert_eq!(found.span("leader", "append")["attributes"]["littoral.batch.records"], 1);

    // No key and no value of an entity is in any span.
    let all = serde_json::to_string(&collector.spans().unwrap()).unwrap();
    assert!(!all.contains("account_id") && !all.contains("behave") && !all.contains("account 7"), "{all}");
}

#[test]
fn a_forwarded_write_belongs_to_the_trace_of_its_client_and_log_lines_name_it() {
    let dir = tempfile::tempdir().unwrap();
    let collector = collector(dir.path());
    let cluster = cluster(&collector, 0.0);
    let edge = &cluster.edges[0];
    let sampled = parent("01");
    let headers = [("traceparent", sampled.as_str()), ("tracestate", "vendor=1"), ("x-request-id", "of-a-client")];
    accounts::write_with(&mut edge.client(), &[accounts::row(1, 100)], &headers).unwrap().ok();
    let route = "POST /v1/views/{name}/rows";
    let names = [route, "call write", "validate", "commit", "append"];
    let found = trace(&collector, |span| span["trace"] == TRACE, &names);
    assert_eq!(found.span("edge-1", route)["parent"], SPAN);
    for (child, parent) in [
        (("edge-1", "call write"), ("edge-1", route)),
        (("leader", "call write"), ("edge-1", "call write")),
        (("leader", "commit"), ("leader", "call write")),
        (("leader", "append"), ("leader", "commit")),
    ] {
        found.assert_child(child, parent);
    }
    let resource = &found.span("leader", "append")["resource"];
    assert_eq!(resource["service.name"], "littoral-leader");

    // An audited request is logged, with its trace and its project. So is one whose trace is not sampled.
    for flags in ["01", "00"] {
        let trace = parent(flags);
        let headers = [("traceparent", trace.as_str()), ("x-request-id", flags)];
        edge.client().send("DELETE", "/v1/views/no_such_view", &headers, b"").unwrap();
        let line = format!("request={flags} trace={TRACE} project=default");
        let log = cluster.dir().join("edge-1.log");
        eventually(&line, SOON, || std::fs::read_to_string(&log).unwrap().contains(&line));
    }
    let spans = collector.spans().unwrap();
    assert!(spans.iter().all(|span| span["trace"] == TRACE), "nothing else is sampled: {spans:#?}");
}

#[test]
fn requests_that_are_not_sampled_and_hostile_traces_export_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let collector = collector(dir.path());
    let cluster = cluster(&collector, 0.0);
    let mut client = cluster.edges[0].client();
    let sampled = parent("01");
    let long = format!("{sampled}-{}", "x".repeat(30_000));
    for traceparent in [
        "",
        "garbage",
        "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
        "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        &sampled.to_uppercase(),
        &parent("00"),
        &long,
    ] {
        let answer = accounts::read(&mut client, &[3], &[("traceparent", traceparent)]).unwrap().ok();
        assert_eq!(accounts::balances(&answer), [Some(4)], "{traceparent}");
    }
    // The last request is exported, and the others before it were not.
    let headers = [("traceparent", sampled.as_str()), ("tracestate", "not a state")];
    accounts::read(&mut client, &[3], &headers).unwrap().ok();
    let found = trace(&collector, |_| true, &["POST /v1/read", "read"]);
    assert_eq!(found.span("edge-1", "POST /v1/read")["parent"], SPAN);
    let spans = collector.spans().unwrap();
    assert_eq!(spans.len(), 2, "{spans:#?}");
}

/// Returns a metric of a node, summed over its labels.
fn metric(node: &Node, name: &str) -> f64 {
    let text = node.client().get("/metrics").unwrap().text();
    text.lines()
        .filter(|line| line.starts_with(name))
        .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
        .sum()
}

#[test]
fn a_collector_that_is_gone_costs_spans_and_no_request() {
    let dir = tempfile::tempdir().unwrap();
    let collector = collector(dir.path());
    let port = collector.address.port();
    let plan = Plan::leader(&dir.path().join("leader")).with_config(&collector.section(1.0));
    let leader = Node::start(plan).unwrap();
    accounts::make_view(&leader);
    let mut client = leader.client();
    accounts::must_write(&mut client, &[accounts::row(1, 1)]);
    eventually("spans arrive", SOON, || !collector.spans().unwrap().is_empty());
    drop(collector);

    let dropped = || metric(&leader, "littoral_trace_spans_dropped_total");
    eventually("the queue is full", SOON * 2, || {
        for _ in 0..500 {
            assert_eq!(accounts::must_read(&mut client, &[1]), [Some(1)]);
        }
        dropped() > 0.0
    });
    let exported = metric(&leader, "littoral_trace_spans_exported_total");
    let collector = Collector::start_on(dir.path(), port).unwrap_or_else(|missing| panic!("{missing}"));
    eventually("spans arrive again", SOON, || metric(&leader, "littoral_trace_spans_exported_total") > exported);

    // What waits when the process stops is sent before it ends.
    let known: BTreeSet<_> = collector.spans().unwrap().iter().map(|span| span["span"].to_string()).collect();
    let last = parent("01");
    accounts::read(&mut client, &[1], &[("traceparent", &last)]).unwrap().ok();
    drop(client);
    leader.signal(Signal::INT).unwrap();
    eventually("the last span arrives", SOON, || {
        let spans = collector.spans().unwrap();
        spans.iter().any(|span| span["trace"] == TRACE && !known.contains(&span["span"].to_string()))
    });
}
