//! Tests how a node handles its host and its clients: few file descriptors, subscribers that never read, signals, a
//! data directory that is shared or removed, web pages.

use http_body_util::{BodyExt as _, combinators::BoxBody};
use hyper::{body::Bytes, client::conn::http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use littoral_cluster::accounts;
use littoral_protocol::frame::{SubscriberHello, Upstream, VERSION_MAX, VERSION_MIN, Views};
use littoral_provision::{
    Cluster, Node, Plan, Router,
    cluster::{Options, eventually},
    http::Client,
};
use rustix::process::Signal;
use serde_json::json;
use std::{
    fs,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    time::Duration,
};

/// Long enough for everything that should happen soon, on a busy machine.
const SOON: Duration = Duration::from_secs(30);

/// A launcher that sets limits of the shell.
fn limited(limits: &str) -> Vec<std::ffi::OsString> {
    ["sh", "-c", &format!("{limits}; exec \"$0\" \"$@\"")].map(Into::into).to_vec()
}

fn open_files(node: &mut Node) -> (String, String) {
    let limits = fs::read_to_string(format!("/proc/{}/limits", node.process().pid())).unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    let mut words = line.split_whitespace().skip(3).map(str::to_owned);
    (words.next().unwrap(), words.next().unwrap())
}

#[test]
fn idle_connections_do_not_stop_durable_writes_however_few_descriptors_there_are() {
    let dir = tempfile::tempdir().unwrap();
    // A segment is a file, and a few rows fill one.
    let config = "[leader]\nsegment_bytes = 65536\nsnapshot_log_bytes = 262144\nretention_bytes_max = 1048576\n\
                  [door]\nconnections_max = 400\n[feed]\nconnections_max = 100\nidle_timeout_ms = 600000\n";
    let plan = Plan::leader(&dir.path().join("leader")).with_config(config);
    let mut leader = Node::start(Plan { launcher: limited("ulimit -Sn 64; ulimit -Hn 764"), ..plan }).unwrap();
    assert_eq!(open_files(&mut leader), ("764".to_owned(), "764".to_owned()), "the soft limit is raised");
    accounts::make_view(&leader);
    let mut writer = leader.client();
    accounts::must_write(&mut writer, &[accounts::row(0, 1)]);
    let (door, peer) = (leader.ready.door, leader.ready.peer.unwrap());
    let idle: Vec<_> =
        (0..450).map(|_| TcpStream::connect(door)).chain((0..150).map(|_| TcpStream::connect(peer))).collect();
    let segments = |dir: &Path| fs::read_dir(dir).unwrap().flatten().map(|entry| entry.file_name()).collect::<Vec<_>>();
    let before = segments(leader.data_dir());
    let note = "n".repeat(8_000);
    for version in 2..202 {
        let rows: Vec<_> = (0..4).map(|id| accounts::row_with(id, version, &note)).collect();
        accounts::must_write(&mut writer, &rows);
    }
    let after = segments(leader.data_dir());
    let created =
        after.iter().filter(|name| name.to_string_lossy().ends_with(".seg") && !before.contains(name)).count();
    assert!(created > 5, "segments were created in the meantime: {after:?}");
    drop(idle);
}

#[test]
fn a_configuration_that_needs_too_much_is_rejected_with_a_value_that_fits() {
    let dir = tempfile::tempdir().unwrap();
    let plan = Plan { launcher: limited("ulimit -n 4096"), ..Plan::leader(&dir.path().join("leader")) };
    let error = Node::start(plan.clone()).unwrap_err().to_string();
    for part in
        ["door.connections_max = 10000 is too large", "4096 file descriptors", "or set door.connections_max to at most"]
    {
        assert!(error.contains(part), "{error}");
    }
    let fits = plan.with_config("[door]\nconnections_max = 2000\n");
    Node::start(fits).unwrap();
}

/// Returns the feed's first message, as an edge without data sends it.
fn hello() -> Bytes {
    encoded(&Upstream::Hello(SubscriberHello {
        version_min: VERSION_MIN,
        version_max: VERSION_MAX,
        subscriber: "reads nothing".to_owned(),
        views: Views::All,
        resume: None,
        holds: None,
        ended: None,
        watermark: Default::default(),
        lineages: littoral_model::lineage::RegionLineages::default(),
        cluster: None,
    }))
}

fn encoded(message: &Upstream) -> Bytes {
    let mut out = littoral_wire::Outgoing::default();
    littoral_wire::feed::push_upstream(&mut out, message).unwrap();
    out.pop().unwrap()
}

/// A subscriber that sends hello and pings, and reads nothing.
async fn never_reads(peer: SocketAddr) -> impl Sized {
    let stream = tokio::net::TcpStream::connect(peer).await.unwrap();
    let (mut sender, connection) = http2::Builder::new(TokioExecutor::new())
        .initial_stream_window_size(65_536)
        .handshake::<_, BoxBody<Bytes, std::convert::Infallible>>(TokioIo::new(stream))
        .await
        .unwrap();
    tokio::spawn(connection);
    let (up, sent) = tokio::sync::mpsc::channel::<Bytes>(4);
    up.send(hello()).await.unwrap();
    let pings = up.clone();
    tokio::spawn(async move {
        for seq in 1.. {
            tokio::time::sleep(Duration::from_secs(1)).await;
            if pings.send(encoded(&Upstream::Ping { seq })).await.is_err() {
                return;
            }
        }
    });
    let sent = std::sync::Mutex::new(sent);
    let body = http_body_util::StreamBody::new(futures_util::stream::poll_fn(move |cx| {
        sent.lock().unwrap().poll_recv(cx).map(|bytes| bytes.map(|bytes| Ok(hyper::body::Frame::data(bytes))))
    }));
    let request = hyper::Request::post("http://leader/peer/v2/feed").body(body.boxed()).unwrap();
    let response = sender.send_request(request).await.unwrap();
    assert_eq!(response.status(), 200);
    (response, up, sender)
}

#[test]
fn subscribers_that_never_read_stay_within_bounds_and_an_edge_follows() {
    const UNREAD: usize = 256;
    const BYTES_MAX: usize = 8 << 20;
    const FRAME: usize = 16 << 10;
    let feed =
        format!("[feed]\nsubscribers_bytes_max = {BYTES_MAX}\nsnapshot_bytes = {FRAME}\nrecords_bytes = {FRAME}\n");
    let options = Options { leader_config: Some(feed), edge_configs: vec![None], ..Options::default() };
    let cluster = Cluster::start_with(&options).unwrap();
    accounts::make_view(&cluster.leader);
    let mut client = cluster.leader.client();
    for view in 0..200 {
        let features: Vec<_> =
            (0..8).map(|n| json!({ "name": format!("feature_{n}"), "value_type": "double" })).collect();
        let entities = json!([{ "name": "account", "join_key": "account_id", "value_type": "int64" }]);
        let view = client.put(&format!("/v1/views/v{view}"), &json!({ "entities": entities, "features": features }));
        assert_eq!(view.unwrap().status, 200);
    }
    let note = "n".repeat(1_000);
    for first in (0..5_000).step_by(1_000) {
        let rows: Vec<_> = (first..first + 1_000).map(|id| accounts::row_with(id, 1, &note)).collect();
        accounts::must_write(&mut client, &rows);
    }
    accounts::catch_up(&cluster);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().worker_threads(2).build().unwrap();
    let peer = cluster.leader.ready.peer.unwrap();
    let unread: Vec<_> = runtime.block_on(async {
        let mut all = Vec::new();
        for _ in 0..UNREAD {
            all.push(never_reads(peer).await);
        }
        all
    });
    let (mut edge, mut most) = (cluster.edges[0].client(), 0.0_f64);
    let mut probe = cluster.leader.client();
    for version in 2..42 {
        let rows: Vec<_> = (0..100).map(|id| accounts::row_with(id, version, &note)).collect();
        let token = accounts::must_write(&mut client, &rows);
        let fresh = [("littoral-at-least", token.as_str()), ("littoral-wait-ms", "10000")];
        let read = accounts::read(&mut edge, &[7], &fresh).unwrap().ok();
        assert_eq!(accounts::balances(&read), [Some(version)]);
        most = most.max(metric(&mut probe, "littoral_feed_waiting_bytes"));
    }
    let bound = BYTES_MAX + (UNREAD + 1) * (FRAME + 8_192);
    assert!(most > 0.0 && most <= bound as f64, "{most} bytes wait, but {bound} may");
    assert!(metric(&mut probe, "littoral_feed_subscribers") >= UNREAD as f64, "they were connected throughout");
    drop(unread);
}

fn metric(client: &mut Client, name: &str) -> f64 {
    let text = client.get("/metrics").unwrap().ok().text();
    let line = text.lines().find(|line| line.starts_with(name) && !line.starts_with('#')).unwrap_or("0 0").to_owned();
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

#[test]
fn other_signals_are_logged_and_ignored_by_every_role() {
    let mut cluster = Cluster::start(1).unwrap();
    accounts::make_view(&cluster.leader);
    let log = cluster.dir().join("edge-1.log");
    for node in [&cluster.leader, &cluster.edges[0]] {
        for signal in [Signal::HUP, Signal::USR1, Signal::USR2, Signal::ALARM, Signal::IO] {
            node.signal(signal).unwrap();
            node.client().get("/health").unwrap().ok();
        }
    }
    eventually("the log names them", SOON, || {
        let text = fs::read_to_string(&log).unwrap_or_default();
        ["SIGHUP", "SIGUSR1", "SIGUSR2", "SIGALRM", "SIGIO"].iter().all(|name| text.contains(name))
    });
    assert!(cluster.edges[0].stop().unwrap().success(), "it still stops in an orderly way");
}

/// The formula of the README, section "Sizing a leader".
#[test]
fn a_leader_uses_the_memory_that_the_guide_computes() {
    const MIB: u64 = 1 << 20;
    /// Bytes of a row of [`accounts`]: its key, its balance, and a note of 40 letters.
    const VALUES: u64 = 8 + 8 + 40 + 4;
    let dir = tempfile::tempdir().unwrap();
    let plan = Plan::leader(&dir.path().join("leader")).with_config("[leader]\ntail_cache_bytes = 1048576\n");
    let leader = Node::start(plan).unwrap();
    accounts::make_view(&leader);
    let (mut client, note) = (leader.client(), "n".repeat(40));
    let mut write = |ids: std::ops::Range<i64>| {
        for first in ids.step_by(2_000) {
            let rows: Vec<_> = (first..first + 2_000).map(|id| accounts::row_with(id, 1, &note)).collect();
            accounts::must_write(&mut client, &rows);
        }
        leader.resident_bytes()
    };
    let some = write(0..100_000);
    let more = write(100_000..500_000);
    let each = (more - some) / 400_000;
    assert!((VALUES..=VALUES + 200).contains(&each), "{each} bytes of memory per row");
    assert!(more < 150 * MIB + 500_000 * (VALUES + 200), "{} MiB", more / MIB);
    eventually("the gauge counts the rows", SOON, || {
        let counted = metric(&mut leader.client(), "littoral_leader_rows_bytes") / 5e5;
        (VALUES as f64..(VALUES + 200) as f64).contains(&counted)
    });
}

#[test]
fn sighup_applies_bounds_and_the_log_level_and_names_what_needs_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let plan = Plan::leader(&dir.path().join("leader")).with_config("[door]\nread_rows_max = 2\n");
    let file = dir.path().join(format!("{}.toml", plan.name));
    let log = dir.path().join(format!("{}.log", plan.name));
    let logged = |what: &str| {
        let is_logged = || fs::read_to_string(&log).unwrap_or_default().contains(what);
        eventually(what, SOON, is_logged);
    };
    let leader = Node::start(plan).unwrap();
    accounts::make_view(&leader);
    let mut client = leader.client();
    let write = |client: &mut Client| accounts::write(client, &[accounts::row(1, 1)]).unwrap();
    let read = |client: &mut Client| accounts::read(client, &[1, 2, 3], &[]).unwrap();
    assert_eq!((write(&mut client).status, read(&mut client).status), (200, 413));

    fs::write(&file, "role = \"leader\"\n[door]\nread_only = true\nconnections_max = 7\n[logging]\nlevel = \"warn\"\n")
        .unwrap();
    leader.signal(Signal::HUP).unwrap();
    eventually("writes are rejected", SOON, || write(&mut client).status == 403);
    assert_eq!(read(&mut client).status, 200, "read_rows_max has its default again");
    logged("need a restart keys=\"door.connections_max\"");

    fs::write(&file, "role = \"leader\"\n[door]\nread_only = 3\n").unwrap();
    leader.signal(Signal::HUP).unwrap();
    logged("the configuration is invalid");
    assert!(!fs::read_to_string(&log).unwrap().contains("was read again"), "the level applies at once");
    assert_eq!(write(&mut client).status, 403, "the running configuration stays");

    fs::write(&file, "role = \"leader\"\n").unwrap();
    leader.signal(Signal::HUP).unwrap();
    eventually("writes are accepted", SOON, || write(&mut client).status == 200);
    let id = [("x-request-id", "of-an-operator")];
    client.send("DELETE", "/v1/views/no_such_view", &id, b"").unwrap();
    logged("request=of-an-operator");
}

#[test]
fn sighup_applies_the_bounds_of_the_peer_listener() {
    let options = Options { leader_config: Some(String::new()), ..Options::default() };
    let mut cluster = Cluster::start_with(&options).unwrap();
    let first = cluster.add_edge(None, None).unwrap();
    accounts::make_view(&cluster.leader);
    eventually("the first edge is ready", SOON, || cluster.edges[first].is_ready());
    let file = cluster.leader.data_dir().with_file_name("leader.toml");
    let configure = |leader: &Node, text: &str| {
        fs::write(&file, format!("role = \"leader\"\n{text}")).unwrap();
        leader.signal(Signal::HUP).unwrap();
    };
    let log = file.with_extension("log");
    let logged = |what: &str| {
        eventually(what, SOON, || fs::read_to_string(&log).unwrap_or_default().contains(what));
    };
    configure(&cluster.leader, "[feed]\nsubscribers_max = 1\ncalls_in_flight_max = 7\n");
    logged("need a restart keys=\"feed.calls_in_flight_max\"");
    logged("applied=\"feed.subscribers_max\"");
    let second = cluster.add_edge(None, None).unwrap();
    let rejected = "littoral_feed_rejected_total{reason=\"subscribers\"}";
    eventually("the second edge is rejected", SOON, || metric(&mut cluster.leader.client(), rejected) > 0.0);
    assert!(!cluster.edges[second].is_ready() && cluster.edges[first].is_ready());
    configure(&cluster.leader, "");
    eventually("the second edge is ready", SOON, || cluster.edges[second].is_ready());
}

#[test]
fn sighup_applies_the_bounds_of_a_router() {
    let dir = tempfile::tempdir().unwrap();
    let topology = "role = \"topology\"\nname = \"test\"\npattern = \"active_active\"\n[[regions]]\nname = \"here\"\n\
                    latitude = 39.0\nlongitude = -77.0\nleader = \"127.0.0.1:9\"\n\
                    edges = [{ name = \"e\", door = \"127.0.0.2:9\" }]\n";
    let router = Router::start(dir.path(), topology, "", None).unwrap();
    let mut client = router.client();
    let write = |client: &mut Client| client.post("/v1/views/accounts/rows", &json!({ "rows": [] })).unwrap().status;
    assert_eq!(write(&mut client), 503, "no leader runs");
    let configure = |text: &str| {
        fs::write(dir.path().join("router.toml"), format!("role = \"router\"\n{text}")).unwrap();
        router.signal(Signal::HUP).unwrap();
    };
    configure("[router.gateway]\nread_only = true\nidle_ms = 7\n");
    eventually("writes are rejected", SOON, || write(&mut client) == 403);
    eventually("what needs a restart is named", SOON, || {
        let log = fs::read_to_string(dir.path().join("router.log")).unwrap();
        log.contains("need a restart keys=\"router.gateway.idle_ms\"")
    });
    configure("");
    eventually("writes are forwarded again", SOON, || write(&mut client) == 503);
}

fn segments(dir: &Path) -> Vec<PathBuf> {
    let mut all: Vec<_> = fs::read_dir(dir).unwrap().flatten().map(|entry| entry.path()).collect();
    all.retain(|path| path.extension().is_some_and(|extension| extension == "seg"));
    all
}

#[test]
fn removed_log_files_stop_writes_until_they_return() {
    let cluster = Cluster::start(0).unwrap();
    let leader = &cluster.leader;
    accounts::make_view(leader);
    let mut client = leader.client();
    accounts::must_write(&mut client, &[accounts::row(1, 1)]);
    let aside = cluster.dir().join("aside");
    fs::create_dir(&aside).unwrap();
    let moved = segments(leader.data_dir());
    for path in &moved {
        fs::rename(path, aside.join(path.file_name().unwrap())).unwrap();
    }
    eventually("it reports that it cannot write", SOON, || leader.status()["writable"] == json!(false));
    let refused = accounts::write(&mut client, &[accounts::row(1, 2)]).unwrap();
    assert_eq!(refused.status, 503, "{}", refused.text());
    assert!(
        refused.text().contains("files of the log are missing") && refused.text().contains(".seg"),
        "{}",
        refused.text()
    );
    assert_eq!(accounts::must_read(&mut client, &[1]), [Some(1)], "reads continue");
    for path in &moved {
        fs::rename(aside.join(path.file_name().unwrap()), path).unwrap();
    }
    eventually("it writes again", SOON, || leader.status()["writable"] == json!(true));
    accounts::must_write(&mut client, &[accounts::row(1, 3)]);

    // Deleted for good: no further write is acknowledged, even before the next check.
    segments(leader.data_dir()).iter().for_each(|path| fs::remove_file(path).unwrap());
    let refused = accounts::write(&mut client, &[accounts::row(1, 4)]).unwrap();
    assert_eq!(refused.status, 503, "{}", refused.text());
}

#[test]
fn a_removed_snapshot_is_written_again() {
    let options = Options {
        leader_config: Some("[leader]\nsegment_bytes = 65536\nsnapshot_log_bytes = 65536\n".to_owned()),
        ..Options::default()
    };
    let cluster = Cluster::start_with(&options).unwrap();
    accounts::make_view(&cluster.leader);
    let mut client = cluster.leader.client();
    let note = "n".repeat(4_000);
    for version in 1..40 {
        accounts::must_write(&mut client, &[accounts::row_with(1, version, &note)]);
    }
    let snapshots = || {
        let all = fs::read_dir(cluster.leader.data_dir()).unwrap().flatten().map(|entry| entry.path());
        all.filter(|path| path.extension().is_some_and(|extension| extension == "snap")).collect::<Vec<_>>()
    };
    eventually("a snapshot is written", SOON, || !snapshots().is_empty());
    std::thread::sleep(Duration::from_secs(1));
    snapshots().iter().for_each(|path| fs::remove_file(path).unwrap());
    eventually("another one is written", SOON, || !snapshots().is_empty());
}

#[test]
fn two_edges_cannot_share_a_data_directory() {
    let cluster = Cluster::start(1).unwrap();
    let peer = cluster.leader.ready.peer.unwrap();
    let plan = Plan::edge("thief", cluster.edges[0].data_dir(), peer);
    let error = Node::start(plan).unwrap_err().to_string();
    assert!(error.contains("is used by another process"), "{error}");
    eventually("the first edge is ready", SOON, || cluster.edges[0].is_ready());
}

#[test]
fn a_page_in_a_browser_cannot_write_at_any_role() {
    let cluster = Cluster::start(1).unwrap();
    accounts::make_view(&cluster.leader);
    for node in [&cluster.leader, &cluster.edges[0]] {
        for (host, origin) in [("localhost", "origin: http://evil.example\r\n"), ("rebound.example", "")] {
            let body = json!({ "rows": [accounts::row(1, 1)] }).to_string();
            let mut stream = TcpStream::connect(node.ready.door).unwrap();
            write!(
                stream,
                "POST /v1/views/accounts/rows HTTP/1.1\r\nhost: {host}\r\n{origin}content-type: text/plain\r\n\
                 content-length: {}\r\nconnection: close\r\n\r\n{body}",
                body.len()
            )
            .unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            assert!(answer.starts_with("HTTP/1.1 403 ") && answer.contains("littoral-error: "), "{answer}");
        }
    }
    assert_eq!(accounts::must_read(&mut cluster.leader.client(), &[1]), [None]);
}

#[test]
fn status_and_metrics_report_the_build() {
    let cluster = Cluster::start(1).unwrap();
    for node in [&cluster.leader, &cluster.edges[0]] {
        let build = node.status()["build"].as_str().unwrap().to_owned();
        assert!(build.starts_with(env!("CARGO_PKG_VERSION")), "{build}");
        let metrics = node.client().get("/metrics").unwrap().ok().text();
        assert!(metrics.contains(&format!("littoral_build_info{{version=\"{build}\"}} 1")), "{metrics}");
    }
}
