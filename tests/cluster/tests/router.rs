//! The router with a real leader and real edges: nearest first, no failed read when an edge is killed, draining, DNS.

use littoral_cluster::accounts;
use littoral_provision::{Cluster, Router, cluster::eventually, http::Client};
use rustix::process::Signal;
use serde_json::Value;
use std::{
    net::{SocketAddr, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

/// How long the router may take to notice.
const NOTICE_MAX: Duration = Duration::from_secs(20);

const WEST: (&str, &str) = ("littoral-place", "39,-77");
const EXPLAIN: (&str, &str) = ("littoral-explain", "1");

/// A topology of two regions with one edge each, and the leader in the west.
fn topology(cluster: &Cluster, west: &str) -> String {
    let doors: Vec<_> = cluster.edges.iter().map(|edge| edge.ready.door).collect();
    format!(
        "role = \"topology\"\nname = \"test\"\npattern = \"active_active\"\n\
         [[regions]]\nname = \"west\"\nlatitude = 39.0\nlongitude = -77.0\n{west}\nleader = \"{}\"\n\
         edges = [{{ name = \"edge-1\", door = \"{}\", addresses = [\"192.0.2.1\"] }}]\n\
         [[regions]]\nname = \"east\"\nlatitude = 53.0\nlongitude = -6.0\n\
         edges = [{{ name = \"edge-2\", door = \"{}\", addresses = [\"192.0.2.2\"] }}]\n",
        cluster.leader.ready.door, doors[0], doors[1],
    )
}

fn start(config: &str) -> (Cluster, Router) {
    let cluster = Cluster::start(2).unwrap();
    accounts::make_view(&cluster.leader);
    let rows: Vec<_> = (0..100).map(|id| accounts::row(id, id + 1)).collect();
    accounts::must_write(&mut cluster.leader.client(), &rows);
    accounts::catch_up(&cluster);
    let router = Router::start(cluster.dir(), &topology(&cluster, ""), config, None).unwrap();
    (cluster, router)
}

fn routed_to(client: &mut Client) -> String {
    let answer = accounts::read(client, &[5], &[WEST, EXPLAIN]).unwrap().ok();
    assert_eq!(accounts::balances(&answer), [Some(6)]);
    answer.header("littoral-routed-to").unwrap().to_owned()
}

#[test]
fn no_read_fails_when_an_edge_is_killed_under_load() {
    let (mut cluster, router) = start("[router]\nwatch_ms = 50\n[router.health]\ninterval_ms = 100\n");
    assert_eq!(routed_to(&mut router.client()), "west/edge-1");

    let (stop, reads) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let readers: Vec<_> = (0..8)
        .map(|reader| {
            let (stop, reads, door) = (stop.clone(), reads.clone(), router.door);
            std::thread::spawn(move || {
                let mut client = Client::new(door);
                let mut failed = Vec::new();
                while !stop.load(SeqCst) {
                    match accounts::read(&mut client, &[reader], &[WEST]) {
                        Ok(answer) if answer.status == 200 && accounts::balances(&answer) == [Some(reader + 1)] => {}
                        other => failed.push(format!("{other:?}")),
                    }
                    reads.fetch_add(1, SeqCst);
                }
                failed
            })
        })
        .collect();
    let more = |count| {
        let from = reads.load(SeqCst);
        eventually("reads continue", NOTICE_MAX, || reads.load(SeqCst) > from + count);
    };
    more(300);
    cluster.edges[0].kill();
    more(300);
    assert_eq!(routed_to(&mut router.client()), "east/edge-2");
    cluster.edges[0].restart().unwrap();
    more(300);
    stop.store(true, SeqCst);
    let failed: Vec<_> = readers.into_iter().flat_map(|reader| reader.join().unwrap()).collect();
    assert!(failed.is_empty(), "{} of {} reads failed, the first: {}", failed.len(), reads.load(SeqCst), failed[0]);
    eventually("the nearer edge is used again", NOTICE_MAX * 2, || routed_to(&mut router.client()) == "west/edge-1");
}

#[test]
fn a_paused_edge_is_passed_over_and_returns() {
    // It keeps its connections open and sends nothing: only a timeout shows it.
    let config = "[router.gateway]\nattempt_timeout_ms = 300\n[router.health]\ninterval_ms = 100\ntimeout_ms = 300\n";
    let (cluster, router) = start(config);
    let mut client = router.client();
    assert_eq!(routed_to(&mut client), "west/edge-1");
    cluster.edges[0].signal(Signal::STOP).unwrap();
    for _ in 0..20 {
        assert_eq!(routed_to(&mut client), "east/edge-2", "the other edge answers the read");
    }
    let status = client.get("/router/v1/status").unwrap().ok().json();
    assert_eq!(status["ready"], true);
    cluster.edges[0].signal(Signal::CONT).unwrap();
    eventually("the nearer edge is used again", NOTICE_MAX * 2, || routed_to(&mut client) == "west/edge-1");
}

#[test]
fn writes_reach_the_leader_and_routing_changes_without_a_restart() {
    let (cluster, router) = start("[router]\nwatch_ms = 50\n[router.health]\ninterval_ms = 100\n");
    let mut client = router.client();
    let write = serde_json::json!({ "rows": [accounts::row(7, 700)] }).to_string();
    let path = format!("/v1/views/{}/rows", accounts::VIEW);
    let written = client.send("POST", &path, &[EXPLAIN], write.as_bytes()).unwrap().ok();
    assert_eq!(written.header("littoral-routed-to"), Some("west/leader"));
    let token = written.json()["token"].as_str().unwrap().to_owned();
    let demand = [("littoral-at-least", token.as_str()), ("littoral-wait-ms", "10000")];
    for place in ["39,-77", "53,-6"] {
        let headers = [demand[0], demand[1], ("littoral-place", place)];
        let read = accounts::read(&mut client, &[7], &headers).unwrap().ok();
        assert_eq!(accounts::balances(&read), [Some(700)], "the token is valid wherever the read goes");
    }
    assert_eq!(dns_answer(router.dns.unwrap()), [192, 0, 2, 1]);

    router.change(&topology(&cluster, "role = \"draining\"")).unwrap();
    eventually("the west drains", NOTICE_MAX, || routed_to(&mut client) == "east/edge-2");
    assert_eq!(dns_answer(router.dns.unwrap()), [192, 0, 2, 2]);
    let explained = client.get("/router/v1/explain?place=39,-77&path=/v1/read").unwrap().ok().json();
    assert_eq!(explained["reason"], "nearer_draining, passed over west", "{explained}");
    router.change("role = \"topology\"\nname = \n").unwrap();
    eventually("the problem is reported", NOTICE_MAX, || {
        let status = client.get("/router/v1/status").unwrap().json();
        status["topology_problem"].as_str().is_some_and(|problem| problem.contains("line 2"))
    });
    assert_eq!(routed_to(&mut client), "east/edge-2", "the last valid topology stays");
    assert!(client.get("/metrics").unwrap().ok().text().contains("littoral_router_requests_total"));
    let health: Value = client.get("/health").unwrap().ok().json();
    assert_eq!(health, serde_json::json!({}));
}

/// Returns the address of the zone's name, from a hand-made query: the last four bytes of an answer with one A record.
fn dns_answer(responder: SocketAddr) -> [u8; 4] {
    let mut query = vec![0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in ["features", "example", ""] {
        query.push(label.len() as u8);
        query.extend(label.bytes());
    }
    query.extend([0, 1, 0, 1]);
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(NOTICE_MAX)).unwrap();
    socket.send_to(&query, responder).unwrap();
    let mut answer = [0; 512];
    let length = socket.recv(&mut answer).unwrap();
    assert_eq!(answer[..2], [0, 7]);
    assert_eq!(answer[7], 1, "one address: {:?}", &answer[..length]);
    answer[length - 4..length].try_into().unwrap()
}
