//! From commit at one region's leader to visible at an edge of another, while 5,000 rows are written per second and a
//! link adds 20 ms in each direction. The link is in user space and shares the machine.

use crate::bench::{
    failure::Failure,
    measurement::{Measurement, median},
    names,
    session::Effort,
    setup::{self, Setup},
    visible::{self, Door, Seen},
};
use littoral_faults::Link;
use littoral_provision::{Node, Plan, cluster::eventually};
use std::{net::SocketAddr, time::Duration};

/// Writes per second.
const RATE: u64 = 5_000;
/// The latency of the link in each direction.
const ONE_WAY: Duration = Duration::from_millis(20);
/// How much longer than the latency a write may take to become visible, in milliseconds.
const BEYOND_MS_MAX: f64 = 10.0;
const READY_MAX: Duration = Duration::from_secs(30);

/// Measures several times and returns the p99 of the median run.
pub fn measure(effort: Effort) -> Result<Measurement, Failure> {
    let setup = Setup::start(&[])?;
    let rows = setup.load(crate::bench::data::STATS, false, effort.rows)?;
    // A thread of its own: the load must not delay the link.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let peer = setup.cluster.leader.ready.peer.ok_or_else(|| Failure("the leader has no peer address".to_owned()))?;
    let link = runtime.block_on(Link::start(SocketAddr::from(([127, 0, 0, 1], 0)), peer, 1))?;
    let (leader, edge) = other_region(&setup, link.address())?;
    eventually("the other region's edge has what was loaded", READY_MAX, || {
        let held = |node: &Node| node.status()["views"][0]["rows"].as_u64();
        held(&edge) == Some(effort.rows) && held(&leader) == Some(effort.rows)
    });
    link.delay(ONE_WAY, Duration::ZERO);
    let (mut p50, mut p99, mut count) = (Vec::new(), Vec::new(), 0);
    for _ in 0..effort.rounds {
        let seen: Seen =
            setup.runtime.block_on(visible::follow(setup.calls(), Door::plain(edge.ready.door), rows, effort, RATE))?;
        p50.push(seen.from_commit.quantile_us(0.5) / 1_000.0);
        p99.push(seen.from_commit.quantile_us(0.99) / 1_000.0);
        count += seen.from_commit.len();
    }
    let one_way = ONE_WAY.as_secs_f64() * 1_000.0;
    let work =
        format!("commit in one region to visible at an edge of another, {one_way} ms away, p99, {RATE} writes/s");
    let measured = Measurement::new(names::FAR_VISIBLE, work, "ms", median(&p99)).bounded(one_way + BEYOND_MS_MAX);
    Ok(measured.note(format!("p50 {:.2} ms; {count} writes followed", median(&p50))))
}

/// Starts a leader that replicates the setup's records through the link, and its edge.
fn other_region(setup: &Setup, way: SocketAddr) -> Result<(Node, Node), Failure> {
    let executable = setup::executable()?;
    let config = format!(
        "catalogue_home = \"local\"\n[[regions]]\nname = \"local\"\npeers = [\"{way}\"]\n[leader]\nregion = \"far\"\n"
    );
    let dir = setup.cluster.dir();
    let plan = Plan { name: "far".to_owned(), ..Plan::leader(&dir.join("far")) };
    let leader = Node::start(plan.with_config(&config).with_executable(Some(&executable)))?;
    let peer = leader.ready.peer.ok_or_else(|| Failure("the leader has no peer address".to_owned()))?;
    let plan = Plan::edge("far-edge", &dir.join("far-edge"), peer).with_executable(Some(&executable));
    Ok((leader, Node::start(plan)?))
}
