//! The first step: the nodes start.

use crate::{
    demo::{stage::Stage, story::Story},
    failure::Failure,
    local::{Child, Cluster, cluster::Plan},
    output::{Paint, Table, text},
};
use std::{net::SocketAddr, time::Instant};

/// Starts a leader and two edges, on ports that the system chooses.
pub async fn play(story: &mut Story, stage: &mut Stage) -> Result<(), Failure> {
    story.step("A leader and two edges start, each a process of its own")?;
    let any_port = SocketAddr::from(([127, 0, 0, 1], 0));
    let begun = Instant::now();
    let plan = Plan {
        data_dir: stage.dir.clone(),
        edges: 2,
        leader_listen: any_port,
        edge_listen: any_port,
        leader_config: None,
        edge_config: None,
    };
    stage.set_cluster(Cluster::start(plan).await?);
    let took = begun.elapsed();
    let cluster = stage.cluster()?;
    let mut table = Table::new(&["node", "door", "edges connect to", ">process"]);
    for node in std::iter::once(&cluster.leader).chain(&cluster.edges) {
        let peer = node.ready.peer.map(|peer| peer.to_string()).unwrap_or_default();
        let pid = node.pid().map(|pid| pid.to_string()).unwrap_or_default();
        table.row([node.ready.name.cyan(), node.ready.door.to_string(), peer, pid]);
    }
    story.table(&table)?;
    let urls: Vec<_> = std::iter::once(&cluster.leader).chain(&cluster.edges).map(Child::url).collect();
    for url in &urls {
        let health = stage.http.get(&format!("{url}/health")).await?;
        if !health.status.is_success() {
            return Err(Failure::rejected(format!("{url}/health answered {}: {}", health.status, health.text())));
        }
    }
    story.fact("started_ms", took.as_millis() as u64);
    story.check(true, &format!("every door is open, {} after the start", text::span(took)), String::new)
}
