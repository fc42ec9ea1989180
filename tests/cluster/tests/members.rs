//! Three processes that keep one region's log: killed, stopped past their lease, and isolated, under load.

#[path = "members/mounts.rs"]
mod mounts;
#[path = "members/rollback.rs"]
mod rollback;

use littoral_cluster::{accounts, equality, load, load::Writers};
use littoral_provision::{Node, Plan, cluster::eventually, etcd::Etcd, missing::require};
use rustix::process::Signal;
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    ffi::OsString,
    net::{SocketAddr, TcpListener},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

/// How often a member is killed or stopped; `LITTORAL_KILLS` sets another number.
const FAULTS: u64 = 9;
const WRITERS: usize = 4;
const WAIT_MAX: Duration = Duration::from_secs(40);
/// Longer than the aggressive lease.
const STOPPED: Duration = Duration::from_millis(1_500);

struct Region {
    members: Vec<Node>,
    edge: Node,
    dir: tempfile::TempDir,
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

/// Returns a free address.
fn free() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

impl Region {
    /// Starts the members with the lease in a directory.
    fn start() -> Self {
        let dir = tempfile::Builder::new().prefix("littoral-test-").tempdir().unwrap();
        let store = format!("dir:{}", dir.path().join("lease").display());
        Self::start_with(dir, &store)
    }

    fn start_with(dir: tempfile::TempDir, store: &str) -> Self {
        Self::start_by(dir, store, &[])
    }

    /// Starts the members with this launcher.
    fn start_by(dir: tempfile::TempDir, store: &str, launcher: &[OsString]) -> Self {
        let peers = [free(), free(), free()];
        let names = ["a", "b", "c"];
        let mut text = String::new();
        for (name, peer) in names.iter().zip(peers) {
            text += &format!("[[members]]\nname = \"{name}\"\npeer = \"{peer}\"\n");
        }
        text += &format!("[lease]\nstore = \"{store}\"\nprofile = \"aggressive\"\n");
        text += "[leader]\nregion = \"east\"\nsegment_bytes = 262144\nsnapshot_log_bytes = 524288\n\
                 retention_bytes_max = 1048576\ncheckpoint_interval_ms = 300\n";
        let members = names.iter().zip(peers).map(|(name, peer)| {
            let launcher = launcher.to_vec();
            let plan = Plan { name: (*name).to_owned(), peer, launcher, ..Plan::leader(&dir.path().join(name)) };
            Node::start(plan.with_config(&text)).unwrap()
        });
        let members: Vec<_> = members.collect();
        let addresses: Vec<_> = peers.iter().map(|peer| format!("\"{peer}\"")).collect();
        let config = format!("[edge]\nreconnect_ms_max = 100\n[edge.leader]\naddresses = [{}]\n", addresses.join(", "));
        let plan = Plan { leader: None, ..Plan::edge("edge", &dir.path().join("edge"), peers[0]) };
        let edge = Node::start(plan.with_config(&config)).unwrap();
        let region = Self { members, edge, dir };
        let leader = region.leader();
        accounts::make_view(&region.members[leader]);
        region.settle();
        region
    }

    /// Waits for a leader, and returns its index.
    fn leader(&self) -> usize {
        self.leader_but(None)
    }

    /// Like [`Region::leader`], for another leader than `but`.
    fn leader_but(&self, but: Option<usize>) -> usize {
        let mut found = None;
        eventually("a member leads", WAIT_MAX, || {
            let mut others = (0..self.members.len()).filter(|at| Some(*at) != but);
            found = others.find(|at| self.members[*at].status()["role"] == "leader");
            found.is_some()
        });
        found.unwrap()
    }

    /// Waits until all members and the edge have the same records, and compares their rows.
    fn settle(&self) {
        eventually("all have everything", WAIT_MAX, || {
            let positions: Vec<_> =
                self.members.iter().chain([&self.edge]).map(|node| node.status()["position"].clone()).collect();
            !positions[0].is_null()
                && positions.iter().all(|position| *position == positions[0])
                && self
                    .members
                    .iter()
                    .all(|node| node.status()["gauges"]["log_tail_lsn"] == positions[0]["lsn"].as_f64().unwrap_or(-1.0))
        });
        let nodes: Vec<_> = self.members.iter().chain([&self.edge]).collect();
        for node in &nodes[1..] {
            equality::assert_equal(nodes[0], node);
        }
    }

    /// Waits until all nodes are equal. Each then has every acknowledged write, and none that was never sent.
    fn assert_kept(&self, known: &[load::Account]) {
        self.settle();
        for node in self.members.iter().chain([&self.edge]) {
            load::assert_kept(&mut node.client(), known);
            load::assert_not_invented(&mut node.client(), known);
        }
    }

    fn tails(&self, at: usize) -> Vec<Value> {
        let answer = self.members[at].client().get("/v1/tails").unwrap().ok();
        answer.json()["tails"].as_array().cloned().unwrap()
    }
}

/// Watches all members: which of them reports that it leads in which epoch.
struct LeaderWatch {
    seen: Arc<Mutex<BTreeMap<u64, String>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl LeaderWatch {
    fn over(region: &Region) -> Self {
        let doors: Vec<_> = region.members.iter().map(|node| node.ready.door).collect();
        let (seen, stop) = (Arc::<Mutex<BTreeMap<u64, String>>>::default(), Arc::new(AtomicBool::new(false)));
        let (noted, stopped) = (seen.clone(), stop.clone());
        let thread = std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                for door in &doors {
                    let mut client =
                        littoral_provision::http::Client::new(*door).with_timeout(Duration::from_millis(200));
                    let Ok(answer) = client.get("/v1/status") else { continue };
                    let status = answer.json();
                    if status["role"] == "leader" {
                        let (epoch, name) = (status["epoch"].as_u64().unwrap(), status["name"].as_str().unwrap());
                        let mut noted = noted.lock().unwrap();
                        let led = noted.entry(epoch).or_insert_with(|| name.to_owned());
                        assert_eq!(led, name, "two members lead in epoch {epoch}");
                    }
                }
                std::thread::sleep(Duration::from_millis(10));
            }
        });
        Self { seen, stop, thread: Some(thread) }
    }

    /// Returns the number of epochs in which a leader was seen.
    fn end(mut self) -> usize {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().unwrap().join().expect("one leader per epoch");
        self.seen.lock().unwrap().len()
    }
}

#[test]
fn no_committed_write_is_lost_when_members_are_killed_and_stopped() {
    let blows = number("LITTORAL_KILLS").unwrap_or(FAULTS);
    let seed = number("LITTORAL_SEED").unwrap_or_else(|| std::process::id().into());
    eprintln!("LITTORAL_SEED={seed} LITTORAL_KILLS={blows} repeats these faults");
    let mut chance = fastrand::Rng::with_seed(seed);
    let mut region = Region::start();
    let watch = LeaderWatch::over(&region);
    // Through the edge, which finds the leader; its answers are the leader's acknowledgements.
    let writers = Writers::start_with(region.edge.ready.door, WRITERS, &[("littoral-concern", "quorum")]);
    for blow in 0..blows {
        std::thread::sleep(Duration::from_millis(100 + chance.u64(..400)));
        let leader = region.leader();
        let victim = if chance.u8(..3) > 0 { leader } else { chance.usize(..3) };
        let before = writers.acknowledged();
        let struck = Instant::now();
        let stops = chance.bool();
        if stops {
            region.members[victim].signal(Signal::STOP).unwrap();
        } else {
            region.members[victim].kill();
        }
        region.leader_but(Some(victim));
        eventually("writes continue", WAIT_MAX, || writers.acknowledged() > before + 20);
        let (how, who) =
            (if stops { "stopped" } else { "killed" }, if victim == leader { "leader" } else { "follower" });
        eprintln!("fault {blow}: the {who} {how}, writes continue after {} ms", struck.elapsed().as_millis());
        if stops {
            std::thread::sleep(STOPPED.saturating_sub(struck.elapsed()));
            region.members[victim].signal(Signal::CONT).unwrap();
        } else {
            std::thread::sleep(Duration::from_millis(chance.u64(..200)));
            region.members[victim].restart().unwrap();
        }
        eventually("it follows again", WAIT_MAX, || {
            region.members[victim].status()["staleness_ms"].as_u64().is_some_and(|ms| ms < 1_000)
        });
    }
    let known = writers.stop();
    assert!(known.iter().all(|account| account.count > 20), "{known:?}");
    region.assert_kept(&known);
    assert!(watch.end() > 1, "the leader has changed");
}

#[test]
fn a_lease_in_etcd_survives_the_loss_of_the_leader_and_of_etcd() {
    let name = "a_lease_in_etcd_survives_the_loss_of_the_leader_and_of_etcd";
    let Some(mut etcd) = require(name, Etcd::install_and_start()) else { return };
    let dir = tempfile::Builder::new().prefix("littoral-test-").tempdir().unwrap();
    let mut region = Region::start_with(dir, &format!("etcd://{}/littoral/east", etcd.address));
    let watch = LeaderWatch::over(&region);
    let writers = Writers::start_with(region.edge.ready.door, WRITERS, &[("littoral-concern", "quorum")]);
    let wait_for_writes = |what: &str| writers.wait_for_more(what, WAIT_MAX, 20);
    wait_for_writes("writes are acknowledged");
    let leader = region.leader();
    region.members[leader].kill();
    region.leader_but(Some(leader));
    wait_for_writes("writes continue without the leader");
    region.members[leader].restart().unwrap();
    // No member may lead without the store: the leader lets the lease expire, and claims it again when the store
    // returns.
    etcd.kill();
    eventually("no member leads", WAIT_MAX, || region.members.iter().all(|node| node.status()["role"] != "leader"));
    etcd.start().unwrap();
    wait_for_writes("writes continue when the store has returned");
    let known = writers.stop();
    region.assert_kept(&known);
    assert!(watch.end() > 1, "the leader has changed");
}

#[test]
fn records_of_a_stopped_leader_alone_are_listed_and_merged() {
    let mut region = Region::start();
    let leader = region.leader();
    let others: Vec<_> = (0..3).filter(|at| *at != leader).collect();
    // With the followers stopped, only the leader has what it accepts; its lease still runs.
    for at in &others {
        region.members[*at].signal(Signal::STOP).unwrap();
    }
    std::thread::sleep(Duration::from_millis(300));
    let mut client = region.members[leader].client();
    let alone = accounts::write(&mut client, &[accounts::row(1, 100), accounts::row(2, 200)]).unwrap();
    assert_eq!((alone.status, alone.json()["concern"].as_str()), (200, Some("local")), "{}", alone.text());
    region.members[leader].kill();
    for at in &others {
        region.members[*at].signal(Signal::CONT).unwrap();
    }
    let next = region.leader_but(Some(leader));
    accounts::must_write(&mut region.members[next].client(), &[accounts::row(2, 300)]);
    region.members[leader].restart().unwrap();
    region.settle();
    let tails = region.tails(leader);
    assert_eq!(tails.len(), 1, "{tails:?}");
    let name = tails[0]["name"].as_str().unwrap();
    let shown = region.members[leader].client().get(&format!("/v1/tails/{name}")).unwrap().ok().json();
    assert_eq!(shown["records"].as_array().map(Vec::len), Some(2), "{shown}");
    assert_eq!(accounts::must_read(&mut region.members[next].client(), &[1, 2]), [None, Some(300)]);
    let merged = region.members[leader].client().post(&format!("/v1/tails/{name}/merge"), &json!({})).unwrap().ok();
    assert_eq!(merged.json()["rows"], 2, "{}", merged.text());
    region.settle();
    // The missing rows are back; later writes stay.
    for node in region.members.iter().chain([&region.edge]) {
        assert_eq!(accounts::must_read(&mut node.client(), &[1, 2]), [Some(100), Some(300)]);
    }
    assert!(region.tails(leader).is_empty());
}
