//! Every door, and what is known of it: probes and requests go in, a view for decisions comes out.

use crate::{
    Moment,
    health::{self, Finding, State},
    member::{Door, Kind, Member, MemberId},
    outlier::{self, Outcome, Outlier},
    slow_return,
    topology::{Role, Topology},
    view::{MemberView, RegionView, View},
};
use littoral_model::region::Region;
use std::{collections::HashMap, sync::Arc, time::Duration};

/// The doors of a topology.
#[derive(Clone, Debug)]
pub struct Fleet {
    health: health::Config,
    outlier: outlier::Config,
    topology: Arc<Topology>,
    members: Vec<Member>,
    index: HashMap<MemberId, usize>,
    /// Regions that are or were left as a whole.
    left: HashMap<Region, Outlier>,
    next_id: u64,
    generation: u64,
}

/// Something that operators want to read of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A door's health changed.
    Health {
        /// Its door.
        door: Arc<Door>,
        /// What it was.
        was: State,
        /// What it is.
        is: State,
    },
    /// A door was ejected.
    Ejected {
        /// Its door.
        door: Arc<Door>,
        /// For how long.
        lasts: Duration,
    },
    /// A door's ejection ended.
    Returned {
        /// Its door.
        door: Arc<Door>,
    },
    /// A region is bad as a whole and was left.
    Left {
        /// The region.
        region: Region,
        /// For how long.
        lasts: Duration,
    },
    /// A region that was left is tried again.
    Retried {
        /// The region.
        region: Region,
    },
}

// === impl Fleet ===

impl Fleet {
    /// The doors of a topology, of which nothing is known yet.
    #[must_use]
    pub fn new(topology: Arc<Topology>, health: health::Config, outlier: outlier::Config) -> Self {
        let mut fleet = Self {
            health,
            outlier,
            topology: topology.clone(),
            members: Vec::new(),
            index: HashMap::new(),
            left: HashMap::new(),
            next_id: 0,
            generation: 0,
        };
        fleet.adopt(topology, Moment::ZERO);
        fleet
    }

    /// Takes another topology. What is known of a door that stays, of the same region and kind, is kept.
    pub fn adopt(&mut self, topology: Arc<Topology>, now: Moment) {
        let mut known: HashMap<_, _> = (self.members.drain(..))
            .map(|member| ((member.door.region, member.door.kind, member.door.address.clone()), member))
            .collect();
        for region in &topology.regions {
            let leaders = region.leaders().map(|(name, door)| (Kind::Leader, name, door, 1, Vec::new()));
            let edges = region
                .edges
                .iter()
                .map(|edge| (Kind::Edge, edge.name.as_str(), edge.door.as_str(), edge.weight, edge.public_addresses()));
            for (kind, name, address, weight, addresses) in leaders.chain(edges) {
                let old = known.remove(&(region.name, kind, address.to_owned()));
                let id = old.as_ref().map_or(MemberId(self.next_id), |member| member.door.id);
                self.next_id += u64::from(old.is_none());
                let (name, address) = (name.to_owned(), address.to_owned());
                let door = Arc::new(Door { id, region: region.name, name, address, kind, weight, addresses });
                self.members.push(match old {
                    Some(member) => Member { door, ..member },
                    None => Member::new(door),
                });
            }
        }
        self.index = self.members.iter().enumerate().map(|(at, member)| (member.door.id, at)).collect();
        self.topology = topology;
        self.generation += 1;
        self.pardon_beyond_share(now);
    }

    /// Edges and regions that were removed do not count any more: of the edges that are left of a region no more than the share
    /// may be ejected, and not every region may be left.
    fn pardon_beyond_share(&mut self, now: Moment) {
        let topology = self.topology.clone();
        self.left.retain(|name, _| topology.regions.iter().any(|region| region.name == *name));
        for region in &topology.regions {
            let edges = self.members.iter_mut().filter(|member| member.is_edge_of(region.name));
            let (mut all, mut ejected) = (0, Vec::new());
            for edge in edges {
                all += 1;
                if let Some(until) = edge.outlier.ejected_until(now) {
                    ejected.push((until, edge));
                }
            }
            // Those first that would return first.
            ejected.sort_by_key(|(until, _)| *until);
            let beyond = ejected.len().saturating_sub(self.outlier.ejected_max(all));
            ejected.into_iter().take(beyond).for_each(|(_, edge)| edge.outlier.pardon(now));
        }
        let mut left: Vec<_> =
            self.left.values_mut().filter_map(|region| Some((region.ejected_until(now)?, region))).collect();
        if left.len() >= topology.regions.iter().filter(|region| !region.edges.is_empty()).count()
            && let Some((_, first)) = left.iter_mut().min_by_key(|(until, _)| *until)
        {
            first.pardon(now);
        }
    }

    /// Until when an edge gets nothing: it was ejected, or its region was left.
    fn out_until(&self, member: &Member, now: Moment) -> Option<Moment> {
        let region = self.left.get(&member.door.region).filter(|_| member.door.kind == Kind::Edge);
        member.outlier.ejected_until(now).max(region.and_then(|region| region.ejected_until(now)))
    }

    fn is_usable(&self, member: &Member, now: Moment) -> bool {
        member.health.state() == State::Healthy && self.out_until(member, now).is_none()
    }

    /// Whether a door may get requests as things are.
    #[must_use]
    pub fn keeps_its_place(&self, id: MemberId, now: Moment) -> bool {
        self.index.get(&id).and_then(|at| self.members.get(*at)).is_some_and(|member| self.is_usable(member, now))
    }

    /// The topology.
    #[must_use]
    pub fn topology(&self) -> &Arc<Topology> {
        &self.topology
    }

    /// Every door.
    pub fn doors(&self) -> impl Iterator<Item = &Arc<Door>> {
        self.members.iter().map(|member| &member.door)
    }

    /// A door was probed; `took` when it answered.
    pub fn probed(&mut self, id: MemberId, finding: Finding, took: Option<Duration>, now: Moment) -> Option<Event> {
        let member = self.index.get(&id).and_then(|at| self.members.get_mut(*at))?;
        if let Some(took) = took {
            member.latency.observe(took);
        }
        let is_over = member.outlier.probed(finding != Finding::Unreachable, now, self.health.healthy_after);
        let was = member.health.observe(finding, &self.health);
        let is = member.health.state();
        let recovered = is == State::Healthy && was.is_some_and(|was| was != State::Unknown);
        if is_over || recovered {
            member.back.begin(now);
            // What requests said before says nothing of what is there now.
            member.outlier.forget(now);
        }
        let door = member.door.clone();
        let is_back = (is_over || recovered) && door.kind == Kind::Edge;
        if is_back && self.left.get_mut(&door.region).is_some_and(|record| record.ends_with_its_outage(now)) {
            self.members.iter_mut().filter(|edge| edge.is_edge_of(door.region)).for_each(|edge| edge.back.begin(now));
        }
        match was {
            Some(was) => Some(Event::Health { door, was, is }),
            None => is_over.then_some(Event::Returned { door }),
        }
    }

    /// A request to a door ended.
    pub fn recorded(&mut self, id: MemberId, outcome: Outcome, now: Moment) -> Option<Event> {
        let at = *self.index.get(&id)?;
        let member = self.members.get_mut(at)?;
        // Who leads is the only place for its region's writes: only probes take it out.
        if !member.outlier.record(outcome, now, &self.outlier) || member.door.kind == Kind::Leader {
            return None;
        }
        let region = member.door.region;
        let edges = self.members.iter().filter(|member| member.is_edge_of(region));
        let (all, ejected) = edges
            .fold((0, 0), |(all, ejected), member| (all + 1, ejected + usize::from(member.outlier.is_ejected(now))));
        if ejected >= self.outlier.ejected_max(all) {
            return self.leave(region, at, now);
        }
        let member = self.members.get_mut(at)?;
        member.outlier.eject(now, &self.outlier);
        let lasts = member.outlier.ejected_until(now).unwrap_or(now).saturating_sub(now);
        Some(Event::Ejected { door: member.door.clone(), lasts })
    }

    /// Ejects a region for a while, because more of its edges fail than may be ejected; `failing` is the last of them. Does nothing
    /// when no other region stands by or can be tried again.
    fn leave(&mut self, region: Region, failing: usize, now: Moment) -> Option<Event> {
        if self.left.get(&region).is_some_and(|record| record.is_ejected(now)) {
            return None;
        }
        let others =
            || self.topology.regions.iter().filter(|other| other.name != region && other.role != Role::Draining);
        let edges = |of: Region| self.members.iter().filter(move |member| member.is_edge_of(of));
        // A region that comes back may still have more of its edges ejected than their share: it does not stand by.
        let stands_by = |other: Region| {
            let ejected = edges(other).filter(|edge| edge.outlier.is_ejected(now)).count();
            ejected <= self.outlier.ejected_max(edges(other).count())
                && edges(other).any(|edge| self.is_usable(edge, now))
        };
        if !others().any(|other| stands_by(other.name)) {
            // Those that were left may be well again: they take turns, and the one that was left first is tried.
            let is_healthy = |edge: &Member| edge.health.state() == State::Healthy;
            let left = others().filter(|other| edges(other.name).any(is_healthy)).map(|other| other.name);
            let first = left.min_by_key(|other| self.left.get(other).map(Outlier::since))?;
            self.try_again(first, now);
        }
        let failing = &mut self.members.get_mut(failing)?.outlier;
        let record = self.left.entry(region).or_default();
        record.leave_for(failing, now, &self.outlier);
        failing.eject(now, &self.outlier);
        let lasts = record.ejected_until(now).unwrap_or(now).saturating_sub(now);
        // When the region is tried again, each of its edges begins with nothing against it but its own ejection.
        self.members.iter_mut().filter(|member| member.is_edge_of(region)).for_each(|edge| edge.outlier.forget(now));
        Some(Event::Left { region, lasts })
    }

    /// Ends what keeps a region's edges from getting requests.
    fn try_again(&mut self, region: Region, now: Moment) {
        if let Some(record) = self.left.get_mut(&region) {
            record.pardon(now);
        }
        self.members.iter_mut().filter(|member| member.is_edge_of(region)).for_each(|edge| edge.outlier.pardon(now));
    }

    /// Doors whose ejection has ended, and regions that are tried again, since this was asked last: they come back slowly.
    pub fn returns(&mut self, now: Moment) -> Vec<Event> {
        let mut events = Vec::new();
        for (region, record) in &mut self.left {
            if record.take_return(now) {
                self.members
                    .iter_mut()
                    .filter(|member| member.is_edge_of(*region))
                    .for_each(|edge| edge.back.begin(now));
                events.push(Event::Retried { region: *region });
            }
        }
        for member in &mut self.members {
            if member.outlier.take_return(now) {
                member.back.begin(now);
                events.push(Event::Returned { door: member.door.clone() });
            }
        }
        events
    }

    /// What decisions are made by, as of now.
    #[must_use]
    pub fn view(&self, now: Moment) -> View {
        let mut members = self.members.iter().map(|member| self.member_view(member, now)).peekable();
        let mut all = Vec::with_capacity(self.members.len());
        let mut regions = Vec::with_capacity(self.topology.regions.len());
        for region in &self.topology.regions {
            let from = all.len();
            while let Some(member) = members.next_if(|member| member.door.region == region.name) {
                all.push(member);
            }
            let edges = from + region.leaders().count()..all.len();
            regions.push(RegionView::new(region, from..edges.start, edges, &all));
        }
        View::new(&self.topology, self.generation, regions, all)
    }

    /// The share of its weight that a door gets. One whose ejection has just ended, which nobody has noticed yet, begins.
    fn back(&self, member: &Member, now: Moment) -> f64 {
        let region = self.left.get(&member.door.region).filter(|_| member.door.kind == Kind::Edge);
        if member.outlier.is_returning(now) || region.is_some_and(|region| region.is_returning(now)) {
            return slow_return::FIRST;
        }
        member.back.share(now, self.outlier.return_time())
    }

    fn member_view(&self, member: &Member, now: Moment) -> MemberView {
        MemberView {
            door: member.door.clone(),
            state: member.health.state(),
            ejected_for: self.out_until(member, now).map(|until| until.saturating_sub(now)),
            usable: self.is_usable(member, now),
            writable: member.health.is_writable(),
            leads: member.health.leads(),
            back: self.back(member, now),
            latency_ms: member.latency.ms(),
        }
    }
}
