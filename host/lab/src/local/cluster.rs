//! A leader and its edges on this machine.

use crate::{failure::Failure, local::Child};
use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

/// The cluster to start.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Where the nodes keep their data and logs, each in a directory of its own.
    pub data_dir: PathBuf,
    /// How many edges.
    pub edges: usize,
    /// The leader's door.
    pub leader_listen: SocketAddr,
    /// The first edge's door; the others listen on the same address and a port that the system chooses.
    pub edge_listen: SocketAddr,
    /// The leader's configuration file.
    pub leader_config: Option<PathBuf>,
    /// The edges' configuration file.
    pub edge_config: Option<PathBuf>,
}

/// Running nodes.
pub struct Cluster {
    plan: Plan,
    /// The leader.
    pub leader: Child,
    /// The edges.
    pub edges: Vec<Child>,
}

impl Cluster {
    /// Starts the leader, then the edges.
    ///
    /// # Errors
    /// When a node does not start; the others are stopped.
    pub async fn start(plan: Plan) -> Result<Self, Failure> {
        let any_port = SocketAddr::from(([127, 0, 0, 1], 0));
        let leader = start_leader(&plan, plan.leader_listen, any_port).await?;
        let mut edges = Vec::with_capacity(plan.edges);
        for number in 1..=plan.edges {
            edges.push(start_edge(&plan, number, &leader).await?);
        }
        Ok(Self { plan, leader, edges })
    }

    /// Restarts the leader on the same addresses, to which the edges connect.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn restart_leader(&mut self) -> Result<(), Failure> {
        let ready = &self.leader.ready;
        let peer = ready.peer.unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 0)));
        self.leader = start_leader(&self.plan, ready.door, peer).await?;
        Ok(())
    }

    /// Waits until any node ends by itself. Returns which one, and how it ended.
    pub async fn any_ended(&mut self) -> Failure {
        let nodes = std::iter::once(&mut self.leader).chain(&mut self.edges);
        let (failure, _, _) = futures_util::future::select_all(nodes.map(|node| Box::pin(node.ended()))).await;
        failure
    }

    /// Stops the edges, then the leader.
    pub async fn stop(self) {
        futures_util::future::join_all(self.edges.into_iter().map(Child::stop)).await;
        self.leader.stop().await;
    }
}

async fn start_leader(plan: &Plan, door: SocketAddr, peer: SocketAddr) -> Result<Child, Failure> {
    let dir = make_dir(&plan.data_dir, "leader")?;
    let mut arguments = node_arguments("leader", &dir, plan.leader_config.as_deref());
    arguments.extend(["--listen".into(), door.to_string(), "--peer-listen".into(), peer.to_string()]);
    Child::start(&arguments, &plan.data_dir.join("leader.log")).await
}

async fn start_edge(plan: &Plan, number: usize, leader: &Child) -> Result<Child, Failure> {
    let name = format!("edge-{number}");
    let dir = make_dir(&plan.data_dir, &name)?;
    let port = if number == 1 { plan.edge_listen.port() } else { 0 };
    let door = SocketAddr::new(plan.edge_listen.ip(), port);
    let peer = leader.ready.peer.ok_or_else(|| Failure::rejected("the leader's ready line has no peer address"))?;
    let mut arguments = node_arguments("edge", &dir, plan.edge_config.as_deref());
    arguments.extend(["--name".into(), name.clone(), "--listen".into(), door.to_string()]);
    arguments.extend(["--leader".into(), peer.to_string()]);
    Child::start(&arguments, &plan.data_dir.join(format!("{name}.log"))).await
}

fn node_arguments(role: &str, dir: &Path, config: Option<&Path>) -> Vec<String> {
    let mut arguments = vec![role.to_owned(), "--data-dir".to_owned(), dir.display().to_string()];
    if let Some(config) = config {
        arguments.extend(["--config".to_owned(), config.display().to_string()]);
    }
    arguments
}

fn make_dir(parent: &Path, name: &str) -> Result<PathBuf, Failure> {
    let dir = parent.join(name);
    std::fs::create_dir_all(&dir)
        .map_err(|error| Failure::rejected(format!("cannot create the directory {}: {error}", dir.display())))?;
    Ok(dir)
}
