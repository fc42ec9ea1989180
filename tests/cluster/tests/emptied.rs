//! Tests regions whose disks are emptied: they recover from the other region, and their edges, which may hold the last
//! copy, wait for that.

use littoral_cluster::{
    accounts, copies,
    pair::{self, Pair, WAIT_MAX, degraded, free, has, is_writable, rows, try_write, write},
};
use littoral_provision::{Node, cluster::eventually};
use serde_json::Value;
use std::time::Duration;

/// Rows written in the east before its disk is lost; their notes make the recovery take a while.
const ROWS: i64 = 400;

/// How often the east is killed while it recovers.
const KILLS: usize = 5;

fn write_many(node: &Node) {
    for first in (0..ROWS).step_by(50) {
        let rows: Vec<Value> =
            (first..first + 50).map(|id| accounts::row_with(id, 1, &format!("{id}").repeat(4_000))).collect();
        let headers = [("littoral-concern", "regions=1"), ("littoral-wait-ms", "30000")];
        let _taken = accounts::write_with(&mut node.client(), &rows, &headers).unwrap().ok();
    }
}

fn is_rejected(node: &Node) {
    let refused = try_write(node, 1_000, "local", Duration::from_secs(1));
    let detail = refused.json()["detail"].as_str().unwrap_or_default().to_owned();
    assert_eq!(refused.status, 503, "{}", refused.text());
    assert!(detail.contains("region 'west' has not answered") && detail.contains("--init"), "{detail}");
    assert!(!is_writable(node) && !node.is_ready());
}

#[test]
fn a_region_without_its_disk_accepts_no_writes_until_it_has_recovered_and_its_edge_serves() {
    let mut pair = Pair::start();
    write_many(&pair.east);
    let edge = pair.edge();
    eventually("the edge has the rows", WAIT_MAX, || has(&edge, ROWS - 1));
    pair.west.kill();
    copies::empty(&mut pair.east);
    pair.east.restart().unwrap();
    is_rejected(&pair.east);
    eventually("the edge reports another log", WAIT_MAX, || degraded(&edge) == "other_log");
    assert!(has(&edge, 0) && has(&edge, 901));
    // It may be killed at any moment of the recovery.
    pair.west.restart().unwrap();
    let mut chance = fastrand::Rng::new();
    for _ in 0..KILLS {
        std::thread::sleep(Duration::from_millis(chance.u64(..400)));
        assert!(has(&edge, 0), "the edge serves its rows");
        pair.east.kill();
        pair.east.restart().unwrap();
    }
    eventually("the edge follows again by itself", WAIT_MAX, || degraded(&edge).is_null());
    assert!(has(&edge, 0) && has(&edge, ROWS - 1));
    pair.both_have([0, ROWS - 1, 900, 901]);
    assert_eq!(rows(&pair.east).len(), usize::try_from(ROWS).unwrap() + 2);
    write(&pair.east, 2_000, "regions=1");
    write(&pair.west, 2_001, "regions=1");
    eventually("the edge has the new writes", WAIT_MAX, || has(&edge, 2_000) && has(&edge, 2_001));
}

#[test]
fn when_all_disks_are_lost_the_regions_start_over_and_an_edge_waits_for_its_operator() {
    let mut pair = Pair::start();
    let edge = pair.edge();
    copies::empty(&mut pair.east);
    copies::empty(&mut pair.west);
    pair.east.restart().unwrap();
    is_rejected(&pair.east);
    pair.west.restart().unwrap();
    accounts::make_view(&pair.east);
    write(&pair.east, 7, "regions=1");
    eventually("the edge reports another log", WAIT_MAX, || degraded(&edge) == "other_log");
    assert!(has(&edge, 900) && has(&edge, 901) && !has(&edge, 7));
    let log = pair.east.status()["position"]["incarnation"].clone();
    let (status, text) = littoral(&edge, &["edge", "adopt", "--log", log.as_str().unwrap()]);
    assert!(status, "{text}");
    eventually("the edge has what its leader has", WAIT_MAX, || has(&edge, 7) && !has(&edge, 901));
}

#[test]
fn a_cluster_is_founded_in_one_region_by_its_operator_only() {
    let dir = tempfile::tempdir().unwrap();
    let (east_peer, west_peer) = (free(), free());
    let mut plan = pair::plan(dir.path(), "east", east_peer, ("west", west_peer));
    let waits = Node::start(plan.clone()).unwrap();
    is_rejected(&waits);
    drop(waits);
    std::fs::remove_dir_all(dir.path().join("east")).unwrap();
    plan.flags = vec!["--init".to_owned()];
    let mut east = Node::start(plan).unwrap();
    accounts::make_view(&east);
    write(&east, 1, "local");
    // The flag is given once: the log is not empty any more.
    east.plan_mut().flags.clear();
    east.restart().unwrap();
    write(&east, 2, "local");
    let west = Node::start(pair::plan(dir.path(), "west", west_peer, ("east", east_peer))).unwrap();
    eventually("the west has what the east has", WAIT_MAX, || has(&west, 1) && has(&west, 2));
    write(&west, 3, "regions=1");
    assert!(has(&east, 3));
}

/// Runs `littoral` for a node.
fn littoral(node: &Node, arguments: &[&str]) -> (bool, String) {
    let mut command = std::process::Command::new(littoral_provision::binary::littoral());
    let output = command.args(arguments).args(["--to", &node.url()]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (output.status.success(), text)
}
