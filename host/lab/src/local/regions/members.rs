//! The members of regions: a process each, a lease in a shared directory, and a link from each to each other, so that
//! they can be partitioned while clients reach all of them.

use super::{
    Node, Place, Way, addresses,
    configs::{self, Peers, Security},
};
use crate::{failure::Failure, local::Program, target};
use littoral_faults::{Link, link::Side};
use littoral_lease::Profile;
use littoral_model::{
    region::Region as Name,
    status::{NodeStatus, Role},
};
use littoral_router::{
    Topology,
    topology::{Member, Region},
};
use std::{
    collections::BTreeMap,
    fmt::Write as _,
    path::Path,
    time::{Duration, Instant},
};

/// How long the members of a region may take until one of them leads.
const LEADER_MAX: Duration = Duration::from_secs(20);
/// How often they are polled.
const CHECK_INTERVAL: Duration = Duration::from_millis(20);

/// Running members.
#[derive(Default)]
pub struct Members {
    /// The processes by region and name.
    nodes: BTreeMap<(Name, String), Node>,
    ways: Vec<Between>,
}

/// The link from one member to another of its region.
struct Between {
    region: Name,
    from: String,
    to: String,
    link: Link,
}

impl Members {
    /// Starts all members of all regions.
    ///
    /// # Errors
    /// When one does not start; the others are stopped.
    pub async fn start(
        topology: &Topology,
        peers: &Peers,
        security: &Security,
        (lease, program): (Profile, &Program),
        seed: u64,
    ) -> Result<Self, Failure> {
        let dir = &*security.dir;
        let mut all = Self::default();
        let place = Place::Loopback(None);
        for region in &topology.regions {
            for (from, to) in pairs(&region.members) {
                let target = addresses::of(Some(&to.peer))?;
                let link = Way::open(topology, &place, Some(region.name), region, target, seed).await?.link;
                let (from, to) = (from.name.clone(), to.name.clone());
                all.ways.push(Between { region: region.name, from, to, link });
            }
            for member in &region.members {
                let text = all.config(topology, region, member, peers, dir, lease)?;
                let text = text
                    + &security.section(
                        "leader",
                        region.name.as_str(),
                        &member.name,
                        addresses::of(Some(&member.door))?,
                    )?;
                let kept_as = format!("{}-{}", region.name, member.name);
                let door = addresses::of(Some(&member.door))?;
                let mut arguments = configs::node("leader", &member.name, &kept_as, &text, door, security)?;
                arguments.extend(["--peer-listen".to_owned(), member.peer.clone()]);
                let log = dir.join(format!("{kept_as}.log"));
                let node = Node::start(Vec::new(), program.clone(), arguments, log).await?;
                all.nodes.insert((region.name, member.name.clone()), node);
            }
        }
        Ok(all)
    }

    /// Returns a member's configuration file. It names the other members by the links that lead to them, and the member
    /// itself by its own address.
    ///
    /// # Errors
    /// When an address is not one of this machine, or the lease's directory has no absolute path.
    pub fn config(
        &self,
        topology: &Topology,
        region: &Region,
        member: &Member,
        peers: &Peers,
        dir: &Path,
        lease: Profile,
    ) -> Result<String, Failure> {
        let mut text = configs::leading(topology, region, peers);
        let store = dir.join(format!("{}-lease", region.name));
        let store = std::path::absolute(&store)
            .map_err(|error| Failure::rejected(format!("cannot place the lease at {}: {error}", store.display())))?;
        // Writing to a string never fails.
        let _ =
            writeln!(text, "[lease]\nstore = {:?}\nprofile = \"{}\"", format!("dir:{}", store.display()), lease.name());
        for other in &region.members {
            let peer = match self.way(region.name, &member.name, &other.name) {
                Some(way) => way.link.address(),
                None => addresses::of(Some(&other.peer))?,
            };
            let _ = writeln!(text, "[[members]]\nname = {:?}\npeer = \"{peer}\"", other.name);
        }
        Ok(text)
    }

    fn way(&self, region: Name, from: &str, to: &str) -> Option<&Between> {
        self.ways.iter().find(|way| way.region == region && way.from == from && way.to == to)
    }

    /// Returns a member.
    pub fn get(&mut self, region: Name, name: &str) -> Option<&mut Node> {
        self.nodes.get_mut(&(region, name.to_owned()))
    }

    /// Returns the members of a region.
    pub fn of(&mut self, region: Name) -> impl Iterator<Item = &mut Node> {
        self.nodes.iter_mut().filter(move |((of, _), _)| *of == region).map(|(_, node)| node)
    }

    /// Returns all members.
    pub fn all(&mut self) -> impl Iterator<Item = &mut Node> {
        self.nodes.values_mut()
    }

    pub(super) fn into_nodes(self) -> impl Iterator<Item = Node> {
        self.nodes.into_values()
    }

    /// Partitions a member from the others of its region. Clients, edges and the lease store still reach it.
    pub fn partition(&self, region: Name, name: &str) {
        self.ways_of(region, name).for_each(|way| way.link.cut(Side::Both));
    }

    /// Ends the partition.
    pub fn reconnect(&self, region: Name, name: &str) {
        self.ways_of(region, name).for_each(|way| way.link.heal());
    }

    fn ways_of(&self, region: Name, name: &str) -> impl Iterator<Item = &Between> {
        self.ways.iter().filter(move |way| way.region == region && (way.from == name || way.to == name))
    }
}

/// Waits until each region accepts writes. In a region with members, one must lead and the others must follow. A leader
/// with a new log must have learnt that the other regions' logs are new too.
///
/// # Errors
/// When a region does not accept writes in time.
pub(super) async fn wait_for_leaders(topology: &Topology, scheme: &str) -> Result<(), Failure> {
    let deadline = Instant::now() + LEADER_MAX;
    for region in &topology.regions {
        while !is_led(region, scheme).await {
            if Instant::now() >= deadline {
                let name = region.name;
                return Err(Failure::rejected(format!(
                    "region '{name}' does not accept writes within {} s; see the logs of its nodes",
                    LEADER_MAX.as_secs()
                )));
            }
            tokio::time::sleep(CHECK_INTERVAL).await;
        }
    }
    Ok(())
}

/// How far a following member may be behind.
const LAG_MAX_MS: u64 = 5_000;

/// Returns whether a region's leader accepts writes and its other members follow. A member that is still opening its
/// log does not follow yet.
async fn is_led(region: &Region, scheme: &str) -> bool {
    let asked = region.leaders().map(|(_, door)| async move {
        let client = target::client(&format!("{scheme}://{door}")).ok()?;
        client.status().await.ok().filter(|status| status.staleness_ms.is_some_and(|lag| lag <= LAG_MAX_MS))
    });
    let ready: Vec<_> = futures_util::future::join_all(asked).await.into_iter().flatten().collect();
    let leads = |status: &NodeStatus| status.role == Role::Leader && status.writable;
    ready.len() == region.leaders().count() && ready.iter().any(leads)
}

/// Returns all ordered pairs of members.
fn pairs(members: &[Member]) -> impl Iterator<Item = (&Member, &Member)> {
    members.iter().flat_map(move |from| members.iter().filter(|to| to.name != from.name).map(move |to| (from, to)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_member_has_a_link_to_each_other() {
        let member = |name: &str| Member { name: name.into(), door: String::new(), peer: String::new(), zone: None };
        let all = ["a", "b", "c"].map(member);
        let ways: Vec<_> = pairs(&all).map(|(from, to)| format!("{}{}", from.name, to.name)).collect();
        assert_eq!(ways, ["ab", "ac", "ba", "bc", "ca", "cb"]);
    }
}
