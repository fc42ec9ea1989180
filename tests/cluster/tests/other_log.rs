//! Tests edges whose leader's address serves another log: of an emptied leader, of another cluster, behind a relay, at
//! one of two addresses. The rows of an edge may be the last copy.

use littoral_cluster::{
    accounts, copies,
    pair::{self, Pair},
};
use littoral_provision::{
    Cluster, Node, binary,
    cluster::{Options, eventually},
    node::Plan,
};
use std::{process::Command, time::Duration};

const NOTICE_MAX: Duration = Duration::from_secs(60);

const EDGE: &str = "[edge]\nreconnect_ms_max = 200\n";

/// Returns a leader with one row, and an edge that holds it.
fn cluster() -> Cluster {
    let options = Options { edge_configs: vec![Some(EDGE.to_owned())], ..Options::default() };
    let cluster = Cluster::start_with(&options).unwrap();
    accounts::make_view(&cluster.leader);
    accounts::must_write(&mut cluster.leader.client(), &[accounts::row(1, 11)]);
    accounts::catch_up(&cluster);
    cluster
}

/// Empties the leader's disk and restarts it.
fn empty(leader: &mut Node) {
    copies::empty(leader);
    leader.restart().unwrap();
}

fn still_serves(edge: &Node) {
    eventually("the edge reports another log", NOTICE_MAX, || edge.status()["degraded"] == "other_log");
    let answer = accounts::read(&mut edge.client(), &[1], &[]).unwrap().ok();
    assert_eq!(accounts::balances(&answer), [Some(11)]);
    assert_eq!(answer.header("littoral-degraded"), Some("other_log"));
}

/// Checks that an operator can see it everywhere: which log the address serves, which rows are held, and what to do.
fn reports_the_problem(edge: &Node, other: &Node) {
    let log = other.status()["position"]["incarnation"].as_str().unwrap().to_owned();
    let shown = Command::new(binary::littoral()).args(["status", &edge.url()]).output().unwrap();
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert!(shown.contains("degraded: other_log"), "{shown}");
    let metrics = edge.client().get("/metrics").unwrap().text();
    let refused = metrics.lines().find(|line| line.starts_with("littoral_edge_other_logs_rejected_total"));
    assert!(refused.is_some_and(|line| !line.ends_with(" 0")), "{metrics}");
    let logged = std::fs::read_to_string(edge.data_dir().with_file_name("edge-1.log")).unwrap();
    let logged = logged.lines().find(|line| line.contains("this address serves log")).expect("it is logged");
    assert!(logged.contains(&log) && logged.contains("it belongs to another cluster"), "{logged}");
    assert!(logged.contains(&format!("littoral edge adopt --log {log}")), "{logged}");
}

fn adopt(edge: &Node) {
    let adopted = edge.client().send("POST", "/v1/adopt", &[], b"").unwrap();
    assert_eq!(adopted.status, 200, "{}", adopted.text());
}

fn holds(edge: &Node, balance: i64) {
    eventually("the edge has what its leader has", NOTICE_MAX, || {
        accounts::read(&mut edge.client(), &[1], &[])
            .is_ok_and(|answer| answer.status == 200 && accounts::balances(&answer) == [Some(balance)])
    });
}

#[test]
fn an_emptied_leader_does_not_empty_its_edges() {
    let mut cluster = cluster();
    empty(&mut cluster.leader);
    still_serves(&cluster.edges[0]);
    // The edge writes its local snapshot when it stops; that may be the only copy.
    assert!(cluster.edges[0].stop().unwrap().success());
    cluster.edges[0].restart().unwrap();
    still_serves(&cluster.edges[0]);
    cluster.leader.kill();
    cluster.edges[0].kill();
    cluster.edges[0].restart().unwrap();
    assert_eq!(accounts::must_read(&mut cluster.edges[0].client(), &[1]), [Some(11)]);

    // An operator knows that the new log is intended.
    cluster.leader.restart().unwrap();
    accounts::make_view(&cluster.leader);
    accounts::must_write(&mut cluster.leader.client(), &[accounts::row(1, 22)]);
    still_serves(&cluster.edges[0]);
    adopt(&cluster.edges[0]);
    holds(&cluster.edges[0], 22);
    assert!(cluster.edges[0].stop().unwrap().success());
    assert!(cluster.edges[0].data_dir().join("replica.previous").exists(), "the replaced rows are kept");
    cluster.edges[0].restart().unwrap();
    holds(&cluster.edges[0], 22);
}

#[test]
fn an_edge_follows_its_own_leader_of_two_addresses() {
    let mut cluster = cluster();
    let other = Cluster::start(0).unwrap();
    accounts::make_view(&other.leader);
    accounts::must_write(&mut other.leader.client(), &[accounts::row(1, 33)]);
    // First only to another cluster's leader, then to both.
    let (wrong, right) = (other.leader.ready.peer.unwrap(), cluster.leader.ready.peer.unwrap());
    let edge = &mut cluster.edges[0];
    assert!(edge.stop().unwrap().success());
    edge.plan_mut().leader = Some(wrong);
    edge.restart().unwrap();
    still_serves(edge);
    reports_the_problem(edge, &other.leader);
    // A log that was not offered is not adopted.
    let not_offered = edge.client().send("POST", "/v1/adopt?log=00000000000000ff", &[], b"").unwrap();
    assert_eq!((not_offered.status, not_offered.json()["code"].as_str()), (409, Some("nothing_to_adopt")));
    assert!(not_offered.text().contains("not log 00000000000000ff"), "{}", not_offered.text());
    assert!(edge.stop().unwrap().success());
    assert!(!edge.data_dir().join("replica.previous").exists(), "the local snapshot is unchanged");
    edge.plan_mut().leader = None;
    let addresses = format!("role = \"edge\"\n{EDGE}[edge.leader]\naddresses = [\"{wrong}\", \"{right}\"]\n");
    edge.plan_mut().config = Some(addresses);
    edge.restart().unwrap();
    accounts::must_write(&mut cluster.leader.client(), &[accounts::row(1, 12)]);
    holds(&cluster.edges[0], 12);
    eventually("nothing is degraded", NOTICE_MAX, || cluster.edges[0].status()["degraded"].is_null());
    let nothing = cluster.edges[0].client().send("POST", "/v1/adopt", &[], b"").unwrap();
    assert_eq!(nothing.status, 409, "{}", nothing.text());
}

#[test]
fn an_edge_behind_a_relay_loses_nothing_either() {
    let mut cluster = cluster();
    let relay = "peer_listen = \"127.0.0.1:0\"\n[edge]\nreconnect_ms_max = 200\n";
    let relay = cluster.add_edge(Some(relay), None).unwrap();
    let peer = cluster.edges[relay].ready.peer.unwrap();
    let behind = Plan::edge("behind", &cluster.dir().join("behind"), peer).with_config(EDGE);
    let behind = Node::start(behind).unwrap();
    holds(&behind, 11);
    empty(&mut cluster.leader);
    accounts::make_view(&cluster.leader);
    accounts::must_write(&mut cluster.leader.client(), &[accounts::row(1, 22)]);
    still_serves(&cluster.edges[relay]);
    assert_eq!(accounts::must_read(&mut behind.client(), &[1]), [Some(11)]);
    // The relay adopts the log; the edge behind it does not.
    adopt(&cluster.edges[relay]);
    holds(&cluster.edges[relay], 22);
    still_serves(&behind);
    adopt(&behind);
    holds(&behind, 22);
}

#[test]
fn a_region_imports_nothing_from_an_address_of_another_cluster() {
    let (mut ours, theirs) = (Pair::start(), Pair::start());
    pair::write(&theirs.west, 33, "regions=1");
    // The configured address of the west belongs to another cluster from now on.
    let (east, wrong) = (ours.east.ready.peer.unwrap(), theirs.west.ready.peer.unwrap());
    let right = ours.east.plan_mut().clone();
    ours.east.plan_mut().config = pair::plan(ours.dir.path(), "east", east, ("west", wrong)).config;
    ours.east.restart().unwrap();
    let trouble = |node: &Node| node.status()["regions"][0]["trouble"].as_str().unwrap_or_default().to_owned();
    eventually("the east reports whose address it is", NOTICE_MAX, || {
        let trouble = trouble(&ours.east);
        trouble.contains("belongs to cluster") && trouble.contains("correct [[regions]]")
    });
    pair::write(&ours.west, 8, "local");
    pair::write(&ours.east, 9, "local");
    assert!(!pair::has(&ours.east, 33) && pair::has(&ours.east, 900), "nothing is mixed, and it serves its own rows");
    *ours.east.plan_mut() = right;
    ours.east.restart().unwrap();
    ours.both_have([8, 9, 900, 901]);
    assert!(!pair::has(&ours.east, 33) && !pair::has(&theirs.west, 9));
}
