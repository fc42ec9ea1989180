//! Reads that wait for tokens that cannot arrive yet, as many as a door allows: others are served, and a client that
//! disconnects frees its place.

use littoral_cluster::accounts;
use littoral_provision::{
    Cluster, Node,
    cluster::{Options, eventually},
};
use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    time::{Duration, Instant},
};

/// The number of requests that a door runs at once.
const WAITING: usize = 2_048;

const DOOR: &str = "[door]\nwaiting_requests_max = 2048\n";

/// How long a rejection may take on a busy machine: a read without an answer by then waits.
const ANSWER_MAX: Duration = Duration::from_secs(5);

/// How long thousands of connections may take to be noticed.
const NOTICE_MAX: Duration = Duration::from_secs(90);

/// A far position in another region's log.
const FAR: &str = "west@5b1c9d0e77a2f410:9000000000";

/// Sends a read that waits for `token`, and does not wait for its answer.
fn send(node: &Node, token: &str) -> TcpStream {
    let body = r#"{"features":["accounts:balance"],"entities":{"account_id":[1]}}"#;
    let mut stream = TcpStream::connect(node.ready.door).unwrap();
    let head = format!(
        "POST /v1/read HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\nlittoral-at-least: {token}\r\n\
         littoral-wait-ms: 30000\r\n\r\n",
        body.len()
    );
    stream.write_all((head + body).as_bytes()).unwrap();
    stream
}

/// Returns what arrives within this time: nothing while the read waits.
fn answer(stream: &mut TcpStream, within: Duration) -> String {
    stream.set_read_timeout(Some(within)).unwrap();
    let mut bytes = [0; 4_096];
    let read = stream.read(&mut bytes).unwrap_or(0);
    String::from_utf8_lossy(&bytes[..read]).into_owned()
}

fn plain_reads_go_on(node: &Node) {
    let mut client = node.client();
    let begun = Instant::now();
    for _ in 0..100 {
        let read = accounts::read(&mut client, &[1], &[]).unwrap();
        assert_eq!(read.status, 200, "{}", read.text());
    }
    assert!(begun.elapsed() < Duration::from_secs(20), "the waiting reads' timeout");
    assert!(node.client().get("/v1/status").unwrap().status == 200);
}

fn as_many_as_there_are_places_wait(node: &Node, token: &str) {
    let mut waiting: Vec<_> = (0..WAITING).map(|_| send(node, token)).collect();
    eventually("all places are in use", NOTICE_MAX, || {
        // On a busy machine the first reads time out before the last are sent.
        waiting.extend((0..WAITING / 8).map(|_| send(node, token)));
        answer(&mut send(node, token), ANSWER_MAX).contains("littoral-error: too_many_waiting")
    });
    plain_reads_go_on(node);
    let waits = |stream: &mut TcpStream| answer(stream, Duration::from_millis(1)).is_empty();
    assert!(waiting.iter_mut().any(waits), "some still wait");
    // A client that disconnects does not wait.
    drop(waiting);
    eventually("places are free", NOTICE_MAX, || answer(&mut send(node, token), ANSWER_MAX).is_empty());
    plain_reads_go_on(node);
}

#[test]
fn reads_that_wait_at_an_edge_do_not_block_others() {
    let options = Options { edge_configs: vec![Some(DOOR.to_owned())], ..Options::default() };
    let mut cluster = Cluster::start_with(&options).unwrap();
    accounts::make_view(&cluster.leader);
    let token = accounts::must_write(&mut cluster.leader.client(), &[accounts::row(1, 1)]);
    accounts::catch_up(&cluster);
    // Without a leader it is unknown whether the token can be reached.
    cluster.leader.kill();
    let (log, _) = token.rsplit_once(':').unwrap();
    as_many_as_there_are_places_wait(&cluster.edges[0], &format!("{log}:9000000000"));
}

#[test]
fn reads_that_wait_at_a_leader_do_not_block_others() {
    let own = format!("{DOOR}[leader]\nregion = \"east\"\n");
    let options = Options { leader_config: Some(own.clone()), ..Options::default() };
    let mut cluster = Cluster::start_with(&options).unwrap();
    accounts::make_view(&cluster.leader);
    accounts::must_write(&mut cluster.leader.client(), &[accounts::row(1, 1)]);
    // Without a connection to its leader, another region's records are unknown.
    let west = "[[regions]]\nname = \"west\"\npeers = [\"127.0.0.1:1\"]\n";
    cluster.leader.plan_mut().config = Some(format!("role = \"leader\"\ncatalogue_home = \"east\"\n{own}{west}"));
    cluster.leader.restart().unwrap();
    as_many_as_there_are_places_wait(&cluster.leader, FAR);
}
