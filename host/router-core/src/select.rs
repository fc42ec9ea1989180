//! The decision: the doors that a request may be sent to, best first, and the reason.

use crate::topology::Role;
use crate::{
    coordinates::{Coordinates, Direction},
    dice::Dice,
    health::State,
    reason::{Kind, Reason},
    view::{RegionView, View},
};

/// The purpose of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A read: any edge answers it.
    Read,
    /// A write: an active region's leader accepts it.
    Write,
    /// The addresses of a name. The client connects itself, so the router's measurements do not count.
    Name,
}

/// The criteria of a decision.
#[derive(Clone, Copy, Debug)]
pub struct Criteria<'a> {
    /// The purpose of the request.
    pub purpose: Purpose,
    /// The client's coordinates.
    pub place: Option<Coordinates>,
    /// The tenant that sent the request.
    pub tenant: Option<&'a str>,
    /// Doors with this many requests in flight receive no more while others are left.
    pub in_flight_max: u32,
    /// The number of doors to return. If one region has that many, the last door is one of another region.
    pub limit: usize,
    /// A random number; a retried write uses the same one.
    pub dice: u64,
}

/// A door that the request may be sent to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RankedDoor {
    /// The index of the door among the view's doors.
    pub door: usize,
    /// The index of its region among the view's regions.
    pub region: usize,
    /// The estimated cost of a round trip, in milliseconds.
    pub cost_ms: f64,
}

/// The doors, best first, and why the first one is.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// The doors; empty if none is left.
    pub ranked: Vec<RankedDoor>,
    /// Why the first door is the first.
    pub reason: Reason,
}

/// A region that may be chosen.
struct Near {
    /// Orders by rank, then by cost: one comparison of integers, because all regions are compared for each choice.
    key: u64,
    cost_ms: f64,
    region: usize,
}

/// What is added to a region's rank; the lowest rank is chosen first. `DEFERRED`: the region leaves this request to
/// others, because it receives only a share of its requests. `LAST`: it is on standby, or the request is a write and no
/// leader there accepts it.
const DEFERRED: u8 = 1;
const LAST: u8 = 2;

/// Decides. `in_flight` returns how many requests are in flight to a door, by its index among the view's doors.
#[must_use]
pub fn decide(view: &View, criteria: &Criteria<'_>, in_flight: impl Fn(usize) -> u32) -> Decision {
    let mut dice = Dice::new(criteria.dice);
    let from = criteria.place.map(Coordinates::direction);
    let pin = criteria.tenant.and_then(|tenant| view.pin(tenant));
    let mut near = Vec::with_capacity(view.regions.len());
    let mut nearest: Option<(f64, usize)> = None;
    for (index, region) in view.regions.iter().enumerate() {
        if pin.is_some_and(|pin| !pin.contains(&index)) {
            continue;
        }
        let cost_ms = cost_ms(region, from, criteria.purpose);
        if nearest.is_none_or(|(least, _)| cost_ms < least) {
            nearest = Some((cost_ms, index));
        }
        if can_serve(region, criteria.purpose) {
            let share = region.share(criteria.purpose);
            let deferred = share < 1.0 && dice.share() >= share;
            // A write that would only be forwarded is better sent directly to the region that accepts it.
            let last = region.role == Role::Standby || (criteria.purpose == Purpose::Write && !region.leads());
            let rank = if last { LAST } else { 0 } + u8::from(deferred) * DEFERRED;
            near.push(Near { key: key(rank, cost_ms), cost_ms, region: index });
        }
    }
    let mut choice =
        Choice { view, criteria, in_flight: &in_flight, dice, found: Vec::with_capacity(4), full: Vec::new() };
    while choice.found.len() < criteria.limit || choice.is_of_one_region() {
        let next = near.iter().enumerate().min_by_key(|(_, near)| near.key);
        let Some((at, _)) = next else { break };
        let next = near.swap_remove(at);
        choice.expand(&next);
    }
    choice.put_another_region_last();
    let Choice { mut found, full, .. } = choice;
    found.extend(full);
    let panic = found.is_empty();
    if panic {
        found = last_resort(view, criteria);
    }
    found.truncate(criteria.limit);
    let reason = reason(view, criteria, nearest.map(|(_, region)| region), found.first(), panic);
    Decision { ranked: found, reason }
}

/// Returns a key that orders by rank, then by cost: the bits of a number that is not negative order like the number.
/// The rank displaces two bits of the cost, which stand for less than a millionth of a nanosecond.
fn key(rank: u8, cost_ms: f64) -> u64 {
    u64::from(rank) << 62 | cost_ms.to_bits() >> 2
}

/// Returns the cost of a round trip: the distance to the region, and the router's latency to it.
pub(crate) fn cost_ms(region: &RegionView, from: Option<Direction>, purpose: Purpose) -> f64 {
    let way = from.map_or(0.0, |from| from.round_trip_ms_to(region.direction));
    if purpose == Purpose::Name { way } else { way + region.latency_ms }
}

/// Returns whether a region can currently serve the purpose.
pub(crate) fn can_serve(region: &RegionView, purpose: Purpose) -> bool {
    match purpose {
        Purpose::Read | Purpose::Name => region.role != Role::Draining && region.readable,
        Purpose::Write => region.role == Role::Active && region.writable,
    }
}

struct Choice<'a, F> {
    view: &'a View,
    criteria: &'a Criteria<'a>,
    in_flight: &'a F,
    dice: Dice,
    found: Vec<RankedDoor>,
    full: Vec<RankedDoor>,
}

impl<F: Fn(usize) -> u32> Choice<'_, F> {
    /// Adds a region's doors.
    fn expand(&mut self, near: &Near) {
        let Some(region) = self.view.regions.get(near.region) else { return };
        let writes = self.criteria.purpose == Purpose::Write;
        let room = |at: &usize| self.view.doors.get(*at).is_some_and(|door| door.usable && (!writes || door.writable));
        let (view, in_flight) = (self.view, self.in_flight);
        // The other edges follow for when the first one fails: the least busy for its weight first.
        let busy = |at: &usize| f64::from(in_flight(*at) + 1) / weight(view, *at);
        if writes {
            // The leader, then the followers of its log: they forward a write, or wait until a member leads.
            let mut others: Vec<usize> =
                region.leaders.clone().filter(|at| room(at) && region.leading != Some(*at)).collect();
            others.sort_by(|a, b| busy(a).total_cmp(&busy(b)));
            region.leading.into_iter().chain(others).for_each(|door| self.put(near, door));
        }
        let mut edges: Vec<usize> = region.edges.clone().filter(room).collect();
        if let Some(first) = self.first_of(&edges)
            && let Some(door) = edges.get(first).copied()
        {
            edges.remove(first);
            self.put(near, door);
        }
        edges.sort_by(|a, b| busy(a).total_cmp(&busy(b)));
        for door in edges {
            self.put(near, door);
        }
    }

    fn put(&mut self, near: &Near, door: usize) {
        let ranked = RankedDoor { door, region: near.region, cost_ms: near.cost_ms };
        let is_full = (self.in_flight)(door) >= self.criteria.in_flight_max;
        if is_full { self.full.push(ranked) } else { self.found.push(ranked) }
    }

    /// Returns whether all chosen doors are of one region, which may fail as a whole.
    fn is_of_one_region(&self) -> bool {
        let first = self.found.first().map(|first| first.region);
        self.criteria.limit > 1 && self.found.last().map(|last| last.region) == first
    }

    /// Replaces the last door by another region's, if the first region's would fill the list.
    fn put_another_region_last(&mut self) {
        let last = self.criteria.limit.saturating_sub(1);
        let Some(first) = self.found.first().map(|first| first.region) else { return };
        let another = self.found.iter().position(|ranked| ranked.region != first);
        if let Some(another) = another.filter(|another| last > 0 && *another > last) {
            self.found.swap(last, another);
        }
    }

    /// Draws two edges by weight and returns the less busy one. This is nearly as even as comparing all edges, and not
    /// every router chooses the same edge.
    fn first_of(&mut self, edges: &[usize]) -> Option<usize> {
        if edges.len() < 2 {
            return (!edges.is_empty()).then_some(0);
        }
        let all: f64 = edges.iter().map(|at| self.weight(*at)).sum();
        let (one, other) = (self.draw(edges, all), self.draw(edges, all));
        let busy = |place: usize| {
            edges.get(place).map_or(f64::INFINITY, |at| f64::from((self.in_flight)(*at) + 1) / self.weight(*at))
        };
        Some(if busy(other) < busy(one) { other } else { one })
    }

    fn draw(&mut self, edges: &[usize], all: f64) -> usize {
        let mut left = self.dice.share() * all;
        for (place, at) in edges.iter().enumerate() {
            left -= self.weight(*at);
            if left < 0.0 {
                return place;
            }
        }
        edges.len() - 1
    }

    fn weight(&self, door: usize) -> f64 {
        weight(self.view, door)
    }
}

fn weight(view: &View, door: usize) -> f64 {
    view.doors.get(door).map_or(1.0, |door| door.weight().max(1e-3))
}

/// Ranks a door's state for when there is nothing better; `None` for a door that must never be used: it has no data, or
/// is another region's.
fn rank_of_last_resort(state: State) -> Option<u8> {
    match state {
        // It answers normally until it stops.
        State::Draining => Some(0),
        // It is ejected: its probes succeed.
        State::Healthy => Some(1),
        State::Unknown => Some(2),
        State::Lagging => Some(3),
        State::Unreachable => Some(4),
        State::Empty | State::WrongRegion => None,
    }
}

/// Returns doors that are not known to be healthy but may answer, the best first: they are tried when all better ones
/// have failed. Draining regions and tenants' restrictions still apply.
#[must_use]
pub fn last_resort(view: &View, criteria: &Criteria<'_>) -> Vec<RankedDoor> {
    let from = criteria.place.map(Coordinates::direction);
    let pin = criteria.tenant.and_then(|tenant| view.pin(tenant));
    let mut left = Vec::new();
    for (index, region) in view.regions.iter().enumerate() {
        let allowed = pin.is_none_or(|pin| pin.contains(&index)) && region.role != Role::Draining;
        let writes = criteria.purpose == Purpose::Write;
        if !allowed || (writes && region.role != Role::Active) {
            continue;
        }
        let cost_ms = cost_ms(region, from, criteria.purpose);
        let doors = region.doors().filter(|at| writes || region.edges.contains(at));
        for door in doors {
            if let Some(bad) = view.doors.get(door).and_then(|door| rank_of_last_resort(door.state)) {
                left.push((bad, region.role == Role::Standby, RankedDoor { door, region: index, cost_ms }));
            }
        }
    }
    // Equal edges alternate, so that the first of them does not receive all reads.
    let turn = |ranked: &RankedDoor| match criteria.purpose {
        Purpose::Write => 0,
        Purpose::Read | Purpose::Name => Dice::new(criteria.dice ^ ranked.door as u64).roll(),
    };
    left.sort_by(|(bad, standby, one), (worse, other_standby, other)| {
        let nearer = one.cost_ms.total_cmp(&other.cost_ms);
        bad.cmp(worse).then(standby.cmp(other_standby)).then(nearer).then(turn(one).cmp(&turn(other)))
    });
    left.into_iter().map(|(_, _, ranked)| ranked).collect()
}

fn reason(
    view: &View,
    criteria: &Criteria<'_>,
    nearest: Option<usize>,
    first: Option<&RankedDoor>,
    panic: bool,
) -> Reason {
    let passed_over = nearest.filter(|nearest| first.is_none_or(|first| first.region != *nearest));
    let state = first.and_then(|first| view.doors.get(first.door)).map(|door| door.state);
    let chosen = first.and_then(|first| view.regions.get(first.region));
    let kind = if panic {
        Kind::Panic(state.unwrap_or(State::Unreachable))
    } else if criteria.purpose != Purpose::Write && chosen.is_some_and(|region| region.role == Role::Standby) {
        Kind::Standby
    } else {
        match passed_over.and_then(|nearest| view.regions.get(nearest)) {
            None => Kind::Nearest,
            Some(region) if region.role == Role::Draining => Kind::NearerDraining,
            Some(region) if region.role == Role::Standby => Kind::NearerStandby,
            Some(region) if !can_serve(region, criteria.purpose) => Kind::NearerUnhealthy,
            Some(region)
                if criteria.purpose == Purpose::Write && !region.leads() && chosen.is_some_and(RegionView::leads) =>
            {
                Kind::NearerForwards
            }
            // Either it deferred the request, or its doors are full; a share below one makes the former more likely.
            Some(region) if region.share(criteria.purpose) < 1.0 => Kind::NearerShares,
            Some(_) => Kind::NearerFull,
        }
    };
    Reason { kind, passed_over }
}
