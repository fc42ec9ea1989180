//! Clients that nobody knows, at the door of a real node: each reaches its bound, others are served, and metrics and
//! the log show it.

use littoral_cluster::accounts::CATCH_UP_MAX;
use littoral_provision::{Node, Plan, cluster::eventually, http::Client};
use std::{
    fs,
    io::{Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    thread::sleep,
    time::Duration,
};
use tempfile::TempDir;
use tokio::{net::TcpSocket, runtime::Builder};

/// The connections of the door, and those of one address.
const CONNECTIONS: usize = 60;
const PER_ADDRESS: usize = 20;

struct Target {
    node: Node,
    dir: TempDir,
}

impl Target {
    /// Starts a node that does not trust its clients: it does not listen on loopback only.
    fn start(header_timeout_ms: u32) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let config = format!(
            "[door]\nconnections_max = {CONNECTIONS}\nconnections_per_address_max = {PER_ADDRESS}\nheader_timeout_ms = {header_timeout_ms}\n\
             body_timeout_ms = 3000\nwrite_timeout_ms = 1000\nrequests_max = 1000\n"
        );
        let plan = Plan::leader(&dir.path().join("leader")).with_config(&config);
        let door = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
        let node = Node::start(Plan { door, flags: vec!["--insecure".into()], ..plan }).unwrap();
        Self { node, dir }
    }

    /// Connects from this address.
    fn connect(&self, from: [u8; 4]) -> TcpStream {
        let door = SocketAddr::from(([127, 0, 0, 1], self.node.ready.door.port()));
        let runtime = Builder::new_current_thread().enable_io().build().unwrap();
        let stream = runtime.block_on(async {
            let socket = TcpSocket::new_v4().unwrap();
            socket.bind((from, 0).into()).unwrap();
            socket.connect(door).await.unwrap().into_std().unwrap()
        });
        stream.set_nonblocking(false).unwrap();
        stream.set_read_timeout(Some(CATCH_UP_MAX)).unwrap();
        stream.set_write_timeout(Some(CATCH_UP_MAX)).unwrap();
        stream
    }

    /// Sends these bytes, and waits until the node closes the connection. Returns what it answered.
    fn exchange(&self, bytes: &[u8]) -> String {
        let mut stream = self.connect([127, 0, 0, 2]);
        // Both fail if the node resets the connection: what was received before counts.
        let _ = stream.write_all(bytes);
        let mut answer = Vec::new();
        match stream.read_to_end(&mut answer) {
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => panic!("the connection is not closed"),
            _ => String::from_utf8_lossy(&answer).into_owned(),
        }
    }

    fn client(&self) -> Client {
        self.node.client()
    }

    /// Returns the value of a series.
    fn metric(&self, series: &str) -> f64 {
        let text = loop {
            // The node may find this client silent, too, if the machine is slow.
            match self.client().get("/metrics") {
                Ok(answer) if answer.status == 200 => break answer.text(),
                _ => sleep(Duration::from_millis(10)),
            }
        };
        let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.map_or(0.0, |value| value.parse().unwrap())
    }

    #[track_caller]
    fn counts(&self, series: &str) {
        eventually(series, CATCH_UP_MAX, || self.metric(series) >= 1.0);
    }
}

#[test]
fn every_hostile_client_is_counted_by_what_it_did() {
    let target = Target::start(3_000);
    for (sent, reason) in [
        (&b""[..], "silent"),
        (b"GET /health HTTP/1.1\r\nhost: localhost\r\nx-slow: ", "silent"),
        (b"GET /health HTTP/1.1\r\nhost : localhost\r\n\r\n", "malformed"),
        (b"GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n", "idle"),
    ] {
        let series = format!("littoral_http_connections_closed_total{{reason=\"{reason}\"}}");
        let before = target.metric(&series);
        target.exchange(sent);
        eventually(&series, CATCH_UP_MAX, || target.metric(&series) > before);
    }
    let slow = "POST /v1/read HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1000\r\n\r\n{";
    assert!(target.exchange(slow.as_bytes()).starts_with("HTTP/1.1 408 "));
    target.counts("littoral_door_errors_total{code=\"body_timeout\"}");

    let mut unread = target.connect([127, 0, 0, 2]);
    let requests = "GET /v1/openapi.json HTTP/1.1\r\nhost: localhost\r\n\r\n".repeat(1_000);
    while unread.write_all(requests.as_bytes()).is_ok() {}
    target.counts("littoral_http_connections_closed_total{reason=\"unread\"}");

    // HTTP/2: the preface, settings, and streams that are reset at once.
    let mut flood = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec();
    for stream in (1..2_000_u32).step_by(2).map(u32::to_be_bytes) {
        let head = b"\x82\x86\x04\x07/health\x01\x09localhost";
        flood.extend(
            [&[0, 0, head.len() as u8, 1, 5], &stream[..], head, &[0, 0, 4, 3, 0], &stream, &[0, 0, 0, 8]].concat(),
        );
    }
    target.exchange(&flood);
    target.counts("littoral_http_connections_closed_total{reason=\"flood\"}");
}

#[test]
fn idle_connections_of_many_addresses_silence_no_vital_endpoint_and_are_visible() {
    let target = Target::start(600_000);
    let mut good = target.connect([127, 0, 0, 250]);
    let request = b"GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n";
    let mut answer = [0; 4_096];
    let mut flood = Vec::new();
    for count in 0..10 * CONNECTIONS {
        let mut stream = target.connect([127, 0, 1, (count / 100) as u8]);
        let sent: &[u8] = if count % 2 == 0 { b"" } else { b"GET /health HTTP/1.1\r\nx-slow: " };
        // Fails if it has given way already.
        let _ = stream.write_all(sent);
        flood.push(stream);
        if count % 100 == 0 {
            good.write_all(request).unwrap();
            let read = good.read(&mut answer).unwrap();
            assert!(answer[..read].starts_with(b"HTTP/1.1 200"), "a client that uses its connection keeps it");
        }
    }
    for path in ["/health", "/v1/ready", "/v1/status", "/metrics"] {
        assert_eq!(target.client().get(path).unwrap().status, 200, "{path}");
    }
    target.counts("littoral_http_connections_gave_way_total{bound=\"address\"}");
    target.counts("littoral_http_connections_gave_way_total{bound=\"places\"}");
    eventually("the connections that gave way are closed", CATCH_UP_MAX, || {
        target.metric("littoral_http_connections") <= CONNECTIONS as f64
    });
    let log = fs::read_to_string(target.dir.path().join("leader.log")).unwrap();
    let lines = log.lines().filter(|line| line.contains("connections reached a bound")).count();
    assert!((1..10).contains(&lines), "{lines} lines for hundreds of connections: {log}");
    assert!(log.contains("127.0.1."), "the log names the client that gave way: {log}");
}
