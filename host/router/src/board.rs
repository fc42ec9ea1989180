//! The board: the view that decisions use, and the number of requests in flight to each of its doors.

use crate::decision::{
    member::MemberId,
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
        let counts: HashMap<MemberId, &Arc<AtomicU32>> = old
            .map(|old| old.view.members.iter().map(|member| member.door.id).zip(&old.in_flight).collect())
            .unwrap_or_default();
        let count = |id: &MemberId| counts.get(id).map(|count| (*count).clone()).unwrap_or_default();
        let in_flight = view.members.iter().map(|member| count(&member.door.id)).collect();
        Self { view, in_flight }
    }

    /// Returns the number of requests in flight to a door, by its index among the view's members.
    #[must_use]
    pub fn in_flight(&self, member: usize) -> u32 {
        self.in_flight.get(member).map_or(0, |count| count.load(Relaxed))
    }

    /// Decides with the board's view and counts.
    #[must_use]
    pub fn decide(&self, criteria: &Criteria<'_>) -> Decision {
        decide(&self.view, criteria, |member| self.in_flight(member))
    }

    /// Counts a request to a door.
    #[must_use]
    pub fn enter(&self, member: usize) -> InFlight {
        let count = self.in_flight.get(member).cloned().unwrap_or_default();
        count.fetch_add(1, Relaxed);
        InFlight(count)
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}
