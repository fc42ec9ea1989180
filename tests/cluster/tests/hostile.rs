//! Careless and hostile clients and modules, against a real edge: clear rejections, bounded memory, and the next
//! request is served.

use littoral_cluster::accounts;
use littoral_provision::{
    Cluster, Node,
    cluster::{Options, eventually},
    http::{Answer, Client, read_answer},
    modules,
};
use serde_json::{Value, json};
use std::{
    fmt::Write as _,
    io::{BufReader, Write as _},
    net::{Shutdown, TcpStream},
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    time::Duration,
};

/// How much memory all of it together may add to the edge.
const GROWTH_MAX: u64 = 400 << 20;

/// A door that tolerates slow clients for longer than any request of a test may take, and modules that may compute so
/// long that a read which waited for one would be noticed.
const PATIENT: &str = "[door]\nheader_timeout_ms = 600000\nbody_timeout_ms = 600000\n[modules]\ndeadline_ms = 500\n";

const FEAST: &str = "/get-online-features";
const NATIVE: &str = "/v1/read";

fn start() -> Cluster {
    let options = Options { edge_configs: vec![Some(PATIENT.to_owned())], ..Options::default() };
    let cluster = Cluster::start_with(&options).unwrap();
    accounts::make_view(&cluster.leader);
    let rows: Vec<_> = (0..1_000).map(|id| accounts::row(id, id + 1)).collect();
    accounts::must_write(&mut cluster.leader.client(), &rows);
    accounts::catch_up(&cluster);
    cluster
}

fn body(features: Value, entities: Value) -> Vec<u8> {
    json!({ "features": features, "entities": entities }).to_string().into_bytes()
}

#[test]
fn careless_and_hostile_requests_are_rejected_and_the_next_is_served() {
    let cluster = start();
    let edge = &cluster.edges[0];
    let before = edge.resident_bytes();
    let balance = json!(["accounts:balance"]);
    let deep = format!("{{\"features\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("malformed JSON", b"{\"features\": [".to_vec()),
        ("no JSON", b"hello".to_vec()),
        ("invalid UTF-8", b"{\"features\":[\"\xff\xfe\"],\"entities\":{}}".to_vec()),
        ("deep nesting", deep.into_bytes()),
        ("unknown view", body(json!(["nope:balance"]), json!({ "account_id": [1] }))),
        ("unknown feature", body(json!(["accounts:nope"]), json!({ "account_id": [1] }))),
        ("wrong type", body(balance.clone(), json!({ "account_id": ["abc"] }))),
        ("a null key", body(balance.clone(), json!({ "account_id": [null] }))),
        ("unequal columns", body(balance.clone(), json!({ "account_id": [1, 2], "other": [1] }))),
        ("no entities", body(balance.clone(), json!({}))),
        ("a number too large", b"{\"features\":[\"accounts:balance\"],\"entities\":{\"account_id\":[1e999]}}".to_vec()),
    ];
    for (what, bytes) in &cases {
        for path in [FEAST, NATIVE] {
            let answer = edge.client().send("POST", path, &[], bytes).unwrap();
            assert!((400..500).contains(&answer.status), "{what} at {path}: {} {}", answer.status, answer.text());
            assert_shape(path, what, &answer);
            assert_serves(edge);
        }
    }
    let many: Vec<_> = (0..10_000).collect();
    let answer = edge.client().send("POST", FEAST, &[], &body(balance, json!({ "account_id": many }))).unwrap().ok();
    assert_eq!(answer.json()["results"][1]["values"].as_array().map(Vec::len), Some(10_000));
    for path in [FEAST, NATIVE] {
        a_huge_body(edge, path);
    }
    let grown = edge.resident_bytes().saturating_sub(before);
    assert!(grown < GROWTH_MAX, "the edge grew by {} MiB", grown >> 20);
}

/// Checks for Feast's format at Feast's door, and problem details at the native one.
fn assert_shape(path: &str, what: &str, answer: &Answer) {
    let json = answer.json();
    if path == NATIVE {
        assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{what}: {}", answer.text());
        assert!(json["code"].is_string() && json["detail"].is_string(), "{what}: {}", answer.text());
    } else {
        assert!(json.is_string() || !json["detail"].is_null(), "{what}: {}", answer.text());
    }
}

#[track_caller]
fn assert_serves(edge: &Node) {
    assert_eq!(accounts::must_read(&mut edge.client(), &[7]), [Some(8)]);
}

/// A hundred megabytes are rejected before they are read: by their announced length, or as they arrive.
fn a_huge_body(edge: &Node, path: &str) {
    let mut stream = TcpStream::connect(edge.ready.door).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let length = 100 << 20;
    write!(stream, "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {length}\r\n\r\n").unwrap();
    let chunk = vec![b' '; 1 << 20];
    // The server may close while we still send.
    let _cut = (0..100).try_for_each(|_| stream.write_all(&chunk));
    if let Ok((answer, _)) = read_answer(&mut BufReader::new(stream), false) {
        assert_eq!(answer.status, 413, "{}", answer.text());
    }
    assert_serves(edge);
}

#[test]
fn slow_silent_and_half_closed_clients_delay_no_other() {
    let cluster = start();
    let edge = &cluster.edges[0];
    let before = edge.resident_bytes();
    let mut held = Vec::new();
    for client in 0..200 {
        let mut stream = TcpStream::connect(edge.ready.door).unwrap();
        match client % 4 {
            // Sends nothing.
            0 => {}
            // A head that does not end, and a body that never arrives.
            1 => stream.write_all(b"POST /v1/read HTTP/1.1\r\nhost: localhost\r\nx-slow: ").unwrap(),
            2 => {
                stream.write_all(b"POST /v1/read HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1000\r\n\r\n{").unwrap()
            }
            _ => {
                let garbage = (0..64u8).map(|byte| byte.wrapping_mul(37)).collect::<Vec<_>>();
                stream.write_all(&garbage).unwrap();
            }
        }
        held.push(stream);
    }
    // A request that waited for one of them would exceed its own timeout.
    (0..20).for_each(|_| assert_serves(edge));

    // Half-closed after a complete request: the answer still arrives.
    let mut stream = TcpStream::connect(edge.ready.door).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let body = String::from_utf8(body(json!(["accounts:balance"]), json!({ "account_id": [7] }))).unwrap();
    write!(stream, "POST {NATIVE} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\n\r\n{body}", body.len())
        .unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    if let Ok((answer, _)) = read_answer(&mut BufReader::new(stream), false) {
        assert_eq!(accounts::balances(&answer), [Some(8)], "{}", answer.text());
    }
    assert_serves(edge);
    drop(held);
    let grown = edge.resident_bytes().saturating_sub(before);
    assert!(grown < GROWTH_MAX, "the edge grew by {} MiB", grown >> 20);
}

#[test]
fn hostile_modules_are_contained_and_other_reads_are_unaffected() {
    let mut cluster = start();
    let airports = json!({
        "entities": [{ "name": "airport", "join_key": "airport", "value_type": "string" }],
        "features": [{ "name": "mean_delay_24h", "value_type": "float" }],
    });
    cluster.leader.client().put("/v1/views/airport_hourly", &airports).unwrap().ok();
    invalid_modules_are_rejected(&cluster.leader);

    let component = modules::build("misbehaving/deeds").unwrap_or_else(|missing| panic!("{missing}"));
    let put = cluster.leader.client().with_timeout(Duration::from_secs(120)).send(
        "PUT",
        "/v1/modules/deeds?version=1.0.0",
        &[],
        &component,
    );
    put.unwrap().ok();
    let edge = &cluster.edges[0];
    let call = |deed: &str, n: i64| {
        let body = body(json!(["deeds:out"]), json!({ "account_id": [1], "deed": [deed], "n": [n] }));
        edge.client().send("POST", NATIVE, &[], &body).unwrap()
    };
    eventually("the module is ready at the edge", Duration::from_secs(60), || call("behave", 7).status == 200);
    let before = edge.resident_bytes();

    let (stop, reads) = (AtomicBool::new(false), AtomicUsize::new(0));
    let failures = std::thread::scope(|scope| {
        let reader = scope.spawn(|| read_until(&stop, &reads, edge));
        let mut failures = String::new();
        for round in 0..3 {
            for (deed, n, code) in [
                ("loop", 0, "module_timeout"),
                // Memory or time, whichever limit a busy machine reaches first; the sandbox's own tests distinguish
                // them.
                ("memory", 0, ""),
                ("stack", 0, "module_trap"),
                ("panic", 0, "module_trap"),
                ("output", 50_000_000, ""),
                ("two columns", 0, "module_wrong_shape"),
            ] {
                let before = reads.load(Ordering::Relaxed);
                let answer = call(deed, n);
                // One read may have started before; another started and ended while the module computed.
                if deed == "loop" && reads.load(Ordering::Relaxed) < before + 2 {
                    writeln!(failures, "round {round}: other reads wait while '{deed}' computes").unwrap();
                }
                let got = answer.json()["code"].as_str().unwrap_or_default().to_owned();
                if answer.status < 400 || (!code.is_empty() && got != code) {
                    writeln!(failures, "round {round}, {deed}: {} {}", answer.status, answer.text()).unwrap();
                }
                if call("behave", 7).status != 200 {
                    writeln!(failures, "round {round}: after '{deed}' the module does not work any more").unwrap();
                }
            }
        }
        stop.store(true, Ordering::Relaxed);
        reader.join().unwrap();
        failures
    });
    assert!(failures.is_empty(), "{failures}");
    let grown = edge.resident_bytes().saturating_sub(before);
    assert!(grown < GROWTH_MAX, "the edge grew by {} MiB", grown >> 20);
    assert!(cluster.edges[0].process().is_running());
}

fn invalid_modules_are_rejected(leader: &Node) {
    let core_module = b"\0asm\x01\0\0\0".as_slice();
    let empty_component = b"\0asm\x0d\0\x01\0".as_slice();
    for (what, bytes) in
        [("no wasm", b"hello".as_slice()), ("a core module", core_module), ("another world", empty_component)]
    {
        let answer = leader.client().send("PUT", "/v1/modules/wrong?version=1.0.0", &[], bytes).unwrap();
        assert!((400..500).contains(&answer.status), "{what}: {} {}", answer.status, answer.text());
        assert_shape(NATIVE, what, &answer);
    }
}

/// Reads until `stop` is set, and counts the answers.
fn read_until(stop: &AtomicBool, reads: &AtomicUsize, edge: &Node) {
    let mut client: Client = edge.client();
    while !stop.load(Ordering::Relaxed) {
        assert_eq!(accounts::must_read(&mut client, &[7]), [Some(8)]);
        reads.fetch_add(1, Ordering::Relaxed);
        std::thread::sleep(Duration::from_millis(1));
    }
}
