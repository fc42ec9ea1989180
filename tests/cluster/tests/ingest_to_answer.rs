//! The main path through real processes: written at the leader, read at the edge, by value, token and freshness.

use littoral_cluster::{accounts, equality};
use littoral_provision::Cluster;
use serde_json::json;

#[test]
fn a_write_at_the_leader_is_read_at_every_edge() {
    let mut cluster = Cluster::start(2).unwrap();
    accounts::make_view(&cluster.leader);
    let rows: Vec<_> = (0..2_500).map(|id| accounts::row(id, id + 1)).collect();
    let mut leader = cluster.leader.client();
    let token = accounts::must_write(&mut leader, &rows);

    for edge in &cluster.edges {
        // The token makes the edge wait until it has applied the write.
        let headers = [
            ("littoral-at-least", token.as_str()),
            ("littoral-max-staleness-ms", "5000"),
            ("littoral-wait-ms", "10000"),
        ];
        let answer = accounts::read(&mut edge.client(), &[0, 7, 2_499, 9_999_999], &headers).unwrap().ok();
        assert_eq!(accounts::balances(&answer), [Some(1), Some(8), Some(2_500), None]);
        assert_eq!(accounts::column(&answer, "statuses"), ["PRESENT", "PRESENT", "PRESENT", "NOT_FOUND"]);
        assert_eq!(answer.header("littoral-source"), Some("replica"));
        assert!(answer.header("littoral-degraded").is_none(), "{:?}", answer.headers);
        let staleness: u64 = answer.header("littoral-staleness-ms").unwrap().parse().unwrap();
        assert!(staleness <= 5_000, "{staleness} ms exceed the demand");
        assert!(answer.header("littoral-token").is_some() && answer.header("littoral-position").is_some());
    }
    accounts::catch_up(&cluster);
    cluster.edges.iter().for_each(|edge| equality::assert_equal(&cluster.leader, edge));

    a_write_at_an_edge_goes_to_the_leader(&cluster);
    a_deleted_row_is_missing_everywhere(&cluster);
    an_impossible_demand_is_rejected_as_requested(&cluster);
    a_new_edge_starts_from_a_snapshot(&mut cluster);
}

fn a_write_at_an_edge_goes_to_the_leader(cluster: &Cluster) {
    let token = accounts::must_write(&mut cluster.edges[0].client(), &[accounts::row(7, 100_000)]);
    let headers = [("littoral-at-least", token.as_str()), ("littoral-wait-ms", "10000")];
    for node in [&cluster.leader, &cluster.edges[0], &cluster.edges[1]] {
        let answer = accounts::read(&mut node.client(), &[7], &headers).unwrap().ok();
        assert_eq!(accounts::balances(&answer), [Some(100_000)]);
    }
    // A late event does not overwrite a newer one.
    let token = accounts::must_write(&mut cluster.edges[0].client(), &[accounts::row(7, 50_000)]);
    let headers = [("littoral-at-least", token.as_str()), ("littoral-wait-ms", "10000")];
    let answer = accounts::read(&mut cluster.edges[1].client(), &[7], &headers).unwrap().ok();
    assert_eq!(accounts::balances(&answer), [Some(100_000)]);
}

fn a_deleted_row_is_missing_everywhere(cluster: &Cluster) {
    let delete = json!({ "deletes": [{ "key": { "account_id": 8 }, "event_timestamp": "2026-06-01T00:00:00Z" }] });
    let path = format!("/v1/views/{}/rows", accounts::VIEW);
    let answer = cluster.leader.client().post(&path, &delete).unwrap().ok();
    let token = answer.json()["token"].as_str().unwrap().to_owned();
    let headers = [("littoral-at-least", token.as_str()), ("littoral-wait-ms", "10000")];
    for edge in &cluster.edges {
        let answer = accounts::read(&mut edge.client(), &[8], &headers).unwrap().ok();
        assert_eq!(accounts::column(&answer, "statuses"), ["NOT_FOUND"]);
    }
}

fn an_impossible_demand_is_rejected_as_requested(cluster: &Cluster) {
    let mut edge = cluster.edges[0].client();
    let token = accounts::must_write(&mut cluster.leader.client(), &[accounts::row(9, 10)]);
    // A token of the same log, far beyond its end.
    let (log, _) = token.rsplit_once(':').unwrap();
    let ahead = format!("{log}:999999999");
    let read = |edge: &mut _, on_unmet: &str| {
        let headers =
            [("littoral-at-least", ahead.as_str()), ("littoral-on-unmet", on_unmet), ("littoral-wait-ms", "50")];
        accounts::read(edge, &[9], &headers).unwrap()
    };
    for refusal in ["wait", "fail"] {
        let answer = read(&mut edge, refusal);
        assert!(answer.status >= 400, "{refusal}: {}", answer.text());
        assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{refusal}");
    }
    let stale = read(&mut edge, "serve_stale").ok();
    assert_eq!(stale.header("littoral-degraded"), Some("demand_unmet"));
}

fn a_new_edge_starts_from_a_snapshot(cluster: &mut Cluster) {
    let new = cluster.add_edge(None, None).unwrap();
    accounts::catch_up(cluster);
    equality::assert_equal(&cluster.leader, &cluster.edges[new]);
}

#[test]
fn a_repeated_write_with_its_idempotency_key_is_applied_once() {
    let cluster = Cluster::start(0).unwrap();
    accounts::make_view(&cluster.leader);
    let mut leader = cluster.leader.client();
    let path = format!("/v1/views/{}/rows", accounts::VIEW);
    let body = json!({ "rows": [accounts::row(1, 1)] }).to_string();
    let headers = [("content-type", "application/json"), ("idempotency-key", "order-17")];
    let first = leader.send("POST", &path, &headers, body.as_bytes()).unwrap().ok().json();
    let second = leader.send("POST", &path, &headers, body.as_bytes()).unwrap().ok().json();
    assert_eq!((&first["duplicate"], &second["duplicate"]), (&json!(false), &json!(true)));
    assert_eq!(first["token"], second["token"]);
    let other = json!({ "rows": [accounts::row(1, 2)] }).to_string();
    let third = leader.send("POST", &path, &headers, other.as_bytes()).unwrap();
    assert!((400..500).contains(&third.status), "another write under the same key: {}", third.text());
    // A writer that leaves the time to the door repeats the write a moment later.
    let mut timeless = accounts::row(2, 1);
    timeless.as_object_mut().unwrap().remove("event_timestamp");
    let (body, headers) = (json!({ "rows": [timeless] }).to_string(), [("idempotency-key", "order-18")]);
    let first = leader.send("POST", &path, &headers, body.as_bytes()).unwrap().ok().json();
    let second = leader.send("POST", &path, &headers, body.as_bytes()).unwrap().ok().json();
    assert_eq!((&second["duplicate"], &second["token"]), (&json!(true), &first["token"]));
}
