//! Nodes with TLS as separate processes: foreign clients, roles, reload, renewal, and rotation of the root under load.

use littoral_client::{Client, ClientFiles, Config, Demand, Error, Read};
use littoral_cluster::accounts::VIEW;
use littoral_provision::{
    Router, binary,
    cluster::eventually,
    node::{Node, Plan},
};
use serde_json::{Value, json};
use std::{
    fs,
    io::Read as _,
    net::{SocketAddr, TcpStream},
    path::PathBuf,
    process::{Command, Output},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};
use tempfile::TempDir;

const SOON: Duration = Duration::from_secs(60);

/// A certificate authority, and the nodes that it has issued certificates to.
struct Cluster {
    dir: TempDir,
}

impl Cluster {
    fn new() -> Self {
        let cluster = Self { dir: tempfile::tempdir().unwrap() };
        cluster.certs(&["init", &cluster.file("ca"), "--cluster", "prod"]);
        cluster
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn file(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    /// Runs `littoral certs`.
    fn certs(&self, arguments: &[&str]) -> String {
        let output = littoral(&[&["certs"], arguments].concat());
        assert!(output.status.success(), "{}", text(&output.stderr));
        text(&output.stdout)
    }

    /// Issues a certificate, and returns the section `[tls]` that uses it. Each node has its own copy of the roots.
    fn issue(&self, identity: &str) -> String {
        let name = identity.rsplit('/').next().unwrap();
        let (cert, trust) = (self.file(&format!("{name}.pem")), self.file(&format!("{name}.trust.pem")));
        self.certs(&["issue", &self.file("ca"), "--identity", identity, "--out", &cert]);
        fs::copy(self.path("ca/trust.pem"), &trust).unwrap();
        format!("[tls]\ncert = \"{cert}\"\ntrust = \"{trust}\"\nreload_ms = 50\nrenew_check_ms = 200\n")
    }

    fn leader(&self) -> Node {
        let tls = format!("{}ca = \"{}\"\n", self.issue("littoral://prod/local/leader/leader"), self.file("ca"));
        Node::start(Plan::leader(&self.path("leader")).with_config(&tls)).unwrap()
    }

    fn edge(&self, name: &str, leader: &Node) -> Node {
        let tls = self.issue(&format!("littoral://prod/local/edge/{name}"));
        Node::start(Plan::edge(name, &self.path(name), leader.ready.peer.unwrap()).with_config(&tls)).unwrap()
    }

    fn client(&self, node: &Node) -> Client {
        client(node.ready.door.port(), Some(self.path("ca/trust.pem")))
    }

    /// Queries a node's status with curl.
    fn curl(&self, node: &Node, arguments: &[&str]) -> Output {
        self.curl_path(node, "/v1/status", arguments)
    }

    fn curl_path(&self, node: &Node, path: &str, arguments: &[&str]) -> Output {
        let mut command = Command::new("curl");
        command.args(["--silent", "--show-error", "--max-time", "20", "--cacert", &self.file("ca/trust.pem")]);
        command.args(arguments).arg(format!("https://localhost:{}{path}", node.ready.door.port()));
        command.output().expect("curl is installed")
    }

    /// Creates the view.
    fn make_view(&self, leader: &Node) {
        let view = json!({
            "entities": [{ "name": "account", "join_key": "account_id", "value_type": "int64" }],
            "features": [{ "name": "balance", "value_type": "int64" }],
        });
        let put = ["--request", "PUT", "--fail-with-body", "--header", "content-type: application/json", "--data"];
        let output = self.curl_path(leader, &format!("/v1/views/{VIEW}"), &[&put[..], &[&view.to_string()]].concat());
        assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
    }
}

fn client(port: u16, ca: Option<PathBuf>) -> Client {
    let tls = ClientFiles { ca, ..ClientFiles::default() };
    Client::new(&format!("https://127.0.0.1:{port}"), Config { tls, retries_max: 0, ..Config::default() }).unwrap()
}

fn littoral(arguments: &[&str]) -> Output {
    Command::new(binary::littoral()).args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

async fn try_write(client: &Client, id: i64, balance: i64) -> Result<String, Error> {
    let rows = json!({ "view": VIEW, "rows": [{ "key": { "account_id": id }, "values": { "balance": balance } }] });
    let receipt = client.write_rows(&serde_json::from_value(rows).unwrap(), None).await?;
    Ok(receipt.token)
}

async fn write(client: &Client, id: i64, balance: i64) -> String {
    try_write(client, id, balance).await.unwrap()
}

/// Reads a balance that is at least as new as the token.
async fn read(client: &Client, id: i64, token: &str) -> Option<i64> {
    let demand = Demand { at_least: Some(token.to_owned()), wait_ms: Some(10_000), ..Demand::default() };
    let read = Read::features([format!("{VIEW}:balance")]).entity("account_id", [id]).demand(demand);
    client.read(&read).await.unwrap().column("balance").and_then(|column| column.values[0].as_i64())
}

/// Returns the topology of one region.
fn topology(leader: &Node, edge: SocketAddr) -> String {
    format!(
        "role = \"topology\"\nname = \"one\"\npattern = \"active_active\"\n[[regions]]\nname = \"local\"\nrole = \"active\"\nlatitude = 50.0\nlongitude = 8.0\n\
         leader = \"{}\"\nedges = [{{ name = \"e1\", door = \"{}\" }}]\n",
        leader.ready.door, edge
    )
}

/// Returns why a node did not start.
fn start_error(plan: Plan) -> String {
    Node::start(plan).map(|_| ()).unwrap_err().to_string()
}

#[test]
fn foreign_clients_use_http_1_and_http_2_as_negotiated() {
    let cluster = Cluster::new();
    let leader = cluster.leader();
    for (flag, version) in [("--http1.1", "1.1"), ("--http2", "2")] {
        let output =
            cluster.curl(&leader, &[flag, "--output", "/dev/null", "--write-out", "%{http_version} %{http_code}"]);
        assert_eq!(text(&output.stdout), format!("{version} 200"), "{}", text(&output.stderr));
    }
    let status: Value = serde_json::from_slice(&cluster.curl(&leader, &[]).stdout).unwrap();
    assert_eq!((&status["role"], &status["insecure"]), (&"leader".into(), &false.into()));
    // OpenSSL's own client sees the protocol that the door selects.
    for (offered, selected) in [("h2,http/1.1", "h2"), ("http/1.1", "http/1.1")] {
        let output = Command::new("openssl")
            .args([
                "s_client",
                "-brief",
                "-verify_return_error",
                "-alpn",
                offered,
                "-CAfile",
                &cluster.file("ca/trust.pem"),
            ])
            .args(["-connect", &format!("localhost:{}", leader.ready.door.port())])
            .output()
            .expect("openssl is installed");
        let shown = text(&output.stderr);
        assert!(shown.contains("Verification: OK"), "{shown}");
        let alpn = shown.lines().find_map(|line| line.trim().strip_prefix("ALPN protocol: "));
        // Older versions print it only without -brief.
        assert!(alpn.is_none_or(|alpn| alpn == selected), "{shown}");
    }
}

#[test]
fn a_client_that_does_not_trust_the_root_or_speaks_plain_http_gets_the_reason() {
    let cluster = Cluster::new();
    let leader = cluster.leader();
    let url = format!("https://localhost:{}", leader.ready.door.port());
    let output = littoral(&["status", &url]);
    assert_eq!(output.status.code(), Some(3));
    assert!(text(&output.stdout).contains("certificate") || text(&output.stderr).contains("certificate"));
    let output = littoral(&["--ca", &cluster.file("ca/trust.pem"), "status", &url]);
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
    let other = Cluster::new();
    let output = littoral(&["--ca", &other.file("ca/trust.pem"), "status", &url]);
    assert_eq!(output.status.code(), Some(3));
    assert!(leader.client().get("/v1/status").is_err(), "a plain request gets no answer");
}

#[test]
fn a_door_that_requires_certificates_accepts_only_clients_that_have_one() {
    let cluster = Cluster::new();
    let tls = format!("{}require_client_cert = true\n", cluster.issue("littoral://prod/local/leader/leader"));
    let leader = Node::start(Plan::leader(&cluster.path("leader")).with_config(&tls)).unwrap();
    let output = cluster.curl(&leader, &[]);
    assert!(!output.status.success(), "{}", text(&output.stdout));
    cluster.certs(&[
        "issue",
        &cluster.file("ca"),
        "--identity",
        "littoral://prod/local/operator/ops",
        "--out",
        &cluster.file("ops.pem"),
    ]);
    let pem = cluster.file("ops.pem");
    let output = cluster.curl(&leader, &["--cert", &pem, "--key", &pem]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let url = format!("https://localhost:{}", leader.ready.door.port());
    let output = littoral(&["--ca", &cluster.file("ca/trust.pem"), "--cert", &pem, "status", &url]);
    assert!(output.status.success(), "{}", text(&output.stderr));
}

#[test]
fn a_client_that_stops_in_the_middle_of_its_handshake_is_disconnected_and_counted() {
    let cluster = Cluster::new();
    let config = format!("{}[door]\nheader_timeout_ms = 2000\n", cluster.issue("littoral://prod/local/leader/leader"));
    let leader = Node::start(Plan::leader(&cluster.path("leader")).with_config(&config)).unwrap();
    let mut silent = TcpStream::connect(leader.ready.door).unwrap();
    silent.set_read_timeout(Some(SOON)).unwrap();
    assert_eq!(silent.read(&mut [0]).unwrap(), 0, "the door closes the connection");
    eventually("the handshake is counted", SOON, || {
        let metrics = text(&cluster.curl_path(&leader, "/metrics", &[]).stdout);
        metrics.contains("littoral_http_connections_closed_total{reason=\"handshake\"} 1\n")
    });
}

#[test]
fn a_clients_certificate_is_a_credential_and_a_nodes_certificate_shows_only_the_state() {
    let cluster = Cluster::new();
    let policy = cluster.file("policy.toml");
    // A policy that is too generous to nodes must not make them clients.
    fs::write(&policy, "[[grants]]\nto = [\"anyone\"]\nscopes = [\"read\", \"write\", \"define\"]\n").unwrap();
    let auth = format!(
        "[auth]\npolicy = \"{policy}\"\nclient_certificates = true\n[auth.trust]\n\
         identities = [\"certificate:littoral://prod/local/router/router\"]\n"
    );
    let (tls, beyond_loopback) = (cluster.issue("littoral://prod/local/leader/leader"), "0.0.0.0:0".parse().unwrap());
    let mut plan = Plan::leader(&cluster.path("leader")).with_config(&format!("{tls}{auth}"));
    (plan.door, plan.peer) = (beyond_loopback, beyond_loopback);
    let leader = Node::start(plan).unwrap();
    for identity in ["operator/ops", "router/router", "edge/e1"] {
        cluster.issue(&format!("littoral://prod/local/{identity}"));
    }
    let ask_with = |name: Option<&str>, path: &str, header: &[&str]| {
        let pem = name.map(|name| cluster.file(&format!("{name}.pem")));
        let mut arguments = [&["--write-out", " %{http_code}"], header].concat();
        arguments.extend(pem.as_deref().into_iter().flat_map(|pem| ["--cert", pem, "--key", pem]));
        text(&cluster.curl_path(&leader, path, &arguments).stdout)
    };
    let ask = |name: Option<&str>, path: &str| ask_with(name, path, &[]);
    let views = ask(Some("ops"), "/v1/views");
    assert!(views.ends_with(" 200"), "{views}");
    for name in [None, Some("router"), Some("e1")] {
        let rejected = ask(name, "/v1/views");
        assert!(rejected.ends_with(" 401") && rejected.contains("credential_missing"), "{name:?}: {rejected}");
    }
    // A router probes doors with its certificate.
    assert!(ask(Some("router"), "/v1/status").contains("\"insecure\":false"));
    assert!(ask(None, "/v1/status").ends_with(" 401"));
    assert!(ask(None, "/health").ends_with(" 200"));
    // The headers of clients that a trusted router forwards are believed.
    let tenant = ["--header", "littoral-tenant: acme"];
    assert!(ask_with(Some("router"), "/v1/status", &tenant).ends_with(" 200"));
    let rejected = ask_with(Some("ops"), "/v1/status", &tenant);
    assert!(rejected.ends_with(" 403") && rejected.contains("header_not_trusted"), "{rejected}");
}

#[test]
fn an_edge_follows_and_forwards_over_tls_and_a_router_sends_to_both() {
    let cluster = Cluster::new();
    let leader = cluster.leader();
    let edge = cluster.edge("e1", &leader);
    let topology = topology(&leader, edge.ready.door);
    let tls = cluster.issue("littoral://prod/local/router/router");
    let router = Router::start(cluster.dir.path(), &topology, &tls, None).unwrap();
    cluster.make_view(&leader);
    runtime().block_on(async {
        let (to_edge, to_router) =
            (cluster.client(&edge), client(router.door.port(), Some(cluster.path("ca/trust.pem"))));
        // Through the edge, which forwards it, and then through the router.
        let token = write(&to_edge, 1, 10).await;
        assert_eq!(read(&to_edge, 1, &token).await, Some(10));
        let token = write(&to_router, 1, 11).await;
        assert_eq!(read(&to_router, 1, &token).await, Some(11));
    });
}

#[test]
fn a_router_beyond_loopback_sends_requests_only_to_doors_that_authenticate() {
    let cluster = Cluster::new();
    let through_a_router = |auth: &str, insecure: bool| {
        let tls = cluster.issue("littoral://prod/local/leader/leader");
        let dir = tempfile::tempdir().unwrap();
        let leader = Node::start(Plan::leader(dir.path()).with_config(&format!("{tls}{auth}"))).unwrap();
        let tls = cluster.issue("littoral://prod/local/router/router");
        let (listen, topology) = ("0.0.0.0:0".parse().unwrap(), topology(&leader, ([127, 0, 0, 1], 9).into()));
        let flags: &[&str] = if insecure { &["--insecure"] } else { &[] };
        let router = Router::start_at(listen, flags, cluster.dir.path(), &topology, &tls, None).unwrap();
        let url = format!("https://localhost:{}/v1/views/none", router.door.port());
        // A write, which goes to the leader.
        let curl = ["--request", "DELETE", "--silent", "--max-time", "20", "--write-out", " %{http_code}", "--cacert"];
        let output = Command::new("curl").args(curl).args([&cluster.file("ca/trust.pem"), &url]).output().unwrap();
        text(&output.stdout)
    };
    let rejected = through_a_router("", false);
    assert!(rejected.ends_with(" 503") && rejected.contains("does not authenticate its clients"), "{rejected}");
    // The door checks the credential.
    let forwarded = through_a_router("[auth]\nclient_certificates = true\n", false);
    assert!(forwarded.ends_with(" 401") && forwarded.contains("credential_missing"), "{forwarded}");
    let allowed = through_a_router("", true);
    assert!(allowed.ends_with(" 404") && allowed.contains("unknown_view"), "{allowed}");
}

#[test]
fn a_node_with_the_certificate_of_another_role_name_or_region_does_not_start() {
    let cluster = Cluster::new();
    let leader = |tls: &str| Plan::leader(&cluster.path("leader")).with_config(tls);
    for (identity, expected) in [
        ("littoral://prod/local/edge/leader", "this node needs the role leader"),
        ("littoral://prod/local/leader/other", "this node is named 'leader'"),
        ("littoral://prod/mars/leader/leader", "this node is in region 'local'"),
    ] {
        let error = start_error(leader(&cluster.issue(identity)));
        assert!(error.contains(expected) && error.contains(identity) && error.contains("certs issue"), "{error}");
    }
}

#[test]
fn an_edge_of_another_cluster_is_rejected() {
    let (cluster, other) = (Cluster::new(), Cluster::new());
    let leader = cluster.leader();
    let tls = other.issue("littoral://prod/local/edge/e1");
    let edge = Plan::edge("e1", &other.path("e1"), leader.ready.peer.unwrap()).with_config(&tls);
    let edge = Node::start(edge).unwrap();
    eventually("the edge logs the reason", SOON, || {
        fs::read_to_string(other.path("e1.log")).is_ok_and(|log| log.contains("no trusted root signed its certificate"))
    });
    drop(edge);
}

#[test]
fn a_plain_node_beyond_loopback_starts_only_when_it_is_named_insecure() {
    let dir = tempfile::tempdir().unwrap();
    let plan = |flags: &[&str]| {
        let mut plan = Plan::leader(&dir.path().join("leader"));
        plan.door = "0.0.0.0:0".parse().unwrap();
        plan.flags = flags.iter().map(|flag| (*flag).to_owned()).collect();
        plan
    };
    let error = start_error(plan(&[]));
    for way in ["listen = 0.0.0.0:0 is beyond loopback", "127.0.0.1", "[tls]", "[auth]", "--insecure"] {
        assert!(error.contains(way), "{way}: {error}");
    }
    let cluster = Cluster::new();
    let error = start_error(plan(&[]).with_config(&cluster.issue("littoral://prod/local/leader/leader")));
    assert!(error.contains("has no authentication") && error.contains("[auth]"), "{error}");
    let node = Node::start(plan(&["--insecure"])).unwrap();
    let mut client = littoral_provision::http::Client::new(([127, 0, 0, 1], node.ready.door.port()).into());
    assert_eq!(client.get("/v1/status").unwrap().ok().json()["insecure"], true);
    assert!(client.get("/metrics").unwrap().text().contains("littoral_insecure 1"));
}

#[test]
fn certificates_are_reloaded_under_load_without_a_failed_request() {
    let cluster = Cluster::new();
    let leader = cluster.leader();
    let edge = cluster.edge("e1", &leader);
    cluster.make_view(&leader);
    runtime().block_on(async {
        let load = load(&cluster, &edge);
        fs::copy(cluster.path("e1.pem"), cluster.path("e1.good.pem")).unwrap();
        let logged = |text: &str, times: usize| {
            eventually(text, SOON, || {
                fs::read_to_string(cluster.path("e1.log")).is_ok_and(|log| log.matches(text).count() >= times)
            });
        };
        for round in 1..=3 {
            // A bad file, which must change nothing, and then a renewal as an operator does it.
            let file = cluster.file("e1.pem");
            fs::write(&file, "garbage").unwrap();
            tokio::task::block_in_place(|| logged("the last good ones stay in force", round));
            load.at_least(load.good() + 20).await;
            fs::copy(cluster.path("e1.good.pem"), &file).unwrap();
            tokio::task::block_in_place(|| {
                cluster.certs(&["renew", &cluster.file("ca"), &file]);
                logged("certificates were reloaded", round);
            });
            load.at_least(load.good() + 20).await;
        }
        assert_eq!(load.stop().await, 0, "failed requests");
    });
}

#[test]
fn the_root_is_rotated_under_load_without_a_failed_request_or_a_broken_feed() {
    let cluster = Cluster::new();
    let leader = cluster.leader();
    let edges = ["e1", "e2"].map(|name| cluster.edge(name, &leader));
    let old = cluster.certs(&["show", &cluster.file("ca/trust.pem")]);
    cluster.make_view(&leader);
    runtime().block_on(async {
        let loads = edges.each_ref().map(|edge| load(&cluster, edge));
        for load in &loads {
            load.at_least(20).await;
        }
        tokio::task::block_in_place(|| {
            // The three nodes have reported once they are in the record.
            eventually("every node reports", SOON, || {
                fs::read_to_string(cluster.path("ca/nodes.json"))
                    .is_ok_and(|nodes| nodes.matches("seen_s").count() == 3)
            });
            cluster.certs(&["rotate-root", &cluster.file("ca"), "--timeout", "120"]);
        });
        for load in loads {
            let before = load.good();
            load.at_least(before + 20).await;
            assert_eq!(load.stop().await, 0, "failed requests");
        }
    });
    let new = cluster.certs(&["show", &cluster.file("ca/trust.pem")]);
    assert_ne!(old, new);
    for name in ["e1", "e2", "leader"] {
        assert_eq!(
            cluster.certs(&["show", &cluster.file(&format!("{name}.trust.pem"))]),
            new,
            "{name} trusts the new root alone"
        );
        let log = fs::read_to_string(cluster.path(&format!("{name}.log"))).unwrap();
        assert!(
            !log.contains("a subscriber has left") && !log.contains("ending a subscriber's session"),
            "a feed broke at {name}: {log}"
        );
    }
}

/// A client that writes and reads over kept and over new connections until it is stopped.
struct Load {
    stop: Arc<AtomicBool>,
    good: Arc<AtomicU64>,
    task: tokio::task::JoinHandle<u64>,
}

fn load(cluster: &Cluster, edge: &Node) -> Load {
    let (stop, good) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let (kept, port, trust) = (cluster.client(edge), edge.ready.door.port(), cluster.path("ca/trust.pem"));
    let task = tokio::spawn({
        let (stop, good) = (stop.clone(), good.clone());
        async move {
            let (mut failed, mut balance) = (0, 0);
            while !stop.load(Relaxed) {
                balance += 1;
                // Roots change only by renames, so the file is whole; a new client reads the roots of this moment.
                let new = client(port, Some(trust.clone()));
                for client in [&kept, &new] {
                    let result = try_write(client, i64::from(port), balance).await;
                    match result {
                        Ok(_) => good.fetch_add(1, Relaxed),
                        Err(error) => {
                            eprintln!("a request failed: {error}");
                            failed += 1;
                            failed
                        }
                    };
                }
            }
            failed
        }
    });
    Load { stop, good, task }
}

impl Load {
    fn good(&self) -> u64 {
        self.good.load(Relaxed)
    }

    async fn at_least(&self, count: u64) {
        let waiting = async {
            while self.good() < count {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(SOON, waiting).await.expect("requests succeed");
    }

    /// Returns the number of failed requests.
    async fn stop(self) -> u64 {
        self.stop.store(true, Relaxed);
        self.task.await.unwrap()
    }
}
