//! Data directories of earlier releases: a node of this release opens them and serves what they hold.
//! `tests/fixtures/data` has a directory for each protocol version; `write.sh` there writes one with any release.

use littoral_provision::{Node, Plan, cluster::eventually, http::Client};
use serde_json::{Value, json};
use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

const SOON: Duration = Duration::from_secs(30);

/// The address of a leader that does not run.
const NOBODY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 9);

/// Returns the data directories of all releases.
fn releases() -> Vec<PathBuf> {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/data");
    let all = fs::read_dir(fixtures).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir());
    let all: Vec<_> = all.collect();
    assert!(!all.is_empty());
    all
}

/// Copies a node's data directory.
fn copy(release: &Path, node: &str, into: &Path) -> PathBuf {
    let target = into.join(node);
    fs::create_dir(&target).unwrap();
    for entry in fs::read_dir(release.join(node)).unwrap().map(Result::unwrap) {
        if entry.path().is_file() {
            fs::copy(entry.path(), target.join(entry.file_name())).unwrap();
        }
    }
    target
}

/// Returns the values of the rows 1, 2 and 3, or none for a missing row.
fn rows(client: &mut Client) -> Value {
    let body = json!({ "features": ["stats:count", "stats:name"], "entities": { "id": [1, 2, 3] } });
    let answer = client.post("/v1/read", &body).unwrap().ok().json();
    json!([answer["columns"][1]["values"], answer["columns"][2]["values"]])
}

/// The third row was deleted.
fn expected() -> Value {
    json!([[10, 22, null], ["one", "two again", null]])
}

#[test]
fn a_leader_serves_and_continues_the_log_of_every_earlier_release() {
    for release in releases() {
        let dir = tempfile::tempdir().unwrap();
        let mut leader = Node::start(Plan::leader(&copy(&release, "leader", dir.path()))).unwrap();
        assert_eq!(rows(&mut leader.client()), expected(), "{}", release.display());
        let mut client = leader.client();
        let get = |client: &mut Client, path: &str| client.get(path).unwrap().ok().json();
        let view = get(&mut client, "/v1/views/stats");
        assert_eq!(
            (&view["description"], &view["source"]["event_timestamp"]),
            (&json!("Written by a release"), &json!("at"))
        );
        assert_eq!(get(&mut client, "/v1/services/model")["projections"][0]["view"], "stats");
        assert_eq!(get(&mut client, "/v1/push-sources/events")["views"], json!(["stats"]));
        assert_eq!(get(&mut client, "/v1/projects/team")["quotas"]["rows"], 1_000);
        // The keys of its writes are remembered: one from the snapshot, one from the log after it.
        let write = |client: &mut Client, key: &str, id: i64, count: i64, name: &str| {
            let row = json!({ "key": { "id": id }, "values": { "count": count, "name": name }, "event_timestamp": 1_700_000_000 });
            let body = json!({ "rows": [row] }).to_string();
            client.send("POST", "/v1/views/stats/rows", &[("idempotency-key", key)], body.as_bytes()).unwrap()
        };
        assert_eq!(write(&mut client, "last", 2, 22, "two again").ok().json()["duplicate"], true);
        assert_eq!(write(&mut client, "first", 1, 10, "one").status, 409, "that key was used for three rows");
        // Without an event time, so that it is after the deletion.
        let row = json!({ "key": { "id": 3 }, "values": { "count": 31, "name": "three again" } });
        client.post("/v1/views/stats/rows", &json!({ "rows": [row] })).unwrap().ok();
        leader.restart().unwrap();
        let all = json!([[10, 22, 31], ["one", "two again", "three again"]]);
        assert_eq!(rows(&mut leader.client()), all, "{}", release.display());
    }
}

#[test]
fn an_edge_serves_the_local_snapshot_of_every_earlier_release_and_resumes_after_it() {
    for release in releases() {
        let dir = tempfile::tempdir().unwrap();
        let data = copy(&release, "edge", dir.path());
        let mut edge = Node::start(Plan::edge("edge", &data, NOBODY)).unwrap();
        assert_eq!(rows(&mut edge.client()), expected(), "without its leader: {}", release.display());
        edge.kill();
        let leader = Node::start(Plan::leader(&copy(&release, "leader", dir.path()))).unwrap();
        edge.plan_mut().leader = leader.ready.peer;
        edge.restart().unwrap();
        let row = json!({ "key": { "id": 1 }, "values": { "count": 11, "name": "new" } });
        leader.client().post("/v1/views/stats/rows", &json!({ "rows": [row] })).unwrap().ok();
        let all = json!([[11, 22, null], ["new", "two again", null]]);
        eventually("the new row arrives", SOON, || rows(&mut edge.client()) == all);
        let log = fs::read_to_string(dir.path().join("edge.log")).unwrap();
        assert!(log.contains("mode=Tail") && !log.contains("snapshot complete"), "it resumes: {log}");
    }
}
