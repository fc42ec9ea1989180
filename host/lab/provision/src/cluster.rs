//! A leader and its edges in a temporary directory.

use crate::node::{Node, Plan};
use std::{
    io,
    path::Path,
    time::{Duration, Instant},
};

/// Running nodes. Their data is removed with them.
#[derive(Debug)]
pub struct Cluster {
    /// The leader.
    pub leader: Node,
    /// The edges.
    pub edges: Vec<Node>,
    dir: tempfile::TempDir,
}

/// What differs from the defaults.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The leader's configuration file, without its `role`.
    pub leader_config: Option<String>,
    /// Per edge, its configuration file, without its `role`.
    pub edge_configs: Vec<Option<String>>,
    /// The executable; `None` for the one that the workspace builds.
    pub executable: Option<std::path::PathBuf>,
}

impl Cluster {
    /// Starts a leader and this many edges with the defaults.
    ///
    /// # Errors
    /// When a node does not start.
    pub fn start(edges: usize) -> io::Result<Self> {
        Self::start_with(&Options { edge_configs: vec![None; edges], ..Options::default() })
    }

    /// Starts a leader and its edges.
    ///
    /// # Errors
    /// As [`Cluster::start`].
    pub fn start_with(options: &Options) -> io::Result<Self> {
        let dir = tempfile::Builder::new().prefix("littoral-test-").tempdir()?;
        let plan = configured(Plan::leader(&dir.path().join("leader")), options.leader_config.as_deref());
        let leader = Node::start(plan.with_executable(options.executable.as_deref()))?;
        let mut cluster = Self { leader, edges: Vec::new(), dir };
        for config in &options.edge_configs {
            cluster.add_edge(config.as_deref(), options.executable.as_deref())?;
        }
        Ok(cluster)
    }

    /// Starts one more edge. Returns its index among the edges.
    ///
    /// # Errors
    /// When it does not start.
    pub fn add_edge(&mut self, config: Option<&str>, executable: Option<&Path>) -> io::Result<usize> {
        let name = format!("edge-{}", self.edges.len() + 1);
        let peer = self.leader.ready.peer.ok_or(io::ErrorKind::InvalidData)?;
        let plan = Plan::edge(&name, &self.dir.path().join(&name), peer);
        self.edges.push(Node::start(configured(plan, config).with_executable(executable))?);
        Ok(self.edges.len() - 1)
    }

    /// Returns the directory of all data and logs.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }
}

fn configured(plan: Plan, config: Option<&str>) -> Plan {
    match config {
        Some(text) => plan.with_config(text),
        None => plan,
    }
}

/// Waits until a condition holds; checks it every few milliseconds.
///
/// # Panics
/// When it does not hold in time, with `what`.
#[track_caller]
pub fn eventually(what: &str, wait_max: Duration, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + wait_max;
    while !holds() {
        assert!(Instant::now() < deadline, "not within {wait_max:?}: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
