//! Edges that are restarted one after the other under load, behind a router: no read fails, whether they are killed or
//! stopped. Also tests what a node reports while it drains.

use littoral_cluster::accounts;
use littoral_provision::{
    Cluster, Node, Router,
    cluster::{Options, eventually},
    http::{Answer, Client},
};
use rustix::process::Signal;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

/// How long a change may take to be noticed.
const NOTICE_MAX: Duration = Duration::from_secs(20);

const READERS: i64 = 8;
const ROUNDS: usize = 3;

/// A topology of one region with all edges.
fn topology(cluster: &Cluster) -> String {
    let edges = cluster.edges.iter().enumerate();
    let edges: Vec<_> =
        edges.map(|(at, edge)| format!("{{ name = \"e{at}\", door = \"{}\" }}", edge.ready.door)).collect();
    format!(
        "role = \"topology\"\nname = \"test\"\npattern = \"active_active\"\n\
         [[regions]]\nname = \"here\"\nlatitude = 39.0\nlongitude = -77.0\nleader = \"{}\"\nedges = [{}]\n",
        cluster.leader.ready.door,
        edges.join(", "),
    )
}

/// Returns two edges with one row for each reader, and a router with its defaults.
fn start() -> (Cluster, Router) {
    let cluster = Cluster::start(2).unwrap();
    accounts::make_view(&cluster.leader);
    let rows: Vec<_> = (0..READERS).map(|id| accounts::row(id, id + 1)).collect();
    accounts::must_write(&mut cluster.leader.client(), &rows);
    accounts::catch_up(&cluster);
    let router = Router::start(cluster.dir(), &topology(&cluster), "", None).unwrap();
    (cluster, router)
}

/// Clients that read throughout.
struct Readers {
    threads: Vec<JoinHandle<Vec<String>>>,
    reads: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
}

impl Readers {
    fn start(router: &Router) -> Self {
        let (stop, reads) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let reader = |id: i64| {
            let (stop, reads, door) = (stop.clone(), reads.clone(), router.door);
            std::thread::spawn(move || {
                let (mut client, mut failed) = (Client::new(door), Vec::new());
                while !stop.load(SeqCst) {
                    match accounts::read(&mut client, &[id], &[]) {
                        Ok(answer) if answer.status == 200 && accounts::balances(&answer) == [Some(id + 1)] => {}
                        other => failed.push(format!("{other:?}")),
                    }
                    reads.fetch_add(1, SeqCst);
                }
                failed
            })
        };
        let threads = (0..READERS).map(reader).collect();
        Self { threads, reads, stop }
    }

    fn wait_for_more(&self, count: u64) {
        let from = self.reads.load(SeqCst);
        eventually("reads continue", NOTICE_MAX, || self.reads.load(SeqCst) >= from + count);
    }

    /// Asserts that none failed.
    fn end(self) {
        self.stop.store(true, SeqCst);
        let failed: Vec<_> = self.threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
        let all = self.reads.load(SeqCst);
        assert!(failed.is_empty(), "{} of {all} reads failed, the first: {}", failed.len(), failed[0]);
    }
}

/// Stops one edge after the other and restarts each. No read fails.
fn restart_in_turn(mut stop: impl FnMut(&mut Node)) {
    let (mut cluster, router) = start();
    let readers = Readers::start(&router);
    readers.wait_for_more(100);
    for round in 0..ROUNDS * 2 {
        let edge = &mut cluster.edges[round % 2];
        stop(edge);
        readers.wait_for_more(20);
        edge.restart().unwrap();
        // The next round stops the other edge as soon as this one is ready.
        eventually("the edge is ready", NOTICE_MAX, || cluster.edges[round % 2].is_ready());
    }
    readers.end();
}

#[test]
fn no_read_fails_when_edges_are_killed_one_after_the_other() {
    restart_in_turn(Node::kill);
}

#[test]
fn no_read_fails_when_edges_are_stopped_one_after_the_other() {
    restart_in_turn(|edge| {
        let status = edge.stop().expect("the edge stops in time");
        assert!(status.success(), "{status}");
    });
}

/// Checks that a node announces that it drains, serves for a bounded time, and then stops.
fn drains(node: &mut Node, mut read: impl FnMut(&mut Client) -> Answer) {
    let mut kept = node.client();
    read(&mut kept).ok();
    assert!(node.is_ready());
    let began = Instant::now();
    node.signal(Signal::TERM).unwrap();
    eventually("readiness falls first", NOTICE_MAX, || !node.is_ready());
    let answer = read(&mut kept).ok();
    assert_eq!((answer.header("connection"), answer.header("littoral-draining")), (Some("close"), Some("1")));
    let answer = read(&mut node.client()).ok();
    assert_eq!(answer.header("connection"), Some("close"), "a new connection is accepted, for one request");
    let status = node.status();
    assert_eq!((&status["ready"], &status["draining"]), (&false.into(), &true.into()), "{status}");
    assert!(status["not_ready_reason"].as_str().unwrap().contains("draining"), "{status}");
    let ended = node.stop().expect("it stops in time");
    assert!(ended.success() && began.elapsed() < NOTICE_MAX, "{ended} after {:?}", began.elapsed());
}

#[test]
fn an_edge_and_a_leader_announce_that_they_drain_and_still_serve() {
    // Long enough for a busy machine; the second request to stop ends it.
    let config = Some("[shutdown]\nnotice_ms = 15_000\n".to_owned());
    let options = Options { leader_config: config.clone(), edge_configs: vec![config], ..Options::default() };
    let mut cluster = Cluster::start_with(&options).unwrap();
    accounts::make_view(&cluster.leader);
    accounts::must_write(&mut cluster.leader.client(), &[accounts::row(1, 5)]);
    accounts::catch_up(&cluster);
    let read = |client: &mut Client| accounts::read(client, &[1], &[]).unwrap();
    drains(&mut cluster.edges[0], read);
    drains(&mut cluster.leader, read);
}

#[test]
fn a_node_without_connections_stops_at_once() {
    let mut cluster = Cluster::start_with(&Options {
        leader_config: Some("[shutdown]\nnotice_ms = 60_000\n".to_owned()),
        ..Options::default()
    })
    .unwrap();
    assert!(cluster.leader.stop().expect("it has no client to wait for").success());
}

#[test]
fn a_router_reports_its_role_and_when_it_drains() {
    let (cluster, router) = start();
    let mut client = router.client();
    let status = client.get("/v1/status").unwrap().ok().json();
    assert_eq!(
        (&status["role"], &status["name"], &status["ready"]),
        (&"router".into(), &"router".into(), &true.into())
    );
    assert_eq!(client.get("/v1/ready").unwrap().status, 200);
    let unknown = client.send("POST", "/get-online-features", &[("littoral-region", "mars")], b"{}").unwrap();
    assert_eq!((unknown.status, unknown.header("littoral-error")), (400, Some("unknown_region")));
    drop(cluster);
    eventually("no edge is left", NOTICE_MAX, || client.get("/v1/ready").unwrap().status == 503);
    assert_eq!(client.get("/v1/status").unwrap().ok().json()["ready"], false);
}
