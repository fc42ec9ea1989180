//! Alerts of regions, verification and modules: two regions and an edge.

use super::{WAIT_MAX, Watch};
use littoral_cluster::{accounts, pair::Pair};
use littoral_provision::{Node, Plan, cluster::eventually, missing::require, modules, prometheus::Target};
use serde_json::json;
use std::{fs, os::unix::fs::FileExt as _};

/// The alerts that this test fires.
pub(super) const FIRED: &[&str] = &[
    "LittoralConflicts",
    "LittoralEdgeAwayFromHome",
    "LittoralLeaderRowsCorrupted",
    "LittoralModuleFaults",
    "LittoralRegionDisconnected",
    "LittoralRowsDiffer",
];

/// Occurs nowhere else in the memory of a node.
const MARKER: &str = "~~ a note that only one row of this test has ~~";

/// The bytes that are searched at once.
const CHUNK_BYTES: usize = 1 << 16;

/// Changes the marker wherever a process has it in memory, as failing memory does. Returns how often it was found.
fn corrupt(pid: u32) -> usize {
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
    let memory = fs::File::options().read(true).write(true).open(format!("/proc/{pid}/mem")).unwrap();
    let mut bytes = vec![0; CHUNK_BYTES + MARKER.len()];
    let mut found = 0;
    for line in maps.lines().filter(|line| line.contains(" rw-p ")) {
        let (from, to) = line.split(' ').next().and_then(|range| range.split_once('-')).unwrap();
        let [from, to] = [from, to].map(|address| u64::from_str_radix(address, 16).unwrap());
        for at in (from..to).step_by(CHUNK_BYTES) {
            // Chunks overlap by the length of the marker. Parts of a mapping may not be readable.
            let len = bytes.len().min(usize::try_from(to - at).unwrap());
            let bytes = &mut bytes[..len];
            if memory.read_exact_at(bytes, at).is_err() || !bytes.contains(&b'~') {
                continue;
            }
            let matches = bytes.windows(MARKER.len()).enumerate().filter(|(_, window)| *window == MARKER.as_bytes());
            for (offset, _) in matches {
                memory.write_all_at(b"A", at + offset as u64).unwrap();
                found += 1;
            }
        }
    }
    found
}

fn follow_both(pair: &Pair) -> Node {
    let [east, west] = [&pair.east, &pair.west].map(|node| node.ready.peer.unwrap());
    let config = format!(
        "[edge]\nhome_check_ms = 100\nreconnect_ms_max = 200\n[edge.leader]\naddresses = [\"{east}\", \"{west}\"]\n"
    );
    let plan = Plan { leader: None, ..Plan::edge("edge", &pair.dir.path().join("edge"), east) };
    Node::start(plan.with_config(&config)).unwrap()
}

#[test]
fn alerts_of_regions_verification_and_modules_fire_and_resolve() {
    let name = "alerts_of_regions_verification_and_modules_fire_and_resolve";
    let mut pair = Pair::start();
    let mut edge = follow_both(&pair);
    eventually("the edge has the view", WAIT_MAX, || littoral_cluster::pair::has(&edge, 901));
    let airports = json!({
        "entities": [{ "name": "airport", "join_key": "airport", "value_type": "string" }],
        "features": [{ "name": "mean_delay_24h", "value_type": "float" }],
    });
    pair.east.client().put("/v1/views/airport_hourly", &airports).unwrap().ok();
    let component = modules::build("misbehaving/deeds").unwrap_or_else(|missing| panic!("{missing}"));
    let put = pair.east.client().with_timeout(WAIT_MAX).send("PUT", "/v1/modules/deeds?version=1.0.0", &[], &component);
    put.unwrap().ok();
    let call = |edge: &Node, deed: &str| {
        let body = json!({ "features": ["deeds:out"], "entities": { "account_id": [1], "deed": [deed], "n": [7] } });
        edge.client().post("/v1/read", &body).unwrap()
    };
    eventually("the module is ready at the edge", WAIT_MAX, || call(&edge, "behave").status == 200);

    let target = |job, region, node: &Node| Target { job, region, door: node.ready.door, tls: false };
    let targets = [
        target("littoral-leader", "east", &pair.east),
        target("littoral-leader", "west", &pair.west),
        target("littoral-edge", "east", &edge),
    ];
    let Some(mut watch) = require(name, Watch::start(pair.dir.path(), &targets)) else { return };

    // A module that traps. The first fault creates its series, and only a further one increases it.
    let faulty = call(&edge, "panic");
    assert!(faulty.status >= 400, "{}", faulty.text());
    eventually("the first fault is scraped", WAIT_MAX, || !watch.query("littoral_module_faults_total").is_empty());
    call(&edge, "panic");
    watch.fire("a module traps", &["LittoralModuleFaults"]);
    watch.calm("the module is not called any more");

    // A row that changes in the edge's memory.
    let row = accounts::row_with(77, 1, MARKER);
    accounts::must_write(&mut pair.east.client(), &[row]);
    eventually("the edge has the row", WAIT_MAX, || littoral_cluster::pair::has(&edge, 77));
    assert!(corrupt(edge.process().pid()) > 0, "the edge's memory has the row");
    edge.client().post("/v1/verify", &json!({})).unwrap();
    watch.fire("a row is corrupted", &["LittoralRowsDiffer"]);
    eventually("the edge is equal again", WAIT_MAX, || {
        edge.client().post("/v1/verify", &json!({})).unwrap().json()["equal"] == json!(true)
    });
    watch.calm("the row was repaired");

    // A region is lost, and comes back with writes that the other one did not know of.
    pair.west.kill();
    watch.fire("the west is lost", &["LittoralRegionDisconnected"]);
    accounts::must_write(&mut pair.east.client(), &[accounts::row(1, 1)]);
    pair.east.kill();
    pair.west.restart().unwrap();
    watch.fire(
        "the edge's region is lost",
        &["LittoralEdgeAwayFromHome", "LittoralNodeDown", "LittoralRegionWithoutLeader"],
    );
    eventually("the west accepts writes", WAIT_MAX, || {
        accounts::write(&mut pair.west.client(), &[accounts::row(1, 2)]).is_ok_and(|answer| answer.status == 200)
    });
    pair.east.restart().unwrap();
    watch.fire("both regions wrote a row", &["LittoralConflicts"]);
    watch.calm("all nodes run");

    // The same row changes in the memory of its leader.
    assert!(corrupt(pair.east.process().pid()) > 0, "the leader's memory has the row");
    watch.fire("a row of a leader is corrupted", &["LittoralLeaderRowsCorrupted"]);
    pair.east.restart().unwrap();
    watch.calm("the leader restored the row");
    assert!(FIRED.iter().all(|alert| watch.fired.contains(*alert)));
}
