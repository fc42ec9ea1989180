//! Compressed feeds between real processes: replicas are equal, the bytes are counted, and damage is detected.

use littoral_cluster::{accounts, equality};
use littoral_provision::{Cluster, Node, Plan, cluster::Options, cluster::eventually};
use serde_json::Value;
use std::{
    io::{Read as _, Write as _},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    thread,
    time::Duration,
};

const WAIT_MAX: Duration = Duration::from_secs(60);
const ROWS: i64 = 4_000;

/// Rows with a text that does not repeat.
fn rows(version: i64) -> Vec<Value> {
    let mut random = fastrand::Rng::with_seed(version as u64);
    let mut row = |id| accounts::row_with(id, version, &(0..40).map(|_| random.alphanumeric()).collect::<String>());
    (0..ROWS).map(&mut row).collect()
}

fn write_all(node: &Node, version: i64) {
    let mut client = node.client();
    rows(version).chunks(500).for_each(|rows| drop(accounts::must_write(&mut client, rows)));
}

fn metric(node: &Node, line_start: &str) -> f64 {
    let text = node.client().get("/metrics").unwrap().text();
    let line = text.lines().find(|line| line.starts_with(line_start));
    line.and_then(|line| line.rsplit(' ').next()).and_then(|value| value.parse().ok()).unwrap_or(0.0)
}

/// Returns the bytes that a leader has sent to a region, and what they were before compression.
fn sent(leader: &Node, region: &str) -> (f64, f64) {
    let of = |name: &str| metric(leader, &format!("littoral_peer_{name}_bytes_total{{region=\"{region}\"}}"));
    (of("sent"), of("uncompressed"))
}

#[test]
fn an_edge_in_another_region_receives_a_compressed_feed_and_holds_the_same_rows() {
    let edge = |region: &str| Some(format!("[edge]\nregion = \"{region}\"\n"));
    let options = Options {
        leader_config: Some("[leader]\nregion = \"east\"\n".to_owned()),
        edge_configs: vec![edge("east")],
        ..Options::default()
    };
    let mut cluster = Cluster::start_with(&options).unwrap();
    accounts::make_view(&cluster.leader);
    write_all(&cluster.leader, 1);
    // Its rows come with a snapshot, and then change record by record.
    let far = cluster.add_edge(edge("west").as_deref(), None).unwrap();
    let held = cluster.add_edge(Some("protocol_version = 4\n[edge]\nregion = \"north\"\n"), None).unwrap();
    accounts::catch_up(&cluster);
    assert_eq!(metric(&cluster.leader, "littoral_feed_subscribers_compressed"), 1.0);
    let (snapshot, uncompressed) = sent(&cluster.leader, "west");
    assert!(snapshot * 1.2 < uncompressed, "{snapshot} bytes for {uncompressed}");
    write_all(&cluster.leader, 2);
    accounts::catch_up(&cluster);
    let (all, all_uncompressed) = sent(&cluster.leader, "west");
    let (records, uncompressed) = (all - snapshot, all_uncompressed - uncompressed);
    assert!(records > 100_000.0 && records * 1.2 < uncompressed, "{records} bytes for {uncompressed}");
    let (near, near_uncompressed) = sent(&cluster.leader, "east");
    assert!(near > uncompressed && near == near_uncompressed, "{near} and {near_uncompressed} inside the region");
    let (held_bytes, held_uncompressed) = sent(&cluster.leader, "north");
    assert!(held_bytes > all && held_bytes == held_uncompressed, "{held_bytes} and {held_uncompressed} in version 4");
    for edge in [0, far, held] {
        equality::assert_equal(&cluster.leader, &cluster.edges[edge]);
    }
    // What it counts as received is what was sent over the network.
    let received = metric(&cluster.edges[far], "littoral_peer_received_bytes_total");
    assert!(received < all * 1.1, "received {received}, sent {all}");
}

/// Forwards connections to `target`. In each of the first ones it changes one byte of what the target sends.
fn damaging(target: SocketAddr, changed: &'static [usize]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for (number, client) in listener.incoming().flatten().enumerate() {
            let Ok(server) = TcpStream::connect(target) else { continue };
            let ends = || (client.try_clone().unwrap(), server.try_clone().unwrap());
            let ((up_from, up_to), (down_to, down_from)) = (ends(), ends());
            let change = changed.get(number).copied();
            thread::spawn(move || forward(up_from, up_to, None));
            thread::spawn(move || forward(down_from, down_to, change));
        }
    });
    address
}

fn forward(mut from: TcpStream, mut to: TcpStream, change: Option<usize>) {
    let (mut buffer, mut before) = (vec![0; 64 << 10], 0);
    while let Ok(len @ 1..) = from.read(&mut buffer) {
        if let Some(byte) = change.and_then(|at| buffer[..len].get_mut(at.checked_sub(before)?)) {
            *byte ^= 0x10;
        }
        before += len;
        if to.write_all(&buffer[..len]).is_err() {
            break;
        }
    }
    let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
}

#[test]
fn an_edge_detects_damaged_compressed_bytes_reconnects_and_heals() {
    let dir = tempfile::Builder::new().prefix("littoral-test-").tempdir().unwrap();
    let leader = Plan::leader(&dir.path().join("leader")).with_config("[feed]\ncompression = \"always\"\n");
    let leader = Node::start(leader).unwrap();
    accounts::make_view(&leader);
    write_all(&leader, 1);
    // At different places of the snapshot. Nearly all bytes of the connection are compressed rows.
    let way = damaging(leader.ready.peer.unwrap(), &[3_000, 20_011, 70_023, 110_047]);
    let edge = Plan::edge("edge", &dir.path().join("edge"), way).with_config("[edge]\nreconnect_ms_max = 200\n");
    let edge = Node::start(edge).unwrap();
    let has_all = || edge.status()["views"][0]["rows"].as_u64() == Some(ROWS as u64);
    eventually("the edge has every row", WAIT_MAX, has_all);
    assert!(metric(&edge, "littoral_peer_malformed_total") >= 1.0, "the damage is counted");
    assert!(metric(&edge, "littoral_edge_feed_ended_total") >= 4.0, "every damaged stream ends");
    assert_eq!(metric(&leader, "littoral_feed_subscribers_compressed"), 1.0);
    equality::assert_equal(&leader, &edge);
}
