//! A leader and an edge with or without TLS, and a connection to the leader.

use crate::{
    bench::{
        data::{self, Rows},
        failure::Failure,
        session::Effort,
        setup::executable,
    },
    local::certs::{Certs, NodeFiles},
    plain_http::Http,
    target,
};
use littoral_feed::client::{self, Connection};
use littoral_model::view::ViewId;
use littoral_provision::{Node, Plan, http::Answer};
use littoral_tls::{Config, Tls, client_config};
use rustls::{ClientConfig, client::Resumption};
use std::{
    fmt::Display,
    io::{BufReader, Write as _},
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream},
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::runtime::Runtime;

/// Rows of one write while the nodes are loaded.
const LOAD_BATCH: u64 = 2_000;

/// How long the edge may take to hold what the leader has.
const READY_MAX: Duration = Duration::from_secs(60);

/// The region of both nodes.
const REGION: &str = "local";

/// The nodes, with the rows of the small view.
pub struct Pair {
    _leader: Node,
    /// The edge.
    pub edge: Node,
    /// The certificate of the edge with its key. `None` without TLS.
    pub cert: Option<PathBuf>,
    /// The TLS of connections to the doors, each with a full handshake. `None` without TLS.
    pub client: Option<Arc<ClientConfig>>,
    /// The connection to the leader.
    pub connection: Connection,
    /// The rows.
    pub rows: Rows,
    /// Runs the tasks of this process.
    pub runtime: Runtime,
    _dir: tempfile::TempDir,
}

impl Pair {
    /// Starts a leader and an edge, whose configuration file also has `edge_config`, and loads the rows.
    ///
    /// # Errors
    /// When a node does not start, or the edge does not catch up.
    pub fn start(effort: Effort, with_tls: bool, edge_config: &str) -> Result<Self, Failure> {
        let dir = tempfile::tempdir()?;
        let certs = if with_tls { Some(Certs::create(dir.path()).map_err(of_certificates)?) } else { None };
        let issue = |role: &str, name: &str| {
            let issued = certs.as_ref().map(|certs| certs.issue(role, REGION, name, IpAddr::V4(Ipv4Addr::LOCALHOST)));
            issued.transpose().map_err(of_certificates)
        };
        let (leader_files, edge_files) = (issue("leader", "leader")?, issue("edge", "edge-1")?);
        let section = |files: &Option<NodeFiles>| files.as_ref().map(NodeFiles::section).unwrap_or_default();
        let executable = executable()?;
        let leader = Plan::leader(&dir.path().join("leader")).with_config(&section(&leader_files));
        let leader = Node::start(leader.with_executable(Some(&executable)))?;
        let peer = leader.ready.peer.ok_or_else(|| Failure("the leader has no peer address".to_owned()))?;
        let edge = Plan::edge("edge-1", &dir.path().join("edge-1"), peer)
            .with_config(&format!("{}{edge_config}", section(&edge_files)));
        let edge = Node::start(edge.with_executable(Some(&executable)))?;
        // Also without TLS: the roots of an earlier pair are gone.
        target::trust(certs.as_ref().map(Certs::client_files).unwrap_or_default());
        let (mut tls, mut client) = (None, None);
        if let (Some(certs), Some(files)) = (&certs, issue("edge", "bench")?) {
            let config = Config { cert: Some(files.cert), trust: Some(files.trust), ..Config::default() };
            tls = Some(Tls::load(&config).map_err(of_certificates)?);
            let mut config = client_config(&certs.client_files()).map_err(of_certificates)?;
            config.resumption = Resumption::disabled();
            client = Some(Arc::new(config));
        }
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let config = client::Config {
            leader: vec![peer.to_string()],
            call_timeout_ms: 30_000,
            tls,
            ..client::Config::default()
        };
        let connected = runtime.block_on(client::connect(&config));
        let connection = connected.map_err(|error| Failure::new("connecting to the leader", error))?;
        let scheme = if with_tls { "https" } else { "http" };
        let rows = runtime.block_on(load(&format!("{scheme}://{}", leader.ready.door), &connection, effort))?;
        let cert = edge_files.map(|files| files.cert);
        let pair = Self { _leader: leader, edge, cert, client, connection, rows, runtime, _dir: dir };
        pair.wait(scheme)?;
        Ok(pair)
    }

    /// Waits until the edge has what the leader has.
    fn wait(&self, scheme: &str) -> Result<(), Failure> {
        let failed = |error: &dyn Display| Failure::new("the edge does not catch up", error);
        self.runtime.block_on(async {
            let head = self.connection.calls.status().await.map_err(|error| failed(&error))?.position.lsn.0;
            let (http, deadline) = (Http::new(), Instant::now() + READY_MAX);
            let url = format!("{scheme}://{}/v1/status", self.edge.ready.admin.unwrap_or(self.edge.ready.door));
            loop {
                let status = http.get(&url).await.and_then(|answer| answer.json());
                match status {
                    Ok(status) if status["position"]["lsn"].as_u64() >= Some(head) => return Ok(()),
                    Ok(status) if Instant::now() > deadline => return Err(failed(&status)),
                    Err(failure) if Instant::now() > deadline => return Err(failed(&failure)),
                    _ => tokio::time::sleep(Duration::from_millis(20)).await,
                }
            }
        })
    }

    /// Returns the edge's door.
    pub fn door(&self) -> SocketAddr {
        self.edge.ready.door
    }

    /// Returns the TLS of connections to the doors.
    ///
    /// # Errors
    /// When the nodes have no TLS.
    pub fn tls(&self) -> Result<&Arc<ClientConfig>, Failure> {
        self.client.as_ref().ok_or_else(|| Failure("the nodes have no TLS".to_owned()))
    }

    /// Returns the certificate of the edge with its key.
    ///
    /// # Errors
    /// When the nodes have no TLS.
    pub fn cert(&self) -> Result<&PathBuf, Failure> {
        self.cert.as_ref().ok_or_else(|| Failure("the nodes have no certificate".to_owned()))
    }

    /// Returns the edge's complete response to one request.
    ///
    /// # Errors
    /// When its status is not 200.
    pub fn answer_to(&self, request: &[u8]) -> Result<Answer, Failure> {
        let mut stream = super::client::secured(self.tls()?.clone(), self.door())?;
        stream.write_all(request)?;
        let (answer, _) = littoral_provision::http::read_answer(&mut BufReader::new(stream), false)?;
        if answer.status == 200 { Ok(answer) } else { Err(Failure::new("a first read", answer.text())) }
    }

    /// Connects to the edge's door, without TLS.
    ///
    /// # Errors
    /// When it does not accept the connection.
    pub fn connect_plain(&self) -> Result<TcpStream, Failure> {
        Ok(TcpStream::connect_timeout(&self.door(), Duration::from_secs(5))?)
    }
}

fn of_certificates(error: impl Display) -> Failure {
    Failure::new("certificates", error)
}

async fn load(url: &str, connection: &Connection, effort: Effort) -> Result<Rows, Failure> {
    let failed = |error: &dyn Display| Failure::new("loading rows", error);
    let http = Http::new();
    let url = format!("{url}/v1/views/{}", data::STATS);
    http.put(&url, &data::stats_view()).await.and_then(|answer| answer.json()).map_err(|error| failed(&error))?;
    let view = http.get(&url).await.and_then(|answer| answer.json()).map_err(|error| failed(&error))?;
    let id = view["id"].as_u64().and_then(|id| u32::try_from(id).ok()).ok_or_else(|| failed(&"the view has no id"))?;
    let rows = Rows { view: ViewId(id), wide: false };
    for first in (0..effort.rows).step_by(LOAD_BATCH as usize) {
        let write = rows.write(first..effort.rows.min(first + LOAD_BATCH), data::EVENT_TIME);
        connection.calls.write(write).await.map_err(|error| failed(&error))?;
    }
    Ok(rows)
}
