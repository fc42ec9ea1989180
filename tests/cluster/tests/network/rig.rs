//! A leader, a link, an edge behind it, and the watch over both.

use littoral_cluster::{
    accounts, equality,
    truth::{Report, Watch},
};
use littoral_faults::Link;
use littoral_provision::{Node, Plan, binary, cluster::eventually};
use serde_json::json;
use std::{
    net::SocketAddr,
    process::Command,
    time::{Duration, Instant},
};
use tokio::runtime::Runtime;

/// How long a node may take for something that takes milliseconds on an idle host.
pub const WAIT_MAX: Duration = Duration::from_secs(90);

/// How much an intact network and an idle edge add to the staleness of the link itself: pings, and a busy host.
const REST_MAX: Duration = Duration::from_millis(600);

/// An edge that reconnects quickly.
pub const QUICK: &str = "[edge]\nreconnect_ms_max = 200\n";

/// A leader under writes, without an edge.
pub struct Leading {
    name: &'static str,
    pub leader: Node,
    watch: Watch,
    dir: tempfile::TempDir,
}

/// A leader and an edge, each placed as planned.
pub struct Rig {
    name: &'static str,
    pub leader: Node,
    pub edge: Node,
    pub watch: Watch,
    begun: Instant,
    _dir: tempfile::TempDir,
}

/// Returns the runtime of links.
pub fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

/// Returns a link to a leader, on its own port.
pub fn link(runtime: &Runtime, leader: &Node) -> Link {
    let target = leader.ready.peer.unwrap();
    // Every run has the same jitter.
    runtime.block_on(Link::start(SocketAddr::from(([127, 0, 0, 1], 0)), target, 20_261_124)).unwrap()
}

impl Leading {
    /// Starts a placed leader, and the writes.
    pub fn start(name: &'static str, config: &str, place: impl Fn(Plan) -> Plan) -> Self {
        let dir = tempfile::Builder::new().prefix("littoral-test-").tempdir().unwrap();
        let leader = Node::start(place(Plan::leader(&dir.path().join("leader")).with_config(config))).unwrap();
        accounts::make_view(&leader);
        let watch = Watch::write(&leader);
        Self { name, leader, watch, dir }
    }

    /// Starts a placed edge, which connects to the leader at this address, and reads from it once it is ready.
    pub fn edge(mut self, address: SocketAddr, config: &str, place: impl Fn(Plan) -> Plan) -> Rig {
        let plan = Plan::edge("edge", &self.dir.path().join("edge"), address).with_config(config);
        let edge = Node::start(place(plan)).unwrap();
        eventually("the edge is ready", WAIT_MAX, || edge.is_ready());
        eventually("the watched account exists", WAIT_MAX, || {
            let read = accounts::read(&mut edge.client(), &[1], &[]);
            read.is_ok_and(|answer| accounts::balances(&answer).first().is_some_and(Option::is_some))
        });
        // It may serve before it has heard from its leader after the snapshot.
        eventually("the edge knows its staleness", WAIT_MAX, || !edge.status()["staleness_ms"].is_null());
        self.watch.read(&edge);
        let Self { name, leader, watch, dir } = self;
        Rig { name, leader, edge, watch, begun: Instant::now(), _dir: dir }
    }
}

impl Rig {
    /// Starts both with a link on this host.
    pub fn linked(name: &'static str, (leader, edge): (&str, &str)) -> (Self, Link, Runtime) {
        let (runtime, leading) = (runtime(), Leading::start(name, leader, |plan| plan));
        let link = link(&runtime, &leading.leader);
        (leading.edge(link.address(), edge, |plan| plan), link, runtime)
    }

    /// Waits until the reported staleness is no more than that of the link: `way` in each direction.
    #[track_caller]
    pub fn settles(&self, way: Duration) {
        let (bound, since) = (way + REST_MAX, Instant::now());
        eventually("the edge reports no more staleness than there is", WAIT_MAX, || {
            self.watch.reported_lately(since).is_some_and(|lately| lately <= bound)
        });
    }

    /// Returns the checked report since the start.
    #[track_caller]
    pub fn seen(&self) -> Report {
        self.watch.check(self.begun)
    }

    /// Waits, in an intact network, until the edge holds what the leader holds, by value and by anti-entropy.
    #[track_caller]
    pub fn converges(mut self, way: Duration) -> Report {
        self.settles(way);
        self.watch.stop();
        let (written, report) = (self.watch.written(), self.seen());
        eprintln!("{}: {written} writes, {report}", self.name);
        assert!(written > 30, "only {written} writes were acknowledged: there was no load");
        assert!(report.answers > 50, "only {} answers: the edge was hardly read", report.answers);
        // Writable means connected, not only up to date from before.
        eventually("the edge has what the leader has", WAIT_MAX, || {
            let (leader, edge) = (self.leader.status(), self.edge.status());
            !leader["position"].is_null() && leader["position"] == edge["position"] && edge["writable"] == json!(true)
        });
        equality::assert_equal(&self.leader, &self.edge);
        verify(&self.edge);
        report
    }
}

/// Runs `littoral verify`, which compares the edge with its leader.
#[track_caller]
fn verify(edge: &Node) {
    let verified = Command::new(binary::littoral()).args(["verify", &edge.url()]).output().unwrap();
    let output = String::from_utf8_lossy(&[verified.stdout, verified.stderr].concat()).into_owned();
    assert!(verified.status.success() && output.contains("equal as of record"), "{output}");
}
