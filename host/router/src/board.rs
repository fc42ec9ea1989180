//! The board: the view that decisions use, and the number of requests in flight to each of its doors.

use crate::decision::{
    door::DoorId,
    select::{Criteria, Decision, decide},
    view::View,
};
use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
};

/// The view, and the number of requests in flight to each of its doors.
#[derive(Clone, Debug)]
pub struct Board {
    /// The view.
    pub view: View,
    in_flight: Vec<Arc<AtomicU32>>,
}

/// A request in flight to a door; counted until it is dropped.
#[derive(Debug)]
pub struct InFlight(Arc<AtomicU32>);

// === impl Board ===

impl Board {
    pub(crate) fn new(view: View, old: Option<&Board>) -> Self {
        let counts: HashMap<DoorId, &Arc<AtomicU32>> = old
            .map(|old| old.view.doors.iter().map(|view| view.door.id).zip(&old.in_flight).collect())
            .unwrap_or_default();
        let count = |id: &DoorId| counts.get(id).map(|count| (*count).clone()).unwrap_or_default();
        let in_flight = view.doors.iter().map(|view| count(&view.door.id)).collect();
        Self { view, in_flight }
    }

    /// Returns the number of requests in flight to a door, by its index among the view's doors.
    #[must_use]
    pub fn in_flight(&self, door: usize) -> u32 {
        self.in_flight.get(door).map_or(0, |count| count.load(Relaxed))
    }

    /// Decides with the board's view and counts.
    #[must_use]
    pub fn decide(&self, criteria: &Criteria<'_>) -> Decision {
        decide(&self.view, criteria, |door| self.in_flight(door))
    }

    /// Counts a request to a door.
    #[must_use]
    pub fn enter(&self, door: usize) -> InFlight {
        let count = self.in_flight.get(door).cloned().unwrap_or_default();
        count.fetch_add(1, Relaxed);
        InFlight(count)
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}
