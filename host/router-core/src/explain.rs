//! Explains a decision: the state of each region, and the result.

use crate::{
    coordinates::Coordinates,
    health::State,
    location::{Location, Source},
    reason::Shown,
    select::{Criteria, Purpose, can_serve, cost_ms, decide},
    topology::Role,
    view::{DoorView, View},
};
use littoral_model::region::Region;
use serde::Serialize;

/// A decision with all of its inputs.
#[derive(Clone, Debug, Serialize)]
pub struct Explanation {
    /// The topology's name.
    pub topology: String,
    /// `read`, `write` or `name`.
    pub purpose: &'static str,
    /// The client's coordinates.
    pub place: Option<Coordinates>,
    /// The source of the coordinates.
    pub place_source: Source,
    /// The tenant, if it is restricted to some regions.
    pub tenant: Option<String>,
    /// The regions that the tenant is restricted to.
    pub pinned_to: Option<Vec<Region>>,
    /// Why the first door is the first.
    pub reason: String,
    /// The doors in the order in which they are tried.
    pub candidates: Vec<Choice>,
    /// Every region, the cheapest first.
    pub regions: Vec<Weighed>,
}

/// A door that a request may be sent to.
#[derive(Clone, Debug, Serialize)]
pub struct Choice {
    /// Its region.
    pub region: Region,
    /// The node.
    pub node: String,
    /// Its address.
    pub door: String,
    /// The estimated cost of a round trip, in milliseconds.
    pub cost_ms: f64,
    /// Requests in flight to the door.
    pub in_flight: u32,
}

/// A region, and how it was weighed.
#[derive(Clone, Debug, Serialize)]
pub struct Weighed {
    /// Its name.
    pub region: Region,
    /// Its role.
    pub role: Role,
    /// The distance from the client in kilometres, if the client's location is known.
    pub distance_km: Option<f64>,
    /// The router's measured latency to the region, in milliseconds.
    pub latency_ms: f64,
    /// The estimated cost of a round trip, in milliseconds.
    pub cost_ms: f64,
    /// The share of its requests that it currently receives.
    pub share: f64,
    /// Whether the request may be sent there.
    pub takes: bool,
    /// Why not; empty if it may.
    pub why_not: String,
    /// Its doors.
    pub doors: Vec<Seen>,
}

/// A door and its state.
#[derive(Clone, Debug, Serialize)]
pub struct Seen {
    /// The node.
    pub node: String,
    /// Its address.
    pub door: String,
    /// The state that the probes show.
    pub state: State,
    /// The remaining time of its ejection, in milliseconds.
    pub ejected_for_ms: Option<u64>,
    /// The duration of a probe, in milliseconds.
    pub latency_ms: Option<f64>,
    /// Whether it accepts or forwards writes.
    pub writable: bool,
    /// The epoch in which it leads, if it does.
    pub leads: Option<u64>,
    /// Its current weight.
    pub weight: f64,
    /// Requests in flight to the door.
    pub in_flight: u32,
}

/// Decides, and returns the decision with its inputs.
#[must_use]
pub fn explain(
    view: &View,
    criteria: &Criteria<'_>,
    place: &Location,
    in_flight: impl Fn(usize) -> u32,
) -> Explanation {
    let decision = decide(view, &Criteria { limit: usize::MAX, place: place.coordinates, ..*criteria }, &in_flight);
    let pin = criteria.tenant.and_then(|tenant| view.pin(tenant));
    let from = place.coordinates.map(Coordinates::direction);
    let weigh = |(index, region): (usize, &crate::view::RegionView)| {
        let pinned_away = pin.is_some_and(|pin| !pin.contains(&index));
        let takes = !pinned_away && can_serve(region, criteria.purpose);
        let doors = region.doors().filter_map(|at| Some(seen(view.doors.get(at)?, in_flight(at))));
        Weighed {
            region: region.name,
            role: region.role,
            distance_km: from.map(|from| from.km_to(region.direction).round()),
            latency_ms: region.latency_ms,
            cost_ms: cost_ms(region, from, criteria.purpose),
            share: region.share(criteria.purpose),
            takes,
            why_not: if takes { String::new() } else { why_not(region.role, criteria.purpose, pinned_away).to_owned() },
            doors: doors.collect(),
        }
    };
    let mut regions: Vec<_> = view.regions.iter().enumerate().map(weigh).collect();
    regions.sort_by(|a, b| a.cost_ms.total_cmp(&b.cost_ms));
    let choice = |ranked: &crate::select::RankedDoor| {
        let door = &view.doors.get(ranked.door)?.door;
        Some(Choice {
            region: door.region,
            node: door.name.clone(),
            door: door.address.clone(),
            cost_ms: ranked.cost_ms,
            in_flight: in_flight(ranked.door),
        })
    };
    let name = |index: &usize| view.regions.get(*index).map(|region| region.name);
    Explanation {
        topology: view.topology.clone(),
        purpose: match criteria.purpose {
            Purpose::Read => "read",
            Purpose::Write => "write",
            Purpose::Name => "name",
        },
        place: place.coordinates,
        place_source: place.source,
        tenant: criteria.tenant.map(str::to_owned),
        pinned_to: pin.map(|pin| pin.iter().filter_map(name).collect()),
        reason: if decision.ranked.is_empty() {
            "no door is left".to_owned()
        } else {
            Shown { reason: decision.reason, view }.to_string()
        },
        candidates: decision.ranked.iter().filter_map(choice).collect(),
        regions,
    }
}

fn why_not(role: Role, purpose: Purpose, pinned_away: bool) -> &'static str {
    match (pinned_away, role, purpose) {
        (true, ..) => "the tenant is restricted to other regions",
        (_, Role::Draining, _) => "it is draining",
        (_, Role::Standby, Purpose::Write) => "it is on standby and accepts no writes",
        (_, _, Purpose::Write) => "no leader there is known to accept writes",
        _ => "no edge there is known to be healthy",
    }
}

/// Returns a door and its state.
#[must_use]
pub fn seen(view: &DoorView, in_flight: u32) -> Seen {
    Seen {
        node: view.door.name.clone(),
        door: view.door.address.clone(),
        state: view.state,
        ejected_for_ms: view.ejected_for.map(|lasts| lasts.as_millis() as u64),
        latency_ms: view.latency_ms,
        writable: view.writable,
        leads: view.leads,
        weight: view.weight(),
        in_flight,
    }
}
