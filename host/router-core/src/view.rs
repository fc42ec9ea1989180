//! The inputs of decisions: the state of all doors at one moment, arranged for quick decisions.

use crate::{
    coordinates::{Coordinates, Direction},
    door::Door,
    health::State,
    select::Purpose,
    topology::{Region, Role, Topology},
};
use littoral_model::region::Region as RegionName;
use std::{collections::HashMap, ops::Range, sync::Arc, time::Duration};

/// The state of all doors at one moment.
#[derive(Clone, Debug)]
pub struct View {
    /// The topology's name.
    pub topology: String,
    /// The number of the topology; it grows with each topology.
    pub generation: u64,
    /// The regions, in the topology's order.
    pub regions: Vec<RegionView>,
    /// The doors, grouped by region, those that may lead first.
    pub doors: Vec<DoorView>,
    /// The regions that each restricted tenant may use.
    pins: HashMap<String, Vec<usize>>,
}

/// A region.
#[derive(Clone, Debug)]
pub struct RegionView {
    /// Its name.
    pub name: RegionName,
    /// Its coordinates.
    pub coordinates: Coordinates,
    /// Its role.
    pub role: Role,
    /// Its share of the requests for which it is the nearest, from the topology.
    pub weight: f64,
    /// The share of its weight that its edges have, below one while they return.
    pub back: f64,
    /// The router's lowest measured latency to it, in milliseconds; 0 if unknown.
    pub latency_ms: f64,
    /// The range of its leader's or members' doors among the doors.
    pub leaders: Range<usize>,
    /// The one of them that leads and accepts writes, if it is known.
    pub leading: Option<usize>,
    /// The range of its edges among the doors.
    pub edges: Range<usize>,
    /// Whether it can answer reads.
    pub readable: bool,
    /// Whether it can accept writes.
    pub writable: bool,
    pub(crate) direction: Direction,
}

/// A door.
#[derive(Clone, Debug)]
pub struct DoorView {
    /// The door.
    pub door: Arc<Door>,
    /// The state that the probes show.
    pub state: State,
    /// The remaining time of its ejection, if it is ejected.
    pub ejected_for: Option<Duration>,
    /// Whether it may receive requests: healthy and not ejected.
    pub usable: bool,
    /// Whether it accepts or forwards writes.
    pub writable: bool,
    /// The epoch in which it leads, if its last probe reported one.
    pub leads: Option<u64>,
    /// The share of its weight that it has, below one while it returns.
    pub back: f64,
    /// The duration of a probe, in milliseconds.
    pub latency_ms: Option<f64>,
}

// === impl View ===

impl View {
    pub(crate) fn new(topology: &Topology, generation: u64, regions: Vec<RegionView>, doors: Vec<DoorView>) -> Self {
        let place = |name: &RegionName| regions.iter().position(|region| region.name == *name);
        let pins = topology.tenants.iter();
        let pins = pins.map(|tenant| (tenant.name.clone(), tenant.regions.iter().filter_map(place).collect()));
        Self { topology: topology.name.clone(), generation, pins: pins.collect(), regions, doors }
    }

    /// Returns the index of a region.
    #[must_use]
    pub fn region(&self, name: &str) -> Option<usize> {
        self.regions.iter().position(|region| region.name.as_str() == name)
    }

    /// Returns the regions that a tenant is restricted to; `None` if it is not restricted.
    #[must_use]
    pub fn pin(&self, tenant: &str) -> Option<&[usize]> {
        self.pins.get(tenant).map(Vec::as_slice)
    }

    /// Returns whether reads can be answered: by a healthy edge, or else by one that has data.
    #[must_use]
    pub fn is_usable(&self) -> bool {
        let answers = |at: usize| self.doors.get(at).is_some_and(|door| door.state.answers());
        self.regions.iter().any(|region| region.role != Role::Draining && region.edges.clone().any(answers))
    }

    /// Returns whether every door was probed.
    #[must_use]
    pub fn is_known(&self) -> bool {
        self.doors.iter().all(|door| door.state != State::Unknown)
    }
}

// === impl RegionView ===

impl RegionView {
    /// Returns whether one of its members accepts writes; otherwise any writable door there forwards them.
    #[must_use]
    pub fn leads(&self) -> bool {
        self.leading.is_some()
    }

    /// Returns its current share of the requests for which it is the nearest. Writes go to its leader even while its
    /// edges return: another region's leader would apply a retried write a second time. If none of its edges is usable,
    /// the region may be lost, which reads notice long before the leader's next probe.
    #[must_use]
    pub fn share(&self, purpose: Purpose) -> f64 {
        let back = if purpose == Purpose::Write && self.readable { 1.0 } else { self.back };
        self.weight * back
    }

    /// Returns the indexes of its doors, those that may lead first.
    pub fn doors(&self) -> impl Iterator<Item = usize> + use<> {
        self.leaders.clone().chain(self.edges.clone())
    }

    pub(crate) fn new(region: &Region, leaders: Range<usize>, edges: Range<usize>, doors: &[DoorView]) -> Self {
        let usable = || doors.get(edges.clone()).unwrap_or_default().iter().filter(|door| door.usable);
        let back = usable().map(|door| door.back).fold(0.0, f64::max);
        let latency_ms = usable().filter_map(|door| door.latency_ms).fold(f64::INFINITY, f64::min);
        let takes_writes = |at: &usize| doors.get(*at).filter(|door| door.usable && door.writable);
        // Two doors that were probed at different times may both report that they lead: the newer epoch is right.
        let leading = leaders.clone().filter(|at| takes_writes(at).is_some_and(|door| door.leads.is_some()));
        let leading = leading.max_by_key(|at| (takes_writes(at).and_then(|door| door.leads), usize::MAX - at));
        let passes_on = leaders.clone().chain(edges.clone()).any(|at| takes_writes(&at).is_some());
        let coordinates = region.coordinates();
        Self {
            name: region.name,
            coordinates,
            role: region.role,
            weight: f64::from(region.weight) / 100.0,
            back,
            latency_ms: if latency_ms.is_finite() { latency_ms } else { 0.0 },
            readable: usable().next().is_some(),
            writable: passes_on,
            direction: coordinates.direction(),
            leaders,
            leading,
            edges,
        }
    }
}

// === impl DoorView ===

impl DoorView {
    /// Returns its current weight.
    #[must_use]
    pub fn weight(&self) -> f64 {
        f64::from(self.door.weight) * self.back
    }
}
