//! The state of all doors: records probes and requests, and produces views for decisions.

use crate::{
    Moment,
    door::{Door, DoorId, DoorState, Kind},
    health::{self, Finding, State},
    outlier::{self, Outcome, Outlier},
    slow_return,
    topology::{Role, Topology},
    view::{DoorView, RegionView, View},
};
use littoral_model::region::Region;
use std::{collections::HashMap, sync::Arc, time::Duration};

/// The doors of a topology.
#[derive(Clone, Debug)]
pub struct Fleet {
    health: health::Config,
    outlier: outlier::Config,
    topology: Arc<Topology>,
    doors: Vec<DoorState>,
    index: HashMap<DoorId, usize>,
    /// Regions that are or were ejected as a whole.
    ejected_regions: HashMap<Region, Outlier>,
    next_id: u64,
    generation: u64,
}

/// A change that operators need to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A door's health changed.
    Health {
        /// The door.
        door: Arc<Door>,
        /// The previous state.
        was: State,
        /// The new state.
        is: State,
    },
    /// A door was ejected.
    Ejected {
        /// The door.
        door: Arc<Door>,
        /// How long the ejection lasts.
        lasts: Duration,
    },
    /// A door's ejection ended.
    Returned {
        /// The door.
        door: Arc<Door>,
    },
    /// A region fails as a whole and was ejected.
    RegionEjected {
        /// The region.
        region: Region,
        /// How long the ejection lasts.
        lasts: Duration,
    },
    /// An ejected region is tried again.
    RegionRetried {
        /// The region.
        region: Region,
    },
}

// === impl Fleet ===

impl Fleet {
    /// Creates the state of a topology's doors, before any probe.
    #[must_use]
    pub fn new(topology: Arc<Topology>, health: health::Config, outlier: outlier::Config) -> Self {
        let mut fleet = Self {
            health,
            outlier,
            topology: topology.clone(),
            doors: Vec::new(),
            index: HashMap::new(),
            ejected_regions: HashMap::new(),
            next_id: 0,
            generation: 0,
        };
        fleet.adopt(topology, Moment::ZERO);
        fleet
    }

    /// Replaces the topology. Keeps the state of a door that remains, if its region and kind are the same.
    pub fn adopt(&mut self, topology: Arc<Topology>, now: Moment) {
        let mut known: HashMap<_, _> = (self.doors.drain(..))
            .map(|state| ((state.door.region, state.door.kind, state.door.address.clone()), state))
            .collect();
        for region in &topology.regions {
            let leaders = region.leaders().map(|(name, door)| (Kind::Leader, name, door, 1, Vec::new()));
            let edges = region
                .edges
                .iter()
                .map(|edge| (Kind::Edge, edge.name.as_str(), edge.door.as_str(), edge.weight, edge.public_addresses()));
            for (kind, name, address, weight, addresses) in leaders.chain(edges) {
                let old = known.remove(&(region.name, kind, address.to_owned()));
                let id = old.as_ref().map_or(DoorId(self.next_id), |state| state.door.id);
                self.next_id += u64::from(old.is_none());
                let (name, address) = (name.to_owned(), address.to_owned());
                let door = Arc::new(Door { id, region: region.name, name, address, kind, weight, addresses });
                self.doors.push(match old {
                    Some(state) => DoorState { door, ..state },
                    None => DoorState::new(door),
                });
            }
        }
        self.index = self.doors.iter().enumerate().map(|(at, state)| (state.door.id, at)).collect();
        self.topology = topology;
        self.generation += 1;
        self.pardon_beyond_share(now);
    }

    /// Ends ejections that exceed the allowed share after edges or regions were removed: no more than the share of a
    /// region's remaining edges may be ejected, and not all regions may be.
    fn pardon_beyond_share(&mut self, now: Moment) {
        let topology = self.topology.clone();
        self.ejected_regions.retain(|name, _| topology.regions.iter().any(|region| region.name == *name));
        for region in &topology.regions {
            let edges = self.doors.iter_mut().filter(|state| state.is_edge_of(region.name));
            let (mut all, mut ejected) = (0, Vec::new());
            for edge in edges {
                all += 1;
                if let Some(until) = edge.outlier.ejected_until(now) {
                    ejected.push((until, edge));
                }
            }
            // The ejections that would end first are ended first.
            ejected.sort_by_key(|(until, _)| *until);
            let beyond = ejected.len().saturating_sub(self.outlier.ejected_max(all));
            ejected.into_iter().take(beyond).for_each(|(_, edge)| edge.outlier.pardon(now));
        }
        let mut ejected_regions: Vec<_> =
            self.ejected_regions.values_mut().filter_map(|region| Some((region.ejected_until(now)?, region))).collect();
        if ejected_regions.len() >= topology.regions.iter().filter(|region| !region.edges.is_empty()).count()
            && let Some((_, first)) = ejected_regions.iter_mut().min_by_key(|(until, _)| *until)
        {
            first.pardon(now);
        }
    }

    /// Returns until when an edge receives no requests, because it or its region is ejected.
    fn out_until(&self, state: &DoorState, now: Moment) -> Option<Moment> {
        let region = self.ejected_regions.get(&state.door.region).filter(|_| state.door.kind == Kind::Edge);
        state.outlier.ejected_until(now).max(region.and_then(|region| region.ejected_until(now)))
    }

    fn is_usable(&self, state: &DoorState, now: Moment) -> bool {
        state.health.state() == State::Healthy && self.out_until(state, now).is_none()
    }

    /// Returns whether a door may receive requests now.
    #[must_use]
    pub fn may_receive(&self, id: DoorId, now: Moment) -> bool {
        self.index.get(&id).and_then(|at| self.doors.get(*at)).is_some_and(|state| self.is_usable(state, now))
    }

    /// Returns the topology.
    #[must_use]
    pub fn topology(&self) -> &Arc<Topology> {
        &self.topology
    }

    /// Iterates over all doors.
    pub fn doors(&self) -> impl Iterator<Item = &Arc<Door>> {
        self.doors.iter().map(|state| &state.door)
    }

    /// Records a probe of a door; `took` is its duration if the door answered.
    pub fn probed(&mut self, id: DoorId, finding: Finding, took: Option<Duration>, now: Moment) -> Option<Event> {
        let state = self.index.get(&id).and_then(|at| self.doors.get_mut(*at))?;
        if let Some(took) = took {
            state.latency.observe(took);
        }
        let is_over = state.outlier.probed(finding != Finding::Unreachable, now, self.health.healthy_after);
        let was = state.health.observe(finding, &self.health);
        let is = state.health.state();
        let recovered = is == State::Healthy && was.is_some_and(|was| was != State::Unknown);
        if is_over || recovered {
            state.back.begin(now);
            // The results of earlier requests do not apply to a door that has restarted.
            state.outlier.forget(now);
        }
        let door = state.door.clone();
        let is_back = (is_over || recovered) && door.kind == Kind::Edge;
        if is_back && self.ejected_regions.get_mut(&door.region).is_some_and(|record| record.end_with_outage(now)) {
            self.doors.iter_mut().filter(|edge| edge.is_edge_of(door.region)).for_each(|edge| edge.back.begin(now));
        }
        match was {
            Some(was) => Some(Event::Health { door, was, is }),
            None => is_over.then_some(Event::Returned { door }),
        }
    }

    /// Records the end of a request to a door.
    pub fn recorded(&mut self, id: DoorId, outcome: Outcome, now: Moment) -> Option<Event> {
        let at = *self.index.get(&id)?;
        let state = self.doors.get_mut(at)?;
        // The leader is the only door for its region's writes, so failed requests never eject it.
        if !state.outlier.record(outcome, now, &self.outlier) || state.door.kind == Kind::Leader {
            return None;
        }
        let region = state.door.region;
        let edges = self.doors.iter().filter(|state| state.is_edge_of(region));
        let (all, ejected) =
            edges.fold((0, 0), |(all, ejected), state| (all + 1, ejected + usize::from(state.outlier.is_ejected(now))));
        if ejected >= self.outlier.ejected_max(all) {
            return self.eject_region(region, at, now);
        }
        let state = self.doors.get_mut(at)?;
        state.outlier.eject(now, &self.outlier);
        let lasts = state.outlier.ejected_until(now).unwrap_or(now).saturating_sub(now);
        Some(Event::Ejected { door: state.door.clone(), lasts })
    }

    /// Ejects a region for a while, because more of its edges fail than may be ejected; `failing` is the last of them.
    /// Does nothing if no other region has a usable edge and none can be tried again.
    fn eject_region(&mut self, region: Region, failing: usize, now: Moment) -> Option<Event> {
        if self.ejected_regions.get(&region).is_some_and(|record| record.is_ejected(now)) {
            return None;
        }
        let others =
            || self.topology.regions.iter().filter(|other| other.name != region && other.role != Role::Draining);
        let edges = |of: Region| self.doors.iter().filter(move |state| state.is_edge_of(of));
        // A returning region may still have more than the allowed share of its edges ejected: it does not stand by.
        let stands_by = |other: Region| {
            let ejected = edges(other).filter(|edge| edge.outlier.is_ejected(now)).count();
            ejected <= self.outlier.ejected_max(edges(other).count())
                && edges(other).any(|edge| self.is_usable(edge, now))
        };
        if !others().any(|other| stands_by(other.name)) {
            // Ejected regions may have recovered: they take turns, and the one ejected first is tried.
            let is_healthy = |edge: &DoorState| edge.health.state() == State::Healthy;
            let ejected_regions = others().filter(|other| edges(other.name).any(is_healthy)).map(|other| other.name);
            let first = ejected_regions.min_by_key(|other| self.ejected_regions.get(other).map(Outlier::since))?;
            self.try_again(first, now);
        }
        let failing = &mut self.doors.get_mut(failing)?.outlier;
        let record = self.ejected_regions.entry(region).or_default();
        record.eject_for(failing, now, &self.outlier);
        failing.eject(now, &self.outlier);
        let lasts = record.ejected_until(now).unwrap_or(now).saturating_sub(now);
        // When the region is tried again, each edge starts with an empty record except for its own ejection.
        self.doors.iter_mut().filter(|state| state.is_edge_of(region)).for_each(|edge| edge.outlier.forget(now));
        Some(Event::RegionEjected { region, lasts })
    }

    /// Ends everything that keeps a region's edges from receiving requests.
    fn try_again(&mut self, region: Region, now: Moment) {
        if let Some(record) = self.ejected_regions.get_mut(&region) {
            record.pardon(now);
        }
        self.doors.iter_mut().filter(|state| state.is_edge_of(region)).for_each(|edge| edge.outlier.pardon(now));
    }

    /// Returns the doors whose ejection has ended and the regions that are tried again, since the last call. They
    /// return slowly.
    pub fn returns(&mut self, now: Moment) -> Vec<Event> {
        let mut events = Vec::new();
        for (region, record) in &mut self.ejected_regions {
            if record.take_return(now) {
                self.doors.iter_mut().filter(|state| state.is_edge_of(*region)).for_each(|edge| edge.back.begin(now));
                events.push(Event::RegionRetried { region: *region });
            }
        }
        for state in &mut self.doors {
            if state.outlier.take_return(now) {
                state.back.begin(now);
                events.push(Event::Returned { door: state.door.clone() });
            }
        }
        events
    }

    /// Returns the current inputs of decisions.
    #[must_use]
    pub fn view(&self, now: Moment) -> View {
        let mut doors = self.doors.iter().map(|state| self.view_of(state, now)).peekable();
        let mut all = Vec::with_capacity(self.doors.len());
        let mut regions = Vec::with_capacity(self.topology.regions.len());
        for region in &self.topology.regions {
            let from = all.len();
            while let Some(view) = doors.next_if(|view| view.door.region == region.name) {
                all.push(view);
            }
            let edges = from + region.leaders().count()..all.len();
            regions.push(RegionView::new(region, from..edges.start, edges, &all));
        }
        View::new(&self.topology, self.generation, regions, all)
    }

    /// Returns the share of its weight that a door has. A door whose ejection has just ended, before `returns` was
    /// called, has the first share.
    fn back(&self, state: &DoorState, now: Moment) -> f64 {
        let region = self.ejected_regions.get(&state.door.region).filter(|_| state.door.kind == Kind::Edge);
        if state.outlier.is_returning(now) || region.is_some_and(|region| region.is_returning(now)) {
            return slow_return::FIRST;
        }
        state.back.share(now, self.outlier.return_time())
    }

    fn view_of(&self, state: &DoorState, now: Moment) -> DoorView {
        DoorView {
            door: state.door.clone(),
            state: state.health.state(),
            ejected_for: self.out_until(state, now).map(|until| until.saturating_sub(now)),
            usable: self.is_usable(state, now),
            writable: state.health.is_writable(),
            leads: state.health.leads(),
            back: self.back(state, now),
            latency_ms: state.latency.ms(),
        }
    }
}
