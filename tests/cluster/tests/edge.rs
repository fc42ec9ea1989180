//! Tests an edge whose leader is lost, that restarts, or that does not hold everything.

use littoral_cluster::{accounts, equality};
use littoral_provision::{
    Cluster,
    cluster::{Options, eventually},
    http::Answer,
};
use serde_json::{Value, json};
use std::time::Duration;

/// How long an edge may take to notice.
const NOTICE_MAX: Duration = Duration::from_secs(20);

fn cluster(edge_config: &str) -> Cluster {
    let options = Options { edge_configs: vec![Some(edge_config.to_owned())], ..Options::default() };
    let cluster = Cluster::start_with(&options).unwrap();
    accounts::make_view(&cluster.leader);
    cluster
}

fn fill(cluster: &Cluster, count: i64) {
    let mut leader = cluster.leader.client();
    for first in (0..count).step_by(1_000) {
        let rows: Vec<_> = (first..count.min(first + 1_000)).map(|id| accounts::row(id, id + 1)).collect();
        accounts::must_write(&mut leader, &rows);
    }
}

fn staleness_ms(answer: &Answer) -> u64 {
    answer.header("littoral-staleness-ms").and_then(|text| text.parse().ok()).unwrap_or(u64::MAX)
}

#[test]
fn an_edge_serves_without_its_leader_and_reports_its_staleness() {
    let mut cluster = cluster("[edge]\nfresh_lag_ms_max = 800\nreconnect_ms_max = 200\n");
    fill(&cluster, 100);
    accounts::catch_up(&cluster);
    cluster.leader.kill();

    let mut client = cluster.edges[0].client();
    let first = accounts::read(&mut client, &[5], &[]).unwrap().ok();
    assert_eq!(accounts::balances(&first), [Some(6)]);
    std::thread::sleep(Duration::from_millis(1_500));
    let later = accounts::read(&mut client, &[5], &[]).unwrap().ok();
    assert_eq!(accounts::balances(&later), [Some(6)]);
    assert!(staleness_ms(&later) >= staleness_ms(&first) + 1_400, "staleness grows with time");
    eventually("the edge reports that its leader is lost", NOTICE_MAX, || {
        let read = accounts::read(&mut client, &[5], &[]).unwrap().ok();
        read.header("littoral-degraded") == Some("leader_lost")
    });
    let fresh = client.get("/v1/fresh").unwrap();
    assert_eq!((fresh.status, fresh.json()["code"].as_str()), (503, Some("not_fresh")), "{}", fresh.text());
    let ready = client.get("/v1/ready").unwrap().ok().json();
    assert_eq!(
        (&ready["fresh"], &ready["writable"]),
        (&json!(false), &json!(false)),
        "it serves although it is stale: {ready}"
    );

    let write = accounts::write(&mut client, &[accounts::row(5, 1_000)]).unwrap();
    assert_eq!(write.status, 503, "a write cannot be forwarded: {}", write.text());
    let fresh =
        accounts::read(&mut client, &[5], &[("littoral-max-staleness-ms", "100"), ("littoral-on-unmet", "fail")]);
    assert!(fresh.unwrap().status >= 400, "an unmet demand is rejected");

    cluster.leader.restart().unwrap();
    eventually("the edge follows again", NOTICE_MAX, || client.get("/v1/fresh").unwrap().status == 200);
    let token = accounts::must_write(&mut cluster.leader.client(), &[accounts::row(5, 2_000)]);
    let headers = [("littoral-at-least", token.as_str()), ("littoral-wait-ms", "10000")];
    let answer = accounts::read(&mut client, &[5], &headers).unwrap().ok();
    assert_eq!(accounts::balances(&answer), [Some(2_000)]);
    assert!(answer.header("littoral-degraded").is_none());
    accounts::catch_up(&cluster);
    equality::assert_equal(&cluster.leader, &cluster.edges[0]);
}

#[test]
fn an_edge_without_data_reports_that_and_not_a_missing_view() {
    let mut cluster = Cluster::start(0).unwrap();
    accounts::make_view(&cluster.leader);
    cluster.leader.kill();
    let edge = cluster.add_edge(None, None).unwrap();
    let mut client = cluster.edges[edge].client();
    let read = accounts::read(&mut client, &[5], &[]).unwrap();
    assert_eq!((read.status, read.json()["code"].as_str()), (503, Some("not_ready")), "{}", read.text());
    let feast = json!({ "features": ["accounts:balance"], "entities": { "account_id": [5] } });
    assert_eq!(client.post("/get-online-features", &feast).unwrap().status, 503);
    assert_eq!(client.get("/v1/ready").unwrap().status, 503);
    let write = accounts::write(&mut client, &[accounts::row(5, 1)]).unwrap();
    assert_eq!(write.status, 503, "it may be accepted later: {}", write.text());
}

#[test]
fn an_edge_starts_warm_without_its_leader() {
    let mut cluster = cluster("[edge]\nreconnect_ms_max = 200\n");
    fill(&cluster, 2_000);
    accounts::catch_up(&cluster);
    cluster.leader.kill();
    let status = cluster.edges[0].stop().expect("the edge stops in time");
    assert!(status.success(), "{status}");

    cluster.edges[0].restart().unwrap();
    let mut client = cluster.edges[0].client();
    assert_eq!(accounts::must_read(&mut client, &[0, 1_999]), [Some(1), Some(2_000)]);
    let answer = accounts::read(&mut client, &[0], &[]).unwrap().ok();
    assert!(answer.header("littoral-degraded").is_some(), "it has no leader: {:?}", answer.headers);
    assert_eq!(client.get("/v1/fresh").unwrap().status, 503);
    assert!(cluster.edges[0].is_ready(), "it has data, and may be the only node that has");

    cluster.leader.restart().unwrap();
    accounts::must_write(&mut cluster.leader.client(), &[accounts::row(0, 5_000)]);
    accounts::catch_up(&cluster);
    equality::assert_equal(&cluster.leader, &cluster.edges[0]);
}

#[test]
fn a_killed_edge_restarts_equal() {
    let mut cluster = cluster("");
    fill(&cluster, 1_000);
    accounts::catch_up(&cluster);
    for round in 1..=3 {
        cluster.edges[0].kill();
        accounts::must_write(&mut cluster.leader.client(), &[accounts::row(round, 10_000 + round)]);
        cluster.edges[0].restart().unwrap();
        accounts::catch_up(&cluster);
        equality::assert_equal(&cluster.leader, &cluster.edges[0]);
    }
}

#[test]
fn a_resident_view_reads_through_and_then_holds_the_rows_that_were_read() {
    let cluster = cluster(&format!("[edge.views]\n{} = \"resident\"\n", accounts::VIEW));
    fill(&cluster, 3_000);
    accounts::catch_up(&cluster);
    let edge = &cluster.edges[0];
    let mut client = edge.client();

    let miss = accounts::read(&mut client, &[10, 999_999], &[]).unwrap().ok();
    assert_eq!(accounts::balances(&miss), [Some(11), None]);
    assert_eq!(miss.header("littoral-source"), Some("leader"));
    let hit = accounts::read(&mut client, &[10, 999_999], &[]).unwrap().ok();
    assert_eq!(accounts::balances(&hit), [Some(11), None]);
    assert_eq!(hit.header("littoral-source"), Some("replica"), "the row is held, and so is the missing key");
    let held = view(&edge.status())["rows"].as_u64().unwrap();
    assert!(held < 100, "{held} rows are held of 3,000");

    // Held rows are kept fresh; a key that was missing appears when it is written.
    let rows = [accounts::row(10, 500), accounts::row(999_999, 7)];
    let token = accounts::must_write(&mut cluster.leader.client(), &rows);
    let headers = [("littoral-at-least", token.as_str()), ("littoral-wait-ms", "10000")];
    let fresh = accounts::read(&mut client, &[10, 999_999], &headers).unwrap().ok();
    assert_eq!(accounts::balances(&fresh), [Some(500), Some(7)]);
}

#[test]
fn a_full_view_beyond_its_budget_becomes_resident_and_reports_it() {
    let cluster = cluster("[edge]\nfull_bytes_max = 200000\nresident_bytes_max = 200000\n");
    fill(&cluster, 5_000);
    let edge = &cluster.edges[0];
    eventually("the view is degraded to resident", NOTICE_MAX, || {
        let status = edge.status();
        view(&status)["residency"] == "resident" && status["degraded"] == "over_budget"
    });
    let mut client = edge.client();
    for id in [0, 1_234, 4_999] {
        let answer = accounts::read(&mut client, &[id], &[]).unwrap().ok();
        assert_eq!(accounts::balances(&answer), [Some(id + 1)], "no row is dropped silently");
        assert_eq!(answer.header("littoral-degraded"), Some("over_budget"));
    }
    let bytes = view(&edge.status())["bytes"].as_u64().unwrap();
    assert!(bytes < 2_000_000, "{bytes} bytes are held");
}

fn view(status: &Value) -> Value {
    let views = status["views"].as_array().cloned().unwrap_or_default();
    views.into_iter().find(|view| view["name"] == accounts::VIEW).unwrap_or(json!(null))
}

#[test]
fn an_edge_is_verified_against_its_leader_while_both_run() {
    let mut cluster = cluster("[edge]\nreconnect_ms_max = 200\n");
    fill(&cluster, 2_000);
    accounts::catch_up(&cluster);
    let verify = |cluster: &Cluster| {
        let answer = cluster.edges[0].client().post("/v1/verify", &json!({})).unwrap();
        (answer.status, answer.json())
    };
    let (status, found) = verify(&cluster);
    assert_eq!((status, &found["equal"]), (200, &json!(true)), "{found}");
    assert_eq!((&found["views"][0]["rows"], &found["views"][0]["equal"]), (&json!(2_000), &json!(true)), "{found}");
    let at_leader = cluster.leader.client().post("/v1/verify", &json!({})).unwrap();
    assert_eq!(at_leader.status, 404, "a leader has no node to compare with: {}", at_leader.text());

    // After restarts of both: the leader's digests come from its snapshot and its log, the edge's from its own
    // snapshot.
    cluster.leader.kill();
    cluster.leader.restart().unwrap();
    cluster.edges[0].kill();
    cluster.edges[0].restart().unwrap();
    fill(&cluster, 500);
    accounts::catch_up(&cluster);
    let (status, found) = verify(&cluster);
    assert_eq!((status, &found["equal"]), (200, &json!(true)), "{found}");
    cluster.leader.kill();
    assert_eq!(verify(&cluster).0, 503, "nothing is claimed without a leader");
}
