//! Starts a topology's nodes, and opens the links between them.

use super::{
    Node, Place, Plan, Regions, Way, addresses, clock_file,
    configs::{self, Peers, Security},
    members::{self, Members},
    write,
};
use crate::{
    failure::Failure,
    local::{Program, certs::Certs},
    target,
};
use littoral_model::region::Region as Name;
use littoral_router::{Topology, topology::Region};
use std::{collections::BTreeMap, net::SocketAddr};

/// What the nodes' configurations depend on.
struct Nodes<'a> {
    topology: &'a Topology,
    place: &'a Place,
    peers: &'a Peers,
    security: &'a Security,
    program: &'a Program,
}

impl Regions {
    /// Starts leaders, edges and the routers.
    ///
    /// # Errors
    /// When the topology cannot run here, or a node does not start; the others are stopped.
    pub async fn start(plan: Plan) -> Result<Self, Failure> {
        let mut topology = plan.topology.clone();
        check(&topology)?;
        let place = place(&plan);
        if !plan.fixed {
            place.choose(&mut topology)?;
        }
        std::fs::create_dir_all(&plan.data_dir)
            .map_err(|error| Failure::rejected(format!("cannot create {}: {error}", plan.data_dir.display())))?;
        // The links come first: a leader's configuration has those to all other regions.
        let (peers, mut ways) = links_between(&topology, &place, plan.seed).await?;
        let security = security(&topology, &place, &plan)?;
        let members = Members::start(&topology, &peers, &security, (plan.lease, &plan.program), plan.seed).await?;
        let program = &plan.program;
        let nodes = Nodes { topology: &topology, place: &place, peers: &peers, security: &security, program };
        let leaders = nodes.start_leaders(plan.clocks).await?;
        let edges = nodes.start_edges().await?;
        let routed = links_from_router(&topology, &place, &plan, &mut ways).await?;
        let topology_file = plan.data_dir.join("topology.toml");
        write(&topology_file, &routed)?;
        let home = topology.regions.first().ok_or_else(|| Failure::usage("the topology has no region"))?;
        let mut renew = None;
        if security.certs.is_some() {
            let way = Way::open(&topology, &place, None, home, addresses::of(home.peers().next())?, plan.seed).await?;
            renew = Some(way.link.address());
            ways.push(way);
        }
        let mut routers = Vec::new();
        for number in 1..=plan.routers.max(1) {
            // Only the first one can have the address that was asked for.
            let (name, listen) = match number {
                1 => ("router".to_owned(), plan.listen),
                _ => (format!("router-{number}"), SocketAddr::new(plan.listen.ip(), 0)),
            };
            let arguments =
                configs::router(&name, &topology_file, place.router(listen), (home.name, renew), &security)?;
            let log = plan.data_dir.join(format!("{name}.log"));
            routers.push(Node::start(place.launcher(None), program.clone(), arguments, log).await?);
        }
        members::wait_for_leaders(&topology, security.scheme()).await?;
        Ok(Self { topology, security, topology_file, routed, leaders, members, edges, ways, routers, place })
    }
}

impl Nodes<'_> {
    /// Starts the leaders of regions without members.
    async fn start_leaders(&self, clocks: bool) -> Result<BTreeMap<Name, Node>, Failure> {
        let Self { topology, place, peers, security, program } = *self;
        let mut leaders = BTreeMap::new();
        for region in topology.regions.iter().filter(|region| region.members.is_empty()) {
            let mut arguments = configs::leader(topology, region, peers, place, security)?;
            if clocks {
                let file = clock_file(&security.dir, region.name);
                arguments.extend(["--drill-clock".to_owned(), file.display().to_string()]);
            }
            let log = security.dir.join(format!("{}.log", region.name));
            let launcher = place.launcher(Some(region.name));
            leaders.insert(region.name, Node::start(launcher, program.clone(), arguments, log).await?);
        }
        Ok(leaders)
    }

    async fn start_edges(&self) -> Result<BTreeMap<String, Node>, Failure> {
        let Self { topology, place, peers, security, program } = *self;
        let mut edges = BTreeMap::new();
        for region in &topology.regions {
            for edge in &region.edges {
                let arguments = configs::edge(topology, region, edge, peers, place, security)?;
                let log = security.dir.join(format!("{}.log", edge.name));
                let launcher = place.launcher(Some(region.name));
                edges.insert(edge.name.clone(), Node::start(launcher, program.clone(), arguments, log).await?);
            }
        }
        Ok(edges)
    }
}

/// Checks that each region has a leader or members.
fn check(topology: &Topology) -> Result<(), Failure> {
    let alone = |region: &&Region| region.members.is_empty() && (region.leader.is_none() || region.peer.is_none());
    match topology.regions.iter().find(alone) {
        None => Ok(()),
        Some(region) => Err(Failure::usage(format!(
            "region '{}' of topology '{}' needs a leader and a peer address, or members, to run here",
            region.name, topology.name
        ))),
    }
}

/// Returns where the nodes run. A region's members are partitioned by the links between them; one network for the whole
/// region could not do that.
fn place(plan: &Plan) -> Place {
    let has_members = plan.topology.regions.iter().any(|region| !region.members.is_empty());
    if plan.apart && !plan.fixed && !has_members { Place::apart(&plan.topology) } else { Place::Loopback(None) }
}

/// Opens the links from each region to the peer listeners of the others.
async fn links_between(topology: &Topology, place: &Place, seed: u64) -> Result<(Peers, Vec<Way>), Failure> {
    let (mut peers, mut ways) = (Peers::new(), Vec::new());
    for from in &topology.regions {
        for to in topology.regions.iter().filter(|to| to.name != from.name) {
            for peer in to.peers() {
                let way = Way::open(topology, place, Some(from.name), to, addresses::of(Some(peer))?, seed).await?;
                peers.entry((from.name, to.name)).or_default().push(way.link.address());
                ways.push(way);
            }
        }
    }
    Ok((peers, ways))
}

/// Opens the links from the router to all doors. Returns the router's topology, which has the addresses of the links.
async fn links_from_router(
    topology: &Topology,
    place: &Place,
    plan: &Plan,
    ways: &mut Vec<Way>,
) -> Result<Topology, Failure> {
    let mut routed = topology.clone();
    for region in &mut routed.regions {
        let at = region.clone();
        let members = region.members.iter_mut().map(|member| &mut member.door);
        let edges = region.edges.iter_mut().map(|edge| &mut edge.door);
        for door in region.leader.iter_mut().chain(members).chain(edges) {
            let way = Way::open(topology, place, None, &at, addresses::of(Some(door))?, plan.seed).await?;
            let way = if plan.router_everywhere { way.without_delay() } else { way };
            *door = way.link.address().to_string();
            ways.push(way);
        }
    }
    Ok(routed)
}

/// Issues the certificates, if the plan has TLS. This process trusts them from now on.
fn security(topology: &Topology, place: &Place, plan: &Plan) -> Result<Security, Failure> {
    let certs = if plan.tls { Some(Certs::create(&plan.data_dir.join("tls"))?) } else { None };
    if let Some(certs) = &certs {
        target::trust(certs.client_files());
    }
    Ok(Security {
        dir: plan.data_dir.clone(),
        certs,
        beyond_loopback: matches!(place, Place::Apart(_)),
        signer: topology.regions.first().map(|home| {
            let member = home.members.first().map(|member| member.name.clone());
            (home.name, member.unwrap_or_else(|| home.name.to_string()))
        }),
    })
}
