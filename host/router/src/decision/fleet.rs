//! Every door, and what is known of it: probes and requests go in, a view for decisions comes out.

use crate::{
    decision::{
        Moment,
        health::{self, Finding, State},
        member::{Door, Kind, Member, MemberId},
        outlier::{self, Outcome},
        view::{MemberView, RegionView, View},
    },
    topology::Topology,
};
use std::{collections::HashMap, sync::Arc, time::Duration};

/// The doors of a topology.
#[derive(Clone, Debug)]
pub struct Fleet {
    health: health::Config,
    outlier: outlier::Config,
    topology: Arc<Topology>,
    members: Vec<Member>,
    index: HashMap<MemberId, usize>,
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

    /// Edges that were removed do not count any more: of those that are left, no more than the share may be ejected.
    fn pardon_beyond_share(&mut self, now: Moment) {
        let edges = self.members.iter_mut().filter(|member| member.door.kind == Kind::Edge);
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
        let was = member.health.observe(finding, &self.health)?;
        let is = member.health.state();
        if is == State::Healthy && was != State::Unknown {
            member.back.begin(now);
        }
        Some(Event::Health { door: member.door.clone(), was, is })
    }

    /// A request to a door ended.
    pub fn recorded(&mut self, id: MemberId, outcome: Outcome, now: Moment) -> Option<Event> {
        let at = *self.index.get(&id)?;
        let member = self.members.get_mut(at)?;
        // Who leads is the only place for its region's writes: only probes take it out.
        if !member.outlier.record(outcome, now, &self.outlier) || member.door.kind == Kind::Leader {
            return None;
        }
        let edges = self.members.iter().filter(|member| member.door.kind == Kind::Edge);
        let (all, ejected) = edges
            .fold((0, 0), |(all, ejected), member| (all + 1, ejected + usize::from(member.outlier.is_ejected(now))));
        if ejected >= self.outlier.ejected_max(all) {
            return None;
        }
        let member = self.members.get_mut(at)?;
        member.outlier.eject(now, &self.outlier);
        let lasts = member.outlier.ejected_until(now).unwrap_or(now).saturating_sub(now);
        Some(Event::Ejected { door: member.door.clone(), lasts })
    }

    /// Doors whose ejection has ended since this was asked last: they come back slowly.
    pub fn returns(&mut self, now: Moment) -> Vec<Event> {
        let mut events = Vec::new();
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

    fn member_view(&self, member: &Member, now: Moment) -> MemberView {
        MemberView {
            door: member.door.clone(),
            state: member.health.state(),
            ejected_for: member.outlier.ejected_until(now).map(|until| until.saturating_sub(now)),
            usable: member.is_usable(now),
            writable: member.health.is_writable(),
            leads: member.health.leads(),
            back: member.back.share(now, self.outlier.return_time()),
            latency_ms: member.latency.ms(),
        }
    }
}
