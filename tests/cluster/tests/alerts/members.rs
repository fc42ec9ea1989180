//! Alerts of members, edges, disks and routers: a region of three members with an edge on a small disk, a second edge
//! as a region of its own, and two routers.

use super::{WAIT_MAX, Watch};
use littoral_cluster::{accounts, pair::free};
use littoral_provision::{Missing, Node, Plan, Router, cluster::eventually, missing::require, prometheus::Target};
use rustix::process::Signal;
use serde_json::json;
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// The alerts that this test fires.
pub(super) const FIRED: &[&str] = &[
    "LittoralDiskNearlyFull",
    "LittoralEdgeDegraded",
    "LittoralEdgeStale",
    "LittoralMemberLost",
    "LittoralNodeDown",
    "LittoralNotWritable",
    "LittoralRegionWithoutLeader",
    "LittoralRouterDoorUnusable",
    "LittoralRouterEjecting",
    "LittoralRouterRegionUnusable",
    "LittoralRouterTopologyInvalid",
];

/// The size of the small disk.
const DISK_BYTES: usize = 16 << 20;

/// A small file system in memory, mounted until it is dropped.
struct Disk(PathBuf);

impl Disk {
    fn mount(at: PathBuf) -> Result<Self, Missing> {
        let lacking = |why: String| Missing::new("a mounted tmpfs", why, "run as root where mounting is allowed");
        fs::create_dir_all(&at).map_err(|error| lacking(error.to_string()))?;
        let size = format!("size={DISK_BYTES}");
        let output = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "littoral-test"]).arg(&at).output();
        let output = output.map_err(|error| lacking(error.to_string()))?;
        match output.status.success() {
            true => Ok(Self(at)),
            false => Err(lacking(String::from_utf8_lossy(&output.stderr).into_owned())),
        }
    }

    /// Uses nearly all of it.
    fn fill(&self) {
        fs::write(self.0.join("ballast"), vec![1; DISK_BYTES / 100 * 95]).unwrap();
    }

    fn free(&self) {
        fs::remove_file(self.0.join("ballast")).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily: a node may still have files open.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

struct Region {
    members: Vec<Node>,
    /// On the small disk.
    near: Node,
    /// The only door of the region `north`.
    far: Node,
    disk: Disk,
    dir: tempfile::TempDir,
}

fn edge(name: &str, dir: &Path, peers: &str) -> Node {
    let config =
        format!("[edge]\nfresh_lag_ms_max = 2000\nreconnect_ms_max = 200\n[edge.leader]\naddresses = [{peers}]\n");
    let plan = Plan { leader: None, ..Plan::edge(name, dir, free()) };
    Node::start(plan.with_config(&config)).unwrap()
}

impl Region {
    fn start(test: &str) -> Option<Self> {
        let dir = tempfile::Builder::new().prefix("littoral-test-").tempdir().unwrap();
        let disk = require(test, Disk::mount(dir.path().join("disk")))?;
        let names = ["a", "b", "c"];
        let peers = names.map(|_| free());
        let mut text = String::new();
        for (name, peer) in names.iter().zip(peers) {
            text += &format!("[[members]]\nname = \"{name}\"\npeer = \"{peer}\"\n");
        }
        let lease = dir.path().join("lease");
        text += &format!(
            "[lease]\nstore = \"dir:{}\"\nprofile = \"aggressive\"\n[leader]\nregion = \"east\"\n",
            lease.display()
        );
        let members = names.iter().zip(peers).map(|(name, peer)| {
            let plan = Plan { name: (*name).to_owned(), peer, ..Plan::leader(&dir.path().join(name)) };
            Node::start(plan.with_config(&text)).unwrap()
        });
        let members: Vec<_> = members.collect();
        let addresses = peers.map(|peer| format!("\"{peer}\"")).join(", ");
        let near = edge("near", &disk.0.join("near"), &addresses);
        let far = edge("far", &dir.path().join("far"), &addresses);
        let region = Self { members, near, far, disk, dir };
        accounts::make_view(&region.members[region.leader()]);
        accounts::must_write(&mut region.members[region.leader()].client(), &[accounts::row(1, 5)]);
        for node in [&region.near, &region.far] {
            eventually("the edge has the row", WAIT_MAX, || littoral_cluster::pair::has(node, 1));
        }
        Some(region)
    }

    fn leader(&self) -> usize {
        let mut found = None;
        eventually("a member leads", WAIT_MAX, || {
            found = (0..self.members.len()).find(|at| self.members[*at].status()["role"] == "leader");
            found.is_some()
        });
        found.unwrap()
    }

    fn topology(&self) -> String {
        let members: Vec<String> = (self.members.iter().zip(["a", "b", "c"]))
            .map(|(node, name)| {
                let (door, peer) = (node.ready.door, node.ready.peer.unwrap());
                format!("{{ name = \"{name}\", door = \"{door}\", peer = \"{peer}\" }}")
            })
            .collect();
        format!(
            "role = \"topology\"\nname = \"test\"\npattern = \"active_active\"\n\
             [[regions]]\nname = \"east\"\nlatitude = 39.0\nlongitude = -77.0\nmembers = [{}]\n\
             edges = [{{ name = \"near\", door = \"{}\" }}]\n\
             [[regions]]\nname = \"north\"\nlatitude = 53.0\nlongitude = -6.0\nedges = [{{ name = \"far\", door = \"{}\" }}]\n",
            members.join(", "),
            self.near.ready.door,
            self.far.ready.door,
        )
    }
}

#[test]
fn alerts_of_members_edges_disks_and_routers_fire_and_resolve() {
    let name = "alerts_of_members_edges_disks_and_routers_fire_and_resolve";
    let Some(mut region) = Region::start(name) else { return };
    let (probing, sending) = (region.dir.path().join("probing"), region.dir.path().join("sending"));
    for dir in [&probing, &sending] {
        fs::create_dir_all(dir).unwrap();
    }
    let topology = region.topology();
    let fast = "[router]\nwatch_ms = 50\n[router.health]\ninterval_ms = 200\ntimeout_ms = 1000\n";
    let probing = Router::start(&probing, &topology, fast, None).unwrap();
    // Its probes are too rare to find a door that hangs, so its requests do.
    let rare = "[router.gateway]\nattempt_timeout_ms = 300\n[router.health]\ninterval_ms = 5000\ntimeout_ms = 2000\n";
    let sending = Router::start(&sending, &topology, rare, None).unwrap();
    let north = [("littoral-place", "53,-6")];
    eventually("the router sends reads", WAIT_MAX, || {
        accounts::read(&mut sending.client(), &[1], &north).is_ok_and(|answer| answer.status == 200)
    });
    let target = |job, door| Target { job, region: "east", door, tls: false };
    let mut targets: Vec<_> = region.members.iter().map(|node| target("littoral-leader", node.ready.door)).collect();
    targets.extend([&region.near, &region.far].map(|node| target("littoral-edge", node.ready.door)));
    targets.extend([&probing, &sending].map(|router| target("littoral-router", router.door)));
    let Some(mut watch) = require(name, Watch::start(region.dir.path(), &targets)) else { return };

    region.disk.fill();
    watch.fire("the disk is full", &["LittoralDiskNearlyFull"]);
    region.disk.free();
    watch.calm("the disk has space");

    probing.change("role = \"topology\"\nname = \n").unwrap();
    watch.fire("the topology is invalid", &["LittoralRouterTopologyInvalid"]);
    probing.change(&topology).unwrap();
    watch.calm("the topology is valid");

    region.far.signal(Signal::STOP).unwrap();
    for _ in 0..10 {
        // The other region's edge answers.
        accounts::read(&mut sending.client(), &[1], &north).unwrap().ok();
    }
    watch.fire(
        "an edge hangs",
        &["LittoralRouterEjecting", "LittoralRouterDoorUnusable", "LittoralRouterRegionUnusable", "LittoralNodeDown"],
    );
    region.far.signal(Signal::CONT).unwrap();
    watch.calm("the edge continues");

    let leader = region.leader();
    let others: Vec<_> = (0..region.members.len()).filter(|at| *at != leader).collect();
    region.members[others[0]].kill();
    watch.fire("a member is killed", &["LittoralMemberLost", "LittoralNodeDown"]);
    region.members[leader].kill();
    watch.fire(
        "the leader and its majority are killed",
        &["LittoralRegionWithoutLeader", "LittoralNotWritable", "LittoralEdgeStale", "LittoralEdgeDegraded"],
    );
    for at in [leader, others[0]] {
        region.members[at].restart().unwrap();
    }
    let leader = region.leader();
    eventually("writes are accepted again", WAIT_MAX, || region.members[leader].status()["writable"] == json!(true));
    watch.calm("all members run");
    assert!(FIRED.iter().all(|alert| watch.fired.contains(*alert)));
}
