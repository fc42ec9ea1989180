//! A project's rows stay in its regions: three regions of real processes, and nodes that lie about what they are.

use littoral_feed::client;
use littoral_model::{entity_key::KeyBatch, freshness::Consistency, read::ViewRead, region::Region, view::ViewId};
use littoral_protocol::frame::{Downstream, SubscriberHello, Upstream, VERSION_MAX, VERSION_MIN, Views};
use littoral_provision::{Node, Plan, Router, cluster::eventually, http::Answer};
use serde_json::{Value, json};
use std::{
    net::{SocketAddr, TcpListener},
    path::Path,
    time::Duration,
};

const PATIENCE: Duration = Duration::from_secs(30);
const VIEW: &str = "/p/fraud/v1/views/accounts";
/// What no byte may leave its regions contains.
const SECRET: &str = "planted-secret-of-an-account";

struct World {
    /// The catalogue's home, and a region that the project allows.
    eu: Node,
    /// A region that the project does not allow.
    us: Node,
    /// The other region that it allows.
    ap: Node,
    eu_peer: SocketAddr,
    dir: tempfile::TempDir,
}

fn free() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

fn leader(dir: &Path, region: &str, peer: SocketAddr, others: &[(&str, SocketAddr)]) -> Node {
    let mut config = "catalogue_home = \"eu\"\n".to_owned();
    for (name, peer) in others {
        config.push_str(&format!("[[regions]]\nname = \"{name}\"\npeers = [\"{peer}\"]\n"));
    }
    config.push_str(&format!("[leader]\nregion = \"{region}\"\ncheckpoint_interval_ms = 200\n"));
    let plan = Plan { name: region.to_owned(), peer, ..Plan::leader(&dir.join(region)) };
    Node::start(plan.with_config(&config)).unwrap()
}

fn edge(dir: &Path, name: &str, region: Option<&str>, peers: &[SocketAddr]) -> Node {
    let region = region.map(|region| format!("region = \"{region}\"\n")).unwrap_or_default();
    let addresses: Vec<_> = peers.iter().map(|peer| format!("\"{peer}\"")).collect();
    let config = format!(
        "[edge]\n{region}home_check_ms = 100\nreconnect_ms_max = 200\n[edge.leader]\naddresses = [{}]\n",
        addresses.join(", ")
    );
    let plan = Plan { leader: None, ..Plan::edge(name, &dir.join(name), peers[0]) };
    Node::start(plan.with_config(&config)).unwrap()
}

fn start() -> World {
    let dir = tempfile::Builder::new().prefix("littoral-test-").tempdir().unwrap();
    let [eu, us, ap] = [free(), free(), free()];
    let world = World {
        eu: leader(dir.path(), "eu", eu, &[("us", us), ("ap", ap)]),
        us: leader(dir.path(), "us", us, &[("eu", eu), ("ap", ap)]),
        ap: leader(dir.path(), "ap", ap, &[("eu", eu), ("us", us)]),
        eu_peer: eu,
        dir,
    };
    eventually("the leader accepts writes", PATIENCE, || world.eu.status()["writable"] == json!(true));
    ok(&put(&world.eu, "/v1/projects/fraud", &json!({"regions": ["eu", "ap"]})));
    let view = json!({"entities": [{"name": "id", "value_type": "int64"}],
        "features": [{"name": "note", "value_type": "string"}]});
    ok(&put(&world.eu, VIEW, &view));
    ok(&put(&world.eu, "/v1/views/public", &view));
    for node in [&world.us, &world.ap] {
        eventually("the views are everywhere", PATIENCE, || {
            [VIEW, "/v1/views/public"].iter().all(|path| node.client().get(path).unwrap().status == 200)
        });
    }
    for node in [&world.eu, &world.us, &world.ap] {
        eventually("each follows the others", PATIENCE, || {
            node.status()["regions"].as_array().is_some_and(|all| all.iter().all(|one| one["connected"] == json!(true)))
        });
    }
    world
}

fn put(node: &Node, path: &str, body: &Value) -> Answer {
    node.client().send("PUT", path, &[], body.to_string().as_bytes()).unwrap()
}

fn ok(answer: &Answer) {
    assert_eq!(answer.status, 200, "{}", answer.text());
}

fn write(node: &Node, view: &str, (id, note): (i64, &str), concern: &str) -> Answer {
    let body = json!({"rows": [{"key": {"id": id}, "values": {"note": note}}]}).to_string();
    let headers = [("littoral-concern", concern), ("littoral-wait-ms", "10000")];
    node.client().send("POST", &format!("{view}/rows"), &headers, body.as_bytes()).unwrap()
}

fn read(node: &Node, project: &str, view: &str, id: i64) -> Answer {
    let body = json!({"features": [format!("{view}:note")], "entities": {"id": [id]}}).to_string();
    node.client().send("POST", &format!("/p/{project}/v1/read"), &[], body.as_bytes()).unwrap()
}

fn note(answer: &Answer) -> Value {
    ok(answer);
    answer.json()["columns"][1]["values"][0].clone()
}

fn outside(answer: &Answer) {
    assert_eq!((answer.status, answer.header("littoral-error")), (421, Some("outside_regions")), "{}", answer.text());
}

/// Whether any file below a directory contains the secret.
fn contains_secret(dir: &Path) -> bool {
    let mut found = false;
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        found |= if path.is_dir() {
            contains_secret(&path)
        } else {
            let bytes = std::fs::read(&path).unwrap_or_default();
            bytes.windows(SECRET.len()).any(|window| window == SECRET.as_bytes())
        };
    }
    found
}

#[test]
fn rows_reach_the_allowed_regions_and_no_other() {
    let mut world = start();
    let inside = edge(world.dir.path(), "inside", Some("eu"), &[world.eu_peer]);
    let outside_edge = edge(world.dir.path(), "outside", Some("us"), &[world.eu_peer]);
    let nowhere = edge(world.dir.path(), "nowhere", None, &[world.eu_peer]);
    let written = write(&world.eu, VIEW, (1, SECRET), "regions=1");
    ok(&written);
    let rejected = write(&world.eu, VIEW, (1, SECRET), "regions=2");
    assert_eq!(rejected.status, 422);
    assert!(rejected.text().contains("only 1 of the other regions may hold"), "{}", rejected.text());
    // A later row of another project shows that the region outside has passed the position.
    ok(&write(&world.eu, "/v1/views/public", (1, "public"), "regions=2"));
    assert_eq!(note(&read(&world.ap, "fraud", "accounts", 1)), SECRET);
    assert_eq!(note(&read(&world.us, "default", "public", 1)), "public");
    outside(&read(&world.us, "fraud", "accounts", 1));
    outside(&write(&world.us, VIEW, (2, SECRET), "local"));
    for edge in [&inside, &outside_edge, &nowhere] {
        eventually("the edge has the later row", PATIENCE, || {
            let answer = read(edge, "default", "public", 1);
            answer.status == 200 && note(&answer) == "public"
        });
    }
    assert_eq!(note(&read(&inside, "fraud", "accounts", 1)), SECRET);
    for edge in [&outside_edge, &nowhere] {
        outside(&read(edge, "fraud", "accounts", 1));
        let page = edge.client().get(&format!("{VIEW}/rows")).unwrap();
        outside(&page);
        eventually("the edge is verified equal in what it may hold", PATIENCE, || {
            edge.client().post("/v1/verify", &json!({})).unwrap().json()["equal"] == json!(true)
        });
    }
    // A region that begins with an empty log receives a snapshot.
    world.us.stop();
    std::fs::remove_dir_all(world.dir.path().join("us")).unwrap();
    world.us.restart().unwrap();
    eventually("the region has taken a snapshot", PATIENCE, || {
        let answer = read(&world.us, "default", "public", 1);
        answer.status == 200 && note(&answer) == "public"
    });
    // A rejected request is counted by its project and its quota.
    let quotas = json!({"regions": ["eu", "ap"], "quotas": {"requests_per_s": 0}});
    ok(&put(&world.eu, "/v1/projects/fraud", &quotas));
    let over = world.eu.client().get(VIEW).unwrap();
    assert_eq!((over.status, over.header("littoral-error")), (429, Some("over_quota")));
    assert!(over.header("retry-after").is_some_and(|seconds| seconds.parse::<u64>().unwrap() > 0));
    let metrics = world.eu.client().get("/metrics").unwrap().text();
    let counted = "littoral_project_rejected_total{project=\"fraud\",quota=\"requests_per_s\"} 1";
    assert!(metrics.contains(counted), "{metrics}");
    let World { mut eu, mut us, mut ap, dir, .. } = world;
    for node in [&mut eu, &mut us, &mut ap] {
        node.stop();
    }
    // An edge writes its snapshot when it stops.
    for mut edge in [inside, outside_edge, nowhere] {
        edge.stop();
    }
    let has = |name: &str| contains_secret(&dir.path().join(name));
    assert!(has("eu") && has("ap") && has("inside"), "the search finds it where it may be");
    assert!(!has("us") && !has("outside") && !has("nowhere"));
}

#[test]
fn a_router_sends_a_write_of_any_size_to_a_region_that_may_hold_it() {
    let world = start();
    let inside = edge(world.dir.path(), "inside", Some("eu"), &[world.eu_peer]);
    let outside = edge(world.dir.path(), "outside", Some("us"), &[world.us.ready.peer.unwrap()]);
    let topology = format!(
        "role = \"topology\"\nname = \"test\"\npattern = \"active_active\"\n\
         [[regions]]\nname = \"us\"\nlatitude = 0.0\nlongitude = 0.0\nleader = \"{}\"\n\
         edges = [{{ name = \"outside\", door = \"{}\" }}]\n\
         [[regions]]\nname = \"eu\"\nlatitude = 0.0\nlongitude = 60.0\nleader = \"{}\"\n\
         edges = [{{ name = \"inside\", door = \"{}\" }}]\n",
        world.us.ready.door, outside.ready.door, world.eu.ready.door, inside.ready.door
    );
    let config = "[router]\nwatch_ms = 50\n[router.health]\ninterval_ms = 100\n";
    let router = Router::start(world.dir.path(), &topology, config, None).unwrap();
    let near_us = [("littoral-place", "0,1"), ("littoral-explain", "1")];
    let write = |view: &str, count: usize| {
        let note = "n".repeat(1_000);
        let row = |id| json!({"key": {"id": id}, "values": {"note": note}});
        let body = json!({"rows": (0..count).map(row).collect::<Vec<_>>()}).to_string();
        let answer = router.client().send("POST", &format!("{view}/rows"), &near_us, body.as_bytes()).unwrap();
        (answer.header("littoral-routed-to").map(str::to_owned), answer)
    };
    eventually("the nearest leader receives writes", PATIENCE, || {
        let (routed_to, answer) = write("/v1/views/public", 1);
        answer.status == 200 && routed_to.is_some_and(|to| to.starts_with("us/"))
    });
    // More than the router can hold, to send it again.
    for count in [1, 3_000] {
        let (routed_to, answer) = write(VIEW, count);
        ok(&answer);
        assert!(routed_to.is_some_and(|to| to.starts_with("eu/")), "{count} rows");
        assert_eq!(note(&read(&world.eu, "fraud", "accounts", count as i64 - 1)), "n".repeat(1_000));
    }
    let (routed_to, answer) = write("/v1/views/public", 3_000);
    ok(&answer);
    assert!(routed_to.is_some_and(|to| to.starts_with("us/")), "a project without a rule stays near");
}

/// Everything that a node receives from `eu` that states `stated` and requests `views`.
async fn received(address: &str, stated: Option<Region>, views: Views, last: u64) -> Vec<u8> {
    let config = client::Config { leader: vec![address.to_owned()], region: stated, ..client::Config::default() };
    let mut peer = client::connect(&config).await.unwrap();
    let hello = SubscriberHello {
        version_min: VERSION_MIN,
        version_max: VERSION_MAX,
        subscriber: "liar".into(),
        views,
        resume: None,
        watermark: Default::default(),
        holds: None,
        ended: None,
        lineages: Default::default(),
        cluster: None,
    };
    peer.sender.send(&Upstream::Hello(hello)).unwrap();
    let mut all = Vec::new();
    loop {
        match peer.receiver.next().await.unwrap().expect("the stream continues") {
            Downstream::SnapshotRows { bytes, .. } => all.extend_from_slice(&bytes),
            Downstream::Records { last: up_to, bytes, .. } => {
                all.extend_from_slice(&bytes);
                if up_to.0 >= last {
                    break;
                }
            }
            Downstream::Error { message, .. } => panic!("{message}"),
            _ => {}
        }
    }
    all
}

#[test]
fn a_node_that_lies_about_what_it_requests_receives_no_row() {
    let world = start();
    ok(&write(&world.eu, VIEW, (1, SECRET), "local"));
    let id = world.eu.client().get(VIEW).unwrap().json()["id"].as_u64().unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let address = world.eu_peer.to_string();
    let [eu, us] = ["eu", "us"].map(|name| Some(name.parse::<Region>().unwrap()));
    let has_secret = |bytes: &[u8]| bytes.windows(SECRET.len()).any(|window| window == SECRET.as_bytes());
    let head = || world.eu.status()["head"]["lsn"].as_u64().unwrap();
    let requests = || {
        let names = Views::Names(vec!["fraud/accounts".into()]);
        [Views::All, names, Views::ForRegion(eu.unwrap()), Views::ForRegion(us.unwrap())]
    };
    for (stated, views) in [us, None].into_iter().flat_map(|stated| requests().map(|views| (stated, views))) {
        if stated.is_none() && views == Views::ForRegion(eu.unwrap()) {
            // Without a certificate, this is all that identifies another leader of the region.
            continue;
        }
        let next = head() + 1;
        let shown = format!("{stated:?} {views:?}");
        let received = runtime.block_on(async {
            let received = tokio::spawn({
                let address = address.clone();
                async move { received(&address, stated, views, next).await }
            });
            while !received.is_finished() {
                let written = write(&world.eu, VIEW, (2, SECRET), "local");
                assert_eq!(written.status, 200);
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            received.await.unwrap()
        });
        assert!(!has_secret(&received), "{shown}");
    }
    for stated in [us, None] {
        let mut keys = KeyBatch::default();
        keys.push(&1_i64.to_be_bytes());
        let reads = vec![ViewRead { view: ViewId(u32::try_from(id).unwrap()), keys }];
        let config = client::Config { leader: vec![address.clone()], region: stated, ..client::Config::default() };
        let rejected = runtime.block_on(async {
            let peer = client::connect(&config).await.unwrap();
            peer.calls.read(reads, Consistency::Leader).await.err().map(|error| error.to_string())
        });
        assert!(rejected.is_some_and(|error| error.contains("stay in")), "{stated:?}");
    }
    // The same node in an allowed region receives the row.
    let next = head();
    let received = runtime.block_on(async {
        let received = tokio::spawn({
            let address = address.clone();
            async move { received(&address, eu, Views::All, next + 1).await }
        });
        while !received.is_finished() {
            write(&world.eu, VIEW, (2, SECRET), "local");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        received.await.unwrap()
    });
    assert!(has_secret(&received));
}

/// A region of three members, which a rule of another region does not allow.
fn members(dir: &Path, region: &str, home: SocketAddr, peers: &[SocketAddr; 3]) -> Vec<Node> {
    let mut text = format!("catalogue_home = \"eu\"\n[[regions]]\nname = \"eu\"\npeers = [\"{home}\"]\n");
    let names = ["a", "b", "c"];
    for (name, peer) in names.iter().zip(peers) {
        text.push_str(&format!("[[members]]\nname = \"{name}\"\npeer = \"{peer}\"\n"));
    }
    let lease = dir.join("lease").display().to_string();
    text.push_str(&format!("[lease]\nstore = \"dir:{lease}\"\nprofile = \"aggressive\"\n"));
    text.push_str(&format!("[leader]\nregion = \"{region}\"\n"));
    let members = names.iter().zip(peers).map(|(name, peer)| {
        let plan = Plan { name: (*name).to_owned(), peer: *peer, ..Plan::leader(&dir.join(name)) };
        Node::start(plan.with_config(&text)).unwrap()
    });
    members.collect()
}

#[test]
fn members_of_a_region_outside_a_rule_keep_their_quorum() {
    let dir = tempfile::Builder::new().prefix("littoral-test-").tempdir().unwrap();
    let (home, peers) = (free(), [free(), free(), free()]);
    let others: Vec<_> = peers.iter().map(|peer| format!("\"{peer}\"")).collect();
    let config = format!(
        "catalogue_home = \"eu\"\n[[regions]]\nname = \"us\"\npeers = [{}]\n[leader]\nregion = \"eu\"\n",
        others.join(", ")
    );
    let plan = Plan { name: "eu".to_owned(), peer: home, ..Plan::leader(&dir.path().join("eu")) };
    let eu = Node::start(plan.with_config(&config)).unwrap();
    let mut us = members(dir.path(), "us", home, &peers);
    eventually("the leader accepts writes", PATIENCE, || eu.status()["writable"] == json!(true));
    ok(&put(&eu, "/v1/projects/fraud", &json!({"regions": ["eu"]})));
    let view = json!({"entities": [{"name": "id", "value_type": "int64"}],
        "features": [{"name": "note", "value_type": "string"}]});
    ok(&put(&eu, VIEW, &view));
    ok(&put(&eu, "/v1/views/public", &view));
    ok(&write(&eu, VIEW, (1, SECRET), "local"));
    let know_the_rule = |us: &[Node]| {
        eventually("every member knows the rule", PATIENCE, || {
            us.iter().all(|node| node.client().get("/v1/views/public").unwrap().status == 200)
        });
    };
    know_the_rule(&us);
    let acknowledges = |us: &[Node], id: i64| {
        eventually("a majority acknowledges a write", PATIENCE, || {
            us.iter().any(|node| write(node, "/v1/views/public", (id, "public"), "quorum").status == 200)
        });
        for node in us {
            eventually("the member has the row", PATIENCE, || {
                let answer = read(node, "default", "public", id);
                answer.status == 200 && note(&answer) == "public"
            });
        }
    };
    acknowledges(&us, 1);
    // Another member is elected and recovers the log by calls to the others.
    let leads = |node: &Node| node.status()["role"] == "leader";
    let mut first = 0;
    eventually("a member leads", PATIENCE, || us.iter().position(leads).inspect(|at| first = *at).is_some());
    us[first].stop();
    let others = [(first + 1) % 3, (first + 2) % 3];
    eventually("another member leads", PATIENCE, || others.iter().any(|at| leads(&us[*at])));
    us[first].restart().unwrap();
    know_the_rule(&us);
    acknowledges(&us, 2);
    for node in &mut us {
        node.stop();
    }
    assert!(["a", "b", "c"].iter().all(|name| !contains_secret(&dir.path().join(name))));
}
