//! Two regions of real processes: edges that lose their leader rehome to the other region, and return.

use littoral_cluster::{accounts, equality};
use littoral_faults::{Link, link::Side};
use littoral_provision::{Node, Plan, cluster::eventually, http::Answer};
use serde_json::{Value, json};
use std::{
    net::{SocketAddr, TcpListener},
    time::{Duration, Instant},
};

const WAIT_MAX: Duration = Duration::from_secs(30);

struct World {
    east: Node,
    west: Node,
    /// Follows east while that leads.
    edge: Node,
    _dir: tempfile::TempDir,
}

/// Returns a free address.
fn free() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

fn leader(dir: &std::path::Path, region: &str, peer: SocketAddr, (other, other_peer): (&str, SocketAddr)) -> Node {
    let config = format!(
        "catalogue_home = \"east\"\n[[regions]]\nname = \"{other}\"\npeers = [\"{other_peer}\"]\n[leader]\nregion = \"{region}\"\n\
         checkpoint_interval_ms = 200\n"
    );
    let plan = Plan { name: region.to_owned(), peer, ..Plan::leader(&dir.join(region)) };
    Node::start(plan.with_config(&config)).unwrap()
}

fn start() -> World {
    let dir = tempfile::Builder::new().prefix("littoral-test-").tempdir().unwrap();
    let (east_peer, west_peer) = (free(), free());
    let east = leader(dir.path(), "east", east_peer, ("west", west_peer));
    let west = leader(dir.path(), "west", west_peer, ("east", east_peer));
    let config = format!(
        "[edge]\nhome_check_ms = 100\nreconnect_ms_max = 200\n[edge.leader]\naddresses = [\"{east_peer}\", \"{west_peer}\"]\n"
    );
    let plan = Plan { leader: None, ..Plan::edge("edge", &dir.path().join("edge"), east_peer) };
    let edge = Node::start(plan.with_config(&config)).unwrap();
    accounts::make_view(&east);
    let world = World { east, west, edge, _dir: dir };
    for node in [&world.west, &world.edge] {
        eventually("the view is everywhere", WAIT_MAX, || view_of(node).status == 200);
    }
    eventually("both replicate the other's records", WAIT_MAX, || {
        [&world.east, &world.west].iter().all(|node| node.status()["regions"][0]["connected"] == json!(true))
    });
    world
}

fn view_of(node: &Node) -> Answer {
    node.client().get(&format!("/v1/views/{}", accounts::VIEW)).unwrap()
}

fn write(node: &Node, id: i64, version: i64, concern: &str) -> Answer {
    let body = json!({ "rows": [accounts::row(id, version)] }).to_string();
    let path = format!("/v1/views/{}/rows", accounts::VIEW);
    let headers = [("littoral-concern", concern), ("littoral-wait-ms", "10000")];
    node.client().send("POST", &path, &headers, body.as_bytes()).unwrap()
}

fn token(answer: &Answer) -> String {
    answer.json()["token"].as_str().unwrap().to_owned()
}

/// Reads with a token, and waits for it.
fn read(node: &Node, id: i64, token: &str) -> Option<i64> {
    let headers = [("littoral-at-least", token), ("littoral-on-unmet", "wait"), ("littoral-wait-ms", "20000")];
    let answer = accounts::read(&mut node.client(), &[id], &headers).unwrap().ok();
    accounts::balances(&answer)[0]
}

fn metric(node: &Node, name: &str) -> f64 {
    let text = node.client().get("/metrics").unwrap().text();
    let line = text.lines().find(|line| line.starts_with(name));
    line.and_then(|line| line.rsplit(' ').next()).and_then(|value| value.parse().ok()).unwrap_or(0.0)
}

fn region(node: &Node) -> Value {
    node.status()["region"].clone()
}

/// Returns rows without their LSN, which differs between the regions' logs.
fn rows(node: &Node) -> Vec<Value> {
    let mut rows = equality::held_rows(node);
    for row in &mut rows {
        row.as_object_mut().unwrap().remove("lsn");
    }
    rows
}

#[test]
fn an_edge_rehomes_when_its_leader_is_lost_and_returns_without_a_snapshot() {
    let mut world = start();
    for id in 0..50 {
        let written = write(if id % 2 == 0 { &world.east } else { &world.west }, id, 1, "regions=1").ok();
        assert_eq!(written.json()["concern"], json!("regions=1"));
        assert_eq!(written.header("littoral-concern"), Some("regions=1"));
        assert_eq!(read(&world.edge, id, &token(&written)), Some(1), "a token is valid at every region's edges");
    }
    let snapshots = metric(&world.edge, "littoral_edge_snapshots_total");
    world.east.kill();
    let lost = Instant::now();
    let written = write(&world.west, 100, 7, "local").ok();
    assert_eq!(read(&world.edge, 100, &token(&written)), Some(7));
    println!("first read of a write in the other region: {:?} after the loss", lost.elapsed());
    assert_eq!(region(&world.edge), json!("west"));
    assert_eq!(read(&world.edge, 3, &token(&written)), Some(1), "earlier rows remain");
    // Writes that reach the edge are forwarded to the region that it follows.
    let forwarded = write(&world.edge, 101, 8, "local").ok();
    assert!(token(&forwarded).starts_with("west@"), "{}", token(&forwarded));
    assert_eq!(read(&world.edge, 101, &token(&forwarded)), Some(8));
    let proven = || world.edge.client().post("/v1/verify", &json!({})).unwrap().json()["equal"] == json!(true);
    eventually("the edge is verified against its new leader", WAIT_MAX, proven);

    world.east.restart().unwrap();
    eventually("the edge is home again", WAIT_MAX, || region(&world.edge) == json!("east"));
    let home = write(&world.east, 102, 9, "regions=1").ok();
    assert_eq!(read(&world.edge, 102, &token(&home)), Some(9));
    assert_eq!(read(&world.edge, 101, &token(&forwarded)), Some(8));
    eventually("all hold the same rows", WAIT_MAX, || {
        rows(&world.east) == rows(&world.west) && rows(&world.east) == rows(&world.edge)
    });
    eventually("the edge is verified against its leader at home", WAIT_MAX, || {
        world.edge.client().post("/v1/verify", &json!({})).unwrap().json()["equal"] == json!(true)
    });
    assert_eq!(metric(&world.edge, "littoral_edge_snapshots_total"), snapshots, "no snapshot was needed");
    assert!(metric(&world.edge, "littoral_edge_rehomed_total") >= 2.0);
}

#[test]
fn parts_of_both_regions_are_combined_through_every_door_and_equally_everywhere() {
    let world = start();
    let definition = json!({
        "entities": [{ "name": "page", "value_type": "int64" }],
        "features": [{ "name": "visits", "value_type": "int64" }, { "name": "share", "value_type": "double" }],
        "merge": "sum",
    });
    world.east.client().send("PUT", "/v1/views/traffic", &[], definition.to_string().as_bytes()).unwrap().ok();
    for node in [&world.west, &world.edge] {
        eventually("the view is everywhere", WAIT_MAX, || {
            node.client().get("/v1/views/traffic").unwrap().status == 200
        });
    }
    let mut tokens = Vec::new();
    for (node, visits) in [(&world.east, 3), (&world.west, 40), (&world.east, 5)] {
        let values = json!({ "visits": visits, "share": 0.25 });
        let row = json!({ "key": { "page": 1 }, "values": values, "event_timestamp": visits });
        let body = json!({ "rows": [row] }).to_string();
        let written = node.client().send("POST", "/v1/views/traffic/rows", &[], body.as_bytes()).unwrap().ok();
        tokens.push(token(&written));
    }
    let native = json!({ "features": ["traffic:visits", "traffic:share"], "entities": { "page": [1, 2] } }).to_string();
    for node in [&world.east, &world.west, &world.edge] {
        for token in &tokens {
            let headers =
                [("littoral-at-least", &**token), ("littoral-on-unmet", "wait"), ("littoral-wait-ms", "20000")];
            node.client().send("POST", "/v1/read", &headers, native.as_bytes()).unwrap().ok();
        }
        let answer = node.client().send("POST", "/v1/read", &[], native.as_bytes()).unwrap().ok().json();
        let columns = answer["columns"].as_array().unwrap();
        let visits = columns.iter().find(|column| column["name"] == "visits").unwrap();
        assert_eq!(visits["values"], json!([45, null]), "{answer}");
        let feast =
            node.client().post("/get-online-features", &serde_json::from_str::<Value>(&native).unwrap()).unwrap();
        let results = feast.ok().json()["results"].clone();
        assert!(results.as_array().unwrap().iter().any(|column| column["values"] == json!([0.5, null])), "{results}");
    }
    // A writer of west that a failover has redirected to east still writes west's part.
    let put = |part: &str| {
        let row = json!({ "key": { "page": 1 }, "values": { "visits": 400, "share": 0.25 }, "event_timestamp": 500 });
        let body = json!({ "rows": [row] }).to_string();
        let headers = [("littoral-part", part)];
        world.east.client().send("POST", "/v1/views/traffic/rows", &headers, body.as_bytes()).unwrap()
    };
    let written = token(&put("west").ok());
    let headers = [("littoral-at-least", &*written), ("littoral-on-unmet", "wait"), ("littoral-wait-ms", "20000")];
    for node in [&world.east, &world.west, &world.edge] {
        let answer = node.client().send("POST", "/v1/read", &headers, native.as_bytes()).unwrap().ok().json();
        assert!(answer.to_string().contains("405"), "{answer}");
    }
    let unknown = put("north");
    assert!(unknown.status == 422 && unknown.text().contains("known are east, west"), "{}", unknown.text());
    let refused = json!({ "entities": [{ "name": "page", "value_type": "int64" }], "merge": "latest_event",
        "features": [{ "name": "visits", "value_type": "int64" }, { "name": "share", "value_type": "double" }] });
    let refused = world.east.client().send("PUT", "/v1/views/traffic", &[], refused.to_string().as_bytes()).unwrap();
    assert_eq!(refused.status, 422, "{}", refused.text());
    assert!(refused.text().contains("a part per region"), "{}", refused.text());
}

#[test]
fn rows_that_only_a_lost_region_had_neither_revert_nor_count_as_differences() {
    let mut world = start();
    let both = write(&world.east, 1, 1, "regions=1").ok();
    assert_eq!(read(&world.edge, 1, &token(&both)), Some(1));
    // West is down, and east is lost with records that only its edge has.
    world.west.kill();
    let tail = write(&world.east, 1, 2, "local").ok();
    assert_eq!(read(&world.edge, 1, &token(&tail)), Some(2));
    world.east.kill();
    world.west.restart().unwrap();
    eventually("the edge follows west", WAIT_MAX, || region(&world.edge) == json!("west"));
    let written = write(&world.west, 2, 5, "local").ok();
    assert_eq!(read(&world.edge, 2, &token(&written)), Some(5));
    assert_eq!(accounts::must_read(&mut world.west.client(), &[1]), [Some(1)]);
    // Checkpoints are taken in the meantime.
    std::thread::sleep(Duration::from_millis(1_000));
    assert_eq!(accounts::must_read(&mut world.edge.client(), &[1]), [Some(2)], "a replica never goes back");
    assert_eq!(metric(&world.edge, "littoral_edge_digest_mismatches_total"), 0.0);
    world.east.restart().unwrap();
    eventually("west has the missing records", WAIT_MAX, || {
        accounts::must_read(&mut world.west.client(), &[1]) == [Some(2)]
    });
    eventually("the edge is verified again", WAIT_MAX, || {
        world.edge.client().post("/v1/verify", &json!({})).unwrap().json()["equal"] == json!(true)
    });
}

#[test]
fn regions_that_are_killed_under_load_lose_no_acknowledged_write_and_end_equal() {
    let mut world = start();
    let mut acknowledged = Vec::new();
    for round in 0..6 {
        for id in 0..40 {
            let node = if id % 2 == 0 { &world.east } else { &world.west };
            let answer = write(node, id, round * 100 + id, if id % 4 == 0 { "regions=1" } else { "local" });
            if answer.status == 200 {
                acknowledged.push((id, round * 100 + id));
            }
        }
        let victim = if round % 2 == 0 { &mut world.east } else { &mut world.west };
        victim.kill();
        victim.restart().unwrap();
        eventually("both replicate the other's records", WAIT_MAX, || {
            [&world.east, &world.west].iter().all(|node| node.status()["regions"][0]["connected"] == json!(true))
        });
    }
    assert!(acknowledged.len() >= 200, "{}", acknowledged.len());
    eventually("all hold the same rows", WAIT_MAX, || {
        rows(&world.east) == rows(&world.west) && rows(&world.east) == rows(&world.edge)
    });
    for (id, version) in acknowledged {
        let held = accounts::must_read(&mut world.west.client(), &[id])[0];
        assert!(held.is_some_and(|held| held >= version), "{id}: {version} was acknowledged, {held:?} is held");
    }
}

/// Starts two leaders whose connections have this latency in each direction.
fn far_apart(one_way: Duration) -> (tokio::runtime::Runtime, Vec<Link>, Node, Node, tempfile::TempDir) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let dir = tempfile::Builder::new().prefix("littoral-test-").tempdir().unwrap();
    let (east_peer, west_peer) = (free(), free());
    let links: Vec<Link> = [east_peer, west_peer]
        .map(|target| {
            let any = SocketAddr::from(([127, 0, 0, 1], 0));
            let link = runtime.block_on(Link::start(any, target, 1)).unwrap();
            link.delay(one_way, Duration::ZERO);
            link
        })
        .into();
    let east = leader(dir.path(), "east", east_peer, ("west", links[1].address()));
    let west = leader(dir.path(), "west", west_peer, ("east", links[0].address()));
    accounts::make_view(&east);
    eventually("the view is everywhere", WAIT_MAX, || view_of(&west).status == 200);
    eventually("both replicate the other's records", WAIT_MAX, || {
        [&east, &west].iter().all(|node| node.status()["regions"][0]["connected"] == json!(true))
    });
    // Each has answered the other again after the west joined the cluster.
    let quorum = [("littoral-consistency", "quorum"), ("littoral-wait-ms", "5000")];
    eventually("both answer a quorum read", WAIT_MAX, || {
        let reads = |node: &&Node| accounts::read(&mut node.client(), &[0], &quorum).unwrap().status == 200;
        [&east, &west].iter().all(reads)
    });
    (runtime, links, east, west, dir)
}

#[test]
fn a_quorum_read_returns_a_row_that_only_the_other_region_had() {
    let one_way = Duration::from_millis(300);
    let (_runtime, links, east, west, dir) = far_apart(one_way);
    let edge = Node::start(Plan::edge("edge", &dir.path().join("edge"), east.ready.peer.unwrap())).unwrap();
    eventually("the edge has the view", WAIT_MAX, || view_of(&edge).status == 200);
    let asked = |node: &Node, id: i64, headers: &[(&str, &str)]| {
        let answer = accounts::read(&mut node.client(), &[id], headers).unwrap();
        let balance = (answer.status == 200).then(|| accounts::balances(&answer)[0]);
        (answer, balance)
    };
    let quorum = [("littoral-consistency", "quorum"), ("littoral-wait-ms", "5000")];
    let mut proven = 0;
    for (id, node) in (1..=6).zip([&east, &edge].into_iter().cycle()) {
        write(&west, id, id, "local").ok();
        let (_, known) = asked(node, id, &[("littoral-consistency", "leader")]);
        let (answer, balance) = asked(node, id, &quorum);
        assert_eq!(balance, Some(Some(id)), "{}", answer.text());
        assert_eq!(answer.header("littoral-source"), Some("quorum"));
        assert_eq!(answer.header("littoral-regions"), Some("east,west"));
        // A test run that was delayed proves nothing, which is counted.
        proven += usize::from(known == Some(None));
    }
    assert!(proven >= 3, "only {proven} of 6 rows were missing at the region's own leader during the quorum read");

    links.iter().for_each(|link| link.cut(Side::Both));
    write(&west, 100, 1, "local").ok();
    for node in [&east, &edge] {
        let short = [("littoral-consistency", "quorum"), ("littoral-wait-ms", "300")];
        let (answer, _) = asked(node, 100, &short);
        assert_eq!((answer.status, &answer.json()["code"]), (503, &json!("quorum_not_reached")), "{}", answer.text());
        assert!(answer.text().contains("only 'east' answered; 'west': "), "{}", answer.text());
        let stale = [short[0], short[1], ("littoral-on-unmet", "serve_stale")];
        let (answer, balance) = asked(node, 100, &stale);
        assert_eq!((balance, answer.header("littoral-degraded")), (Some(None), Some("demand_unmet")));
    }
    links.iter().for_each(Link::heal);
    eventually("a quorum answers again", WAIT_MAX, || asked(&edge, 100, &quorum).1 == Some(Some(1)));
}
