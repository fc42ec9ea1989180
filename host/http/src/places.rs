//! The places of a listener's connections, and which connection gives way when they are used up.
//!
//! Connections are grouped by the addresses of their clients ([`Group`]). When all places are taken, an idle connection
//! of the group that has the most gives way to the new one. So a client that opens many connections competes with
//! itself, and idle connections never exclude a client. While requests run on all connections, new ones share a small
//! reserve, which answers only vital requests. A wait in the system's backlog was rejected: 10,000 idle connections
//! would silence the listener, its health included.

mod pool;
mod report;
mod seat;

pub use littoral_runtime::shares::Group;
pub(crate) use seat::{Running, Seat};

use crate::Limits;
use littoral_runtime::{live::Live, shares::Load};
use pool::{Pool, Victim};
use report::{Bound, Report};
use std::{
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

/// The number of connections of a listener that are accepted while requests run on all others.
pub const RESERVE: usize = 64;

/// A bound that was reached, and the group whose connection gave way or was rejected.
type Event = (Bound, Group);

/// The places of a listener. Clones share them.
#[derive(Clone, Debug)]
pub(crate) struct Places(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    connections_max: usize,
    connections_per_address_max: usize,
    handshakes_max: usize,
    /// What addresses use of the bounds that clients share.
    loads: Live<Group, Load>,
    state: Mutex<State>,
}

/// The connections. The reserve's are not among `all`; those in a TLS handshake are in one of both and in `handshakes`.
#[derive(Debug, Default)]
struct State {
    all: Pool,
    reserve: Pool,
    handshakes: Pool,
    /// The connections whose clients presented a certificate, by its owner.
    identities: Pool<Arc<str>>,
    report: Report,
}

/// The place of a connection, returned when it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    places: Places,
    seat: Arc<Seat>,
    number: u64,
    is_reserve: bool,
}

/// The connection of an identity, until it is dropped.
#[derive(Debug)]
pub(crate) struct Identified<'a> {
    place: &'a Place,
    identity: Arc<str>,
    number: u64,
}

/// The TLS handshake of a connection, until it is dropped.
#[derive(Debug)]
pub(crate) struct Handshake<'a> {
    place: &'a Place,
    number: u64,
}

// === impl Places ===

impl Places {
    pub(crate) fn new(limits: &Limits) -> Self {
        let connections_max = limits.connections_max.max(1);
        Self(Arc::new(Shared {
            connections_max,
            connections_per_address_max: limits.connections_per_address_max.max(1),
            // More than that are a sign of clients that begin handshakes and leave them.
            handshakes_max: (connections_max / 4).max(RESERVE),
            loads: Live::default(),
            state: Mutex::default(),
        }))
    }

    /// Returns a place for a new connection. Another connection may have to give way for it. It is in the reserve while
    /// requests run on all others, or on all that its client's address may have.
    pub(crate) fn enter(&self, address: IpAddr, is_exempt: bool) -> Place {
        // A trusted router and a stranger in its network are not of one group.
        let group = if is_exempt { Group::alone(address) } else { Group::of(address) };
        let load = (!is_exempt).then(|| self.0.loads.get(group, Load::default));
        let seat = Arc::new(Seat::new(group, load));
        let mut state = self.lock();
        let State { all, reserve, .. } = &mut *state;
        let mut number = all.add(seat.clone());
        let (mut gave_way, mut rejected) = (None, None);
        let of_group = |bound| Some((bound, group));
        if !is_exempt && all.count(&group) > self.0.connections_per_address_max {
            match all.give_way_in(&group, Victim::Idle, number) {
                true => gave_way = of_group(Bound::Address),
                false => rejected = of_group(Bound::Address),
            }
        } else if all.len() > self.0.connections_max {
            match all.give_way(Victim::Idle, number) {
                Some(group) => gave_way = Some((Bound::Places, group)),
                None => rejected = of_group(Bound::Places),
            }
        }
        let is_reserve = rejected.is_some();
        if is_reserve {
            all.remove(&group, number);
            number = reserve.add(seat.clone());
            if reserve.len() > RESERVE
                && let Some(group) = reserve.give_way(Victim::Any, number)
            {
                gave_way = Some((Bound::Reserve, group));
            }
        }
        self.note(state, gave_way, rejected);
        Place { places: self.clone(), seat, number, is_reserve }
    }

    /// Counts what happened, and logs it from time to time.
    fn note(&self, mut state: MutexGuard<'_, State>, gave_way: Option<Event>, rejected: Option<Event>) {
        let Some((bound, client)) = gave_way.or(rejected) else { return };
        let open = state.all.len();
        let bounds = [gave_way, rejected].map(|event| event.map(|(bound, _)| bound));
        let summary = state.report.note(bounds[0], bounds[1], Instant::now());
        drop(state);
        if let Some(summary) = summary {
            summary.log(bound, client, open);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Place ===

impl Place {
    /// Returns the connection.
    pub(crate) fn seat(&self) -> &Arc<Seat> {
        &self.seat
    }

    /// Returns whether the connection is in the reserve: only vital requests are answered, and one answer ends it.
    pub(crate) fn is_reserve(&self) -> bool {
        self.is_reserve
    }

    /// Begins the TLS handshake. If too many run, one of the client that has the most gives way.
    pub(crate) fn handshake(&self) -> Handshake<'_> {
        let mut state = self.places.lock();
        let number = state.handshakes.add(self.seat.clone());
        let is_full = state.handshakes.len() > self.places.0.handshakes_max;
        let gave_way = if is_full { state.handshakes.give_way(Victim::Idle, number) } else { None };
        self.places.note(state, gave_way.map(|group| (Bound::Handshakes, group)), None);
        Handshake { place: self, number }
    }

    /// Counts the connection for the owner of its client's certificate, too, who has as many as an address. Beyond
    /// that, another connection of this identity gives way. Returns `None` if requests run on all of them.
    pub(crate) fn identify(&self, identity: &str) -> Option<Identified<'_>> {
        let identity = Arc::from(identity);
        let mut state = self.places.lock();
        let identities = &mut state.identities;
        let number = identities.add_to(&identity, self.seat.clone());
        let is_full = identities.count(&identity) > self.places.0.connections_per_address_max;
        let gives_way = is_full && identities.give_way_in(&identity, Victim::Idle, number);
        let is_rejected = is_full && !gives_way;
        if is_rejected {
            identities.remove(&identity, number);
        }
        let bound = |is: bool| is.then_some((Bound::Identity, self.seat.group));
        self.places.note(state, bound(gives_way), bound(is_rejected));
        (!is_rejected).then(|| Identified { place: self, identity, number })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.places.lock();
        let pool = if self.is_reserve { &mut state.reserve } else { &mut state.all };
        pool.remove(&self.seat.group, self.number);
    }
}

impl Drop for Identified<'_> {
    fn drop(&mut self) {
        self.place.places.lock().identities.remove(&self.identity, self.number);
    }
}

impl Drop for Handshake<'_> {
    fn drop(&mut self) {
        self.place.places.lock().handshakes.remove(&self.place.seat.group, self.number);
    }
}

#[cfg(test)]
mod tests;
