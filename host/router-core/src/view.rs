//! What decisions are made by: everything that is known, as of one moment, laid out so that a decision is quick.

use crate::{
    coordinates::{Coordinates, Direction},
    health::State,
    member::Door,
    select::Purpose,
    topology::{Region, Role, Topology},
};
use littoral_model::region::Region as RegionName;
use std::{collections::HashMap, ops::Range, sync::Arc, time::Duration};

/// Everything that is known, as of one moment.
#[derive(Clone, Debug)]
pub struct View {
    /// The topology's name.
    pub topology: String,
    /// Grows with each topology.
    pub generation: u64,
    /// The regions, in the topology's order.
    pub regions: Vec<RegionView>,
    /// The doors, those of a region side by side, those that may lead first.
    pub members: Vec<MemberView>,
    /// For each tenant that is pinned, the regions that it may go to.
    pins: HashMap<String, Vec<usize>>,
}

/// A region.
#[derive(Clone, Debug)]
pub struct RegionView {
    /// Its name.
    pub name: RegionName,
    /// Where it is.
    pub coordinates: Coordinates,
    /// What it does.
    pub role: Role,
    /// Of the requests for which it is the nearest, it takes this share: what the topology says.
    pub weight: f64,
    /// The share of its weight that its edges get, below one while they come back.
    pub back: f64,
    /// What the router measures to it at best, in milliseconds; 0 when that is not known.
    pub latency_ms: f64,
    /// Its leader's door, or those of its log's members, among the doors.
    pub leaders: Range<usize>,
    /// The one of them that leads and takes writes, as far as is known.
    pub leading: Option<usize>,
    /// Its edges, among the doors.
    pub edges: Range<usize>,
    /// Whether it can answer reads.
    pub readable: bool,
    /// Whether it can take writes.
    pub writable: bool,
    pub(crate) direction: Direction,
}

/// A door.
#[derive(Clone, Debug)]
pub struct MemberView {
    /// The door.
    pub door: Arc<Door>,
    /// What probes say.
    pub state: State,
    /// For how long it is still ejected, if it is.
    pub ejected_for: Option<Duration>,
    /// Whether it may get requests: healthy and not ejected.
    pub usable: bool,
    /// Whether writes get through it.
    pub writable: bool,
    /// In which epoch it leads, if it said so when it was probed last.
    pub leads: Option<u64>,
    /// The share of its weight that it gets, below one while it comes back.
    pub back: f64,
    /// What a probe takes, in milliseconds.
    pub latency_ms: Option<f64>,
}

// === impl View ===

impl View {
    pub(crate) fn new(
        topology: &Topology,
        generation: u64,
        regions: Vec<RegionView>,
        members: Vec<MemberView>,
    ) -> Self {
        let place = |name: &RegionName| regions.iter().position(|region| region.name == *name);
        let pins = topology.tenants.iter();
        let pins = pins.map(|tenant| (tenant.name.clone(), tenant.regions.iter().filter_map(place).collect()));
        Self { topology: topology.name.clone(), generation, pins: pins.collect(), regions, members }
    }

    /// A region's place among the regions.
    #[must_use]
    pub fn region(&self, name: &str) -> Option<usize> {
        self.regions.iter().position(|region| region.name.as_str() == name)
    }

    /// The regions that a tenant must stay in; `None` for one that is not pinned.
    #[must_use]
    pub fn pin(&self, tenant: &str) -> Option<&[usize]> {
        self.pins.get(tenant).map(Vec::as_slice)
    }

    /// Whether reads are answered: by an edge that is well, or, when there is none, by one that has data all the same.
    #[must_use]
    pub fn is_usable(&self) -> bool {
        let answers = |at: usize| self.members.get(at).is_some_and(|member| member.state.answers());
        self.regions.iter().any(|region| region.role != Role::Draining && region.edges.clone().any(answers))
    }

    /// Whether every door was probed.
    #[must_use]
    pub fn is_known(&self) -> bool {
        self.members.iter().all(|member| member.state != State::Unknown)
    }
}

// === impl RegionView ===

impl RegionView {
    /// Whether one of its own takes writes; else whoever is writable there passes them on.
    #[must_use]
    pub fn leads(&self) -> bool {
        self.leading.is_some()
    }

    /// Of the requests for which it is the nearest, it takes this share as things are. Writes go to its leader also while its edges
    /// come back: another region's would take a write that is sent again a second time. When none of its edges is usable, the
    /// region may be lost, which is noticed by reads long before the leader's next probe.
    #[must_use]
    pub fn share(&self, purpose: Purpose) -> f64 {
        let back = if purpose == Purpose::Write && self.readable { 1.0 } else { self.back };
        self.weight * back
    }

    /// Its doors, those that may lead first.
    pub fn doors(&self) -> impl Iterator<Item = usize> + use<> {
        self.leaders.clone().chain(self.edges.clone())
    }

    pub(crate) fn new(region: &Region, leaders: Range<usize>, edges: Range<usize>, members: &[MemberView]) -> Self {
        let usable = || members.get(edges.clone()).unwrap_or_default().iter().filter(|member| member.usable);
        let back = usable().map(|member| member.back).fold(0.0, f64::max);
        let latency_ms = usable().filter_map(|member| member.latency_ms).fold(f64::INFINITY, f64::min);
        let takes_writes = |at: &usize| members.get(*at).filter(|member| member.usable && member.writable);
        // Two that were asked at different times may both have said that they lead: the newer epoch is right.
        let leading = leaders.clone().filter(|at| takes_writes(at).is_some_and(|member| member.leads.is_some()));
        let leading = leading.max_by_key(|at| (takes_writes(at).and_then(|member| member.leads), usize::MAX - at));
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

// === impl MemberView ===

impl MemberView {
    /// Its weight as of now.
    #[must_use]
    pub fn weight(&self) -> f64 {
        f64::from(self.door.weight) * self.back
    }
}
