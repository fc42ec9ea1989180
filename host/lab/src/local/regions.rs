//! A topology's leaders, edges and router on this machine.
//!
//! All connections between regions, and from the router to a region, pass through links with the latencies of the
//! topology. So regions can be as far apart as in the topology, and can be partitioned.

mod addresses;
mod configs;
mod members;
mod place;
mod start;

pub use configs::{Peers, Security};
pub use members::Members;
pub use place::Place;

use crate::{
    failure::Failure,
    local::{Child, Program},
};
use littoral_faults::{Link, link::Side};
use littoral_lease::Profile;
use littoral_model::region::Region as Name;
use littoral_router::{
    Topology,
    topology::{Region, Role},
};
use std::{
    collections::BTreeMap,
    ffi::OsString,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

/// The regions to start, and how.
pub struct Plan {
    /// The topology; each region must have a leader or members.
    pub topology: Topology,
    /// Where the nodes keep their data and logs, each in a directory of its own.
    pub data_dir: PathBuf,
    /// The router's door.
    pub listen: SocketAddr,
    /// Whether the nodes listen on the topology's addresses. Otherwise the system chooses.
    pub fixed: bool,
    /// Whether each region runs in a network namespace of its own, where this host allows it. Has no effect with
    /// `fixed`.
    pub apart: bool,
    /// Whether the leaders' clocks can be made wrong.
    pub clocks: bool,
    /// Whether the router is equally near to all regions, like a router next to each client. Otherwise it is in the
    /// first region.
    pub router_everywhere: bool,
    /// The times of the leases of regions with members.
    pub lease: Profile,
    /// The number of routers, all with the same topology.
    pub routers: usize,
    /// What the nodes run.
    pub program: Program,
    /// The seed of the links' jitter.
    pub seed: u64,
    /// Whether the nodes use TLS, with certificates that are issued for this run.
    pub tls: bool,
}

/// A node that can be killed and restarted with the same arguments.
pub struct Node {
    launcher: Vec<OsString>,
    program: Program,
    arguments: Vec<String>,
    log: PathBuf,
    child: Option<Child>,
}

/// The flag with a node's address.
const LISTEN: &str = "--listen";

/// A link from one place to a region.
struct Way {
    /// The region in which it begins; `None` for the router.
    from: Option<Name>,
    to: Name,
    link: Link,
    /// Its latency in each direction, and the jitter.
    delay: (Duration, Duration),
}

/// Running regions.
pub struct Regions {
    /// The topology as it is now, with the nodes' addresses.
    pub topology: Topology,
    /// The nodes' files and certificates.
    pub security: Security,
    /// The router's topology file.
    topology_file: PathBuf,
    /// The router's topology, whose addresses are those of links.
    routed: Topology,
    /// The leaders of regions without members.
    pub leaders: BTreeMap<Name, Node>,
    /// The members of the other regions.
    pub members: Members,
    /// The edges by name.
    pub edges: BTreeMap<String, Node>,
    ways: Vec<Way>,
    /// The routers.
    pub routers: Vec<Node>,
    /// Dropped last, when all processes in it have ended.
    pub place: Place,
}

// === impl Node ===

impl Node {
    async fn start(
        launcher: Vec<OsString>,
        program: Program,
        mut arguments: Vec<String>,
        log: PathBuf,
    ) -> Result<Self, Failure> {
        let child = Child::start_by(&launcher, &program, &arguments, &log).await?;
        // A restarted node has the same address.
        let listen = arguments.iter().position(|argument| argument == LISTEN);
        if let Some(address) = listen.and_then(|at| arguments.get_mut(at + 1)) {
            *address = child.ready.door.to_string();
        }
        Ok(Self { launcher, program, arguments, log, child: Some(child) })
    }

    /// Kills it at once, as `kill -9` does.
    pub async fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            // The process may have ended already.
            let _gone = child.kill().await;
        }
    }

    /// Restarts it; kills it first if it still runs.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn restart(&mut self) -> Result<(), Failure> {
        self.kill().await;
        self.run().await
    }

    /// Makes it drain and stop, and starts it again with this program.
    ///
    /// # Errors
    /// When it has ended by itself, or does not start.
    pub async fn replace(&mut self, program: Program) -> Result<(), Failure> {
        if let Some(child) = self.child.take() {
            child.drain().await?;
        }
        self.program = program;
        self.run().await
    }

    async fn run(&mut self) -> Result<(), Failure> {
        self.child = Some(Child::start_by(&self.launcher, &self.program, &self.arguments, &self.log).await?);
        Ok(())
    }

    /// Returns where it listens while it runs.
    pub fn door(&self) -> Option<SocketAddr> {
        self.child.as_ref().map(|child| child.ready.door)
    }

    /// Returns the process's id while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().and_then(Child::pid)
    }

    async fn stop(mut self) {
        if let Some(child) = self.child.take() {
            child.stop().await;
        }
    }
}

// === impl Regions ===

impl Regions {
    /// Returns the directory of a leader's log.
    pub fn leader_data(&self, name: Name) -> PathBuf {
        configs::data(&self.security.dir, name.as_str())
    }

    /// Makes a leader's clock wrong by this many milliseconds, if the plan allows it.
    ///
    /// # Errors
    /// When the file that holds the error cannot be written.
    pub fn set_clock(&self, name: Name, ms: i64) -> Result<(), Failure> {
        let path = clock_file(&self.security.dir, name);
        std::fs::write(&path, ms.to_string())
            .map_err(|error| Failure::rejected(format!("cannot write {}: {error}", path.display())))
    }

    /// Returns a region with its nodes' own addresses, which bypass the links.
    pub fn region(&self, name: Name) -> Option<&Region> {
        self.topology.regions.iter().find(|region| region.name == name)
    }

    /// Returns the URL of a leader's door, or of the first member's, which bypasses the links.
    pub fn leader_url(&self, name: Name) -> String {
        self.region(name)
            .and_then(|region| region.leaders().next())
            .map_or_else(String::new, |(_, door)| self.door_url(door))
    }

    /// Returns the address of the first router.
    ///
    /// # Errors
    /// When it does not run.
    pub fn router(&self) -> Result<SocketAddr, Failure> {
        let door = self.routers.first().and_then(Node::door);
        door.ok_or_else(|| Failure::rejected("the router does not run"))
    }

    /// Returns the URL of the first router.
    ///
    /// # Errors
    /// As [`Regions::router`].
    pub fn router_url(&self) -> Result<String, Failure> {
        Ok(self.door_url(self.router()?))
    }

    /// Returns the URL of a door.
    pub fn door_url(&self, door: impl std::fmt::Display) -> String {
        format!("{}://{door}", self.security.scheme())
    }

    /// Changes a region's role and share of requests. The router reads the change within its `watch_ms`.
    ///
    /// # Errors
    /// When the router's topology file cannot be written.
    pub fn set_role(&mut self, name: Name, role: Role, weight: u8) -> Result<(), Failure> {
        for topology in [&mut self.topology, &mut self.routed] {
            for region in topology.regions.iter_mut().filter(|region| region.name == name) {
                (region.role, region.weight) = (role, weight);
            }
        }
        write(&self.topology_file, &self.routed)
    }

    /// Partitions a region from the others and from the router. Connections stay open, but nothing passes.
    ///
    /// # Errors
    /// When its network's link cannot be taken down.
    pub fn partition(&self, name: Name) -> Result<(), Failure> {
        if !self.place.partition(name)? {
            self.ways_of(name).for_each(|way| way.link.cut(Side::Both));
        }
        Ok(())
    }

    /// Ends the partition: delayed data arrives, and open connections continue.
    ///
    /// # Errors
    /// When its network's link cannot be brought up.
    pub fn reconnect(&self, name: Name) -> Result<(), Failure> {
        if !self.place.reconnect(name)? {
            self.ways_of(name).for_each(|way| way.link.heal());
        }
        Ok(())
    }

    /// Adds latency to all links to and from a region.
    pub fn slow(&self, name: Name, longer: Duration) {
        for way in self.ways_of(name) {
            way.link.delay(way.delay.0 + longer, way.delay.1);
        }
    }

    /// Returns the names of a region's edges, or of those in a zone.
    pub fn edges_of(&self, name: Name, zone: Option<&str>) -> Vec<String> {
        let edges = self.region(name).map(|region| &region.edges[..]).unwrap_or_default();
        let within = edges.iter().filter(|edge| zone.is_none_or(|zone| edge.zone.as_deref() == Some(zone)));
        within.map(|edge| edge.name.clone()).collect()
    }

    /// Kills a region's leader and edges.
    pub async fn kill(&mut self, name: Name) {
        for edge in self.edges_of(name, None) {
            if let Some(node) = self.edges.get_mut(&edge) {
                node.kill().await;
            }
        }
        if let Some(leader) = self.leaders.get_mut(&name) {
            leader.kill().await;
        }
        for member in self.members.of(name) {
            member.kill().await;
        }
    }

    /// Restarts a region's leader and edges.
    ///
    /// # Errors
    /// When one does not start.
    pub async fn restart(&mut self, name: Name) -> Result<(), Failure> {
        if let Some(leader) = self.leaders.get_mut(&name) {
            leader.restart().await?;
        }
        for member in self.members.of(name) {
            member.restart().await?;
        }
        for edge in self.edges_of(name, None) {
            if let Some(node) = self.edges.get_mut(&edge) {
                node.restart().await?;
            }
        }
        Ok(())
    }

    /// Waits until any node ends by itself. Returns which one, and how it ended.
    pub async fn any_ended(&mut self) -> Failure {
        let nodes = self.leaders.values_mut().chain(self.members.all()).chain(self.edges.values_mut());
        let nodes = nodes.chain(&mut self.routers).filter_map(|node| node.child.as_mut());
        let (failure, _, _) = futures_util::future::select_all(nodes.map(|node| Box::pin(node.ended()))).await;
        failure
    }

    /// Stops the routers, the edges, then the leaders.
    pub async fn stop(self) {
        futures_util::future::join_all(self.routers.into_iter().map(Node::stop)).await;
        futures_util::future::join_all(self.edges.into_values().map(Node::stop)).await;
        let leaders = self.leaders.into_values().chain(self.members.into_nodes());
        futures_util::future::join_all(leaders.map(Node::stop)).await;
    }

    fn ways_of(&self, name: Name) -> impl Iterator<Item = &Way> {
        self.ways.iter().filter(move |way| way.to == name || way.from == Some(name))
    }
}

impl Way {
    fn without_delay(self) -> Self {
        self.link.delay(Duration::ZERO, Duration::ZERO);
        Self { delay: (Duration::ZERO, Duration::ZERO), ..self }
    }

    /// Opens a link from a region, or from the router, which is in the first region.
    async fn open(
        topology: &Topology,
        place: &Place,
        from: Option<Name>,
        to: &Region,
        target: SocketAddr,
        seed: u64,
    ) -> Result<Self, Failure> {
        let begins = from.or_else(|| topology.regions.first().map(|first| first.name));
        let between = |link: &&littoral_router::topology::Link| {
            begins.is_some_and(|begins| link.between.contains(&begins)) && link.between.contains(&to.name)
        };
        let apart = topology.links.iter().find(between).filter(|_| begins != Some(to.name));
        let delay = apart.map_or((Duration::ZERO, Duration::ZERO), |link| {
            (Duration::from_micros(u64::from(link.round_trip_ms) * 500), Duration::from_millis(link.jitter_ms.into()))
        });
        let link = place
            .link(from, (to.name, target), seed)
            .await
            .map_err(|error| Failure::rejected(format!("cannot open a link to {target}: {error}")))?;
        link.delay(delay.0, delay.1);
        Ok(Self { from, to: to.name, link, delay })
    }
}

fn clock_file(dir: &Path, name: Name) -> PathBuf {
    dir.join(format!("{name}.clock"))
}

/// Replaces the router's topology file atomically.
fn write(path: &Path, topology: &Topology) -> Result<(), Failure> {
    let cannot = |error: &dyn std::fmt::Display| Failure::rejected(format!("cannot write {}: {error}", path.display()));
    let text = toml::to_string(topology).map_err(|error| cannot(&error))?;
    littoral_runtime::replace_file(path, text.as_bytes(), 0o644).map_err(|error| cannot(&error))
}
