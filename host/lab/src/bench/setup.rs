//! The product under measurement: a leader and its edges as processes, loaded through the leader's peer listener.

use crate::bench::{data, failure::Failure};
use littoral_feed::client::{self, CallClient, Connection};
use littoral_model::{status::NodeStatus, view::ViewId};
use littoral_provision::{
    Cluster, Node,
    cluster::Options,
    http::{Answer, Client},
};
use serde_json::Value;
use std::{
    path::PathBuf,
    time::{Duration, Instant},
};
use tokio::{runtime::Runtime, task::JoinSet};

/// Rows of one write while a setup is loaded.
const LOAD_BATCH: u64 = 2_000;

/// Writes in flight while a setup is loaded.
const LOAD_IN_FLIGHT: usize = 4;

/// How long an edge may take to hold what the leader has.
const CATCH_UP_MAX: Duration = Duration::from_secs(120);

/// A leader, its edges, and a connection to the leader.
pub struct Setup {
    /// The processes.
    pub cluster: Cluster,
    /// Runs the tasks of this process: one thread, as the servers need the cores, which always answers the connection's
    /// pings.
    pub runtime: Runtime,
    /// Kept as a whole: a leader may consider a peer disconnected when its feed closes.
    connection: Connection,
}

impl Setup {
    /// Starts a leader and these edges from this executable.
    ///
    /// # Errors
    /// When a process does not start.
    pub fn start(edges: &[Option<&str>]) -> Result<Self, Failure> {
        let executable = Some(executable()?);
        let edge_configs = edges.iter().map(|config| config.map(str::to_owned)).collect();
        let options = Options { leader_config: None, edge_configs, executable };
        let cluster = Cluster::start_with(&options).map_err(|error| Failure::new("starting the nodes", error))?;
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let peer = cluster.leader.ready.peer.map(|peer| peer.to_string()).unwrap_or_default();
        let config = client::Config { leader: vec![peer], call_timeout_ms: 30_000, ..client::Config::default() };
        let connection = runtime
            .block_on(client::connect(&config))
            .map_err(|error| Failure::new("connecting to the leader", error))?;
        Ok(Self { cluster, runtime, connection })
    }

    /// Adds an edge. Returns its index.
    ///
    /// # Errors
    /// When it does not start.
    pub fn add_edge(&mut self, config: Option<&str>) -> Result<usize, Failure> {
        let executable = executable()?;
        self.cluster.add_edge(config, Some(&executable)).map_err(|error| Failure::new("starting an edge", error))
    }

    /// Returns an edge's door.
    ///
    /// # Errors
    /// When there is no such edge.
    pub fn edge_door(&self, edge: usize) -> Result<std::net::SocketAddr, Failure> {
        let edge = self.cluster.edges.get(edge).ok_or_else(|| Failure("there is no such edge".to_owned()))?;
        Ok(edge.ready.door)
    }

    /// Returns a client for calls to the leader.
    pub fn calls(&self) -> CallClient {
        self.connection.calls.clone()
    }

    /// Returns the leader's status.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn leader_status(&self) -> Result<NodeStatus, Failure> {
        self.runtime
            .block_on(self.connection.calls.status())
            .map_err(|error| Failure::new("the leader's status", error))
    }

    /// Creates a view. Returns its id.
    ///
    /// # Errors
    /// When the leader rejects it.
    pub fn put_view(&self, name: &str, definition: &Value) -> Result<ViewId, Failure> {
        let mut client = self.cluster.leader.client();
        let made = client.put(&format!("/v1/views/{name}"), definition)?;
        if made.status != 200 {
            return Err(Failure::new(format_args!("creating view {name}"), made.text()));
        }
        view_id(&mut client, name)
    }

    /// Creates a bench view, loads the rows of ids 0 to `count`, and waits until every edge holds them.
    ///
    /// # Errors
    /// When the leader rejects a write, or an edge does not catch up.
    pub fn load(&self, name: &str, wide: bool, count: u64) -> Result<data::Rows, Failure> {
        let definition = if wide { data::wide_view() } else { data::stats_view() };
        let rows = data::Rows { view: self.put_view(name, &definition)?, wide };
        let calls = self.calls();
        self.runtime.block_on(async {
            let mut writes = JoinSet::new();
            for first in (0..count).step_by(LOAD_BATCH as usize) {
                if writes.len() >= LOAD_IN_FLIGHT {
                    finish(writes.join_next().await)?;
                }
                let request = rows.write(first..count.min(first + LOAD_BATCH), data::EVENT_TIME);
                let calls = calls.clone();
                writes.spawn(async move { calls.write(request).await.map(drop) });
            }
            while !writes.is_empty() {
                finish(writes.join_next().await)?;
            }
            Ok::<_, Failure>(())
        })?;
        self.catch_up()?;
        Ok(rows)
    }

    /// Waits until every edge has applied what the leader has.
    ///
    /// # Errors
    /// When one does not in time.
    pub fn catch_up(&self) -> Result<(), Failure> {
        let head = self.leader_status()?.position;
        self.cluster.edges.iter().try_for_each(|edge| self.edge_reaches(edge, head.lsn.0))
    }

    fn edge_reaches(&self, edge: &Node, lsn: u64) -> Result<(), Failure> {
        let deadline = Instant::now() + CATCH_UP_MAX;
        loop {
            let status = edge.status();
            if position(&status) >= Some(lsn) && status["ready"] == Value::Bool(true) {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(Failure::new("an edge does not catch up", status));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// Returns the LSN of a status.
pub fn position(status: &Value) -> Option<u64> {
    status["position"]["lsn"].as_u64()
}

fn finish(
    done: Option<Result<Result<(), littoral_model::write::WriteError>, tokio::task::JoinError>>,
) -> Result<(), Failure> {
    match done {
        None | Some(Ok(Ok(()))) => Ok(()),
        Some(Ok(Err(error))) => Err(Failure::new("loading rows", error)),
        Some(Err(error)) => Err(Failure::new("loading rows", error)),
    }
}

fn view_id(client: &mut Client, name: &str) -> Result<ViewId, Failure> {
    let view = client.get(&format!("/v1/views/{name}"))?.json();
    let id = view["id"].as_u64().and_then(|id| u32::try_from(id).ok());
    id.map(ViewId).ok_or_else(|| Failure::new(format_args!("the id of view {name}"), view))
}

/// Returns this executable.
///
/// # Errors
/// When the system does not know its path.
pub fn executable() -> Result<PathBuf, Failure> {
    std::env::current_exe().map_err(|error| Failure::new("finding this executable", error))
}

/// Returns a server's complete response to one request.
///
/// # Errors
/// When its status is not 200.
pub fn answer_to(address: std::net::SocketAddr, request: &[u8]) -> Result<Answer, Failure> {
    use std::io::Write as _;
    let mut stream = std::net::TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    stream.write_all(request)?;
    let (answer, _) = littoral_provision::http::read_answer(&mut std::io::BufReader::new(stream), false)?;
    if answer.status == 200 { Ok(answer) } else { Err(Failure::new("a first read", answer.text())) }
}
