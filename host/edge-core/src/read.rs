//! A read of the replica, and which answers of the leader may stand beside it.

use crate::{
    fills::Answered,
    replica::{Holding, Replica},
};
use littoral_model::{
    lives::RegionLives,
    mutation::{Mutation, active},
    position::Position,
    read::{ReadError, ReadRequest},
    row::Row,
};
use littoral_replica::Numbering;
use std::sync::Arc;

pub use littoral_model::read::Place;

/// How often a key is asked of the leader when others' flights were too old for this read.
pub const JOINS_MAX: usize = 8;

/// Reads what is held and notes what is not. Position and staleness were read before, so that the rows are at least as
/// fresh. Returns whether a view is asked that should be full and did not fit.
pub fn local(
    replica: &Replica,
    request: &ReadRequest,
    rows: &mut Vec<Vec<Option<Row>>>,
    missing: &mut Vec<Place>,
) -> bool {
    let routes = replica.routes.load();
    let mut over_budget = false;
    rows.truncate(request.reads.len());
    rows.resize_with(request.reads.len(), Vec::new);
    let mut unknown = Vec::new();
    for (index, (read, rows)) in request.reads.iter().zip(rows.iter_mut()).enumerate() {
        rows.clear();
        let Some(route) = routes.get(&read.view) else {
            // A view that was dropped since the request was planned.
            rows.resize(read.keys.len(), None);
            continue;
        };
        over_budget |= route.over_budget;
        unknown.clear();
        if route.holding == Holding::Elsewhere {
            rows.resize(read.keys.len(), None);
            unknown.extend(0..read.keys.len() as u32);
        } else {
            replica.table.read(read.view, &read.keys, rows, &mut unknown);
        }
        if unknown.is_empty() {
            continue;
        }
        // Of a full view everything is held, unless it has ceased to be one while it was read.
        let full = route.holding == Holding::Full
            && replica.routes.load().get(&read.view).is_none_or(|route| route.holding == Holding::Full);
        if !full {
            missing.extend(unknown.iter().map(|key| (index as u32, *key)));
        }
    }
    over_budget
}

/// Why a read cannot be completed with the leader's rows.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Unjoined {
    /// Another replica is served meanwhile, and the leader's rows are beside that: read it anew.
    #[error("the replica was replaced while it was read")]
    Replaced,
    /// They could not be had.
    #[error(transparent)]
    Failed(#[from] ReadError),
}

/// The places of one read that wait for the leader's rows.
#[derive(Clone, Debug)]
pub struct Joining {
    /// Of the replica that was read.
    numbering: Numbering,
    /// What the answer states.
    position: Position,
    lives: Arc<RegionLives>,
    open: Vec<Place>,
    rounds: usize,
    rewound: bool,
    replaced: bool,
}

impl Joining {
    /// This replica was read, the answer states `position`, and these places are open.
    #[must_use]
    pub fn new(replica: &Replica, position: Position, missing: Vec<Place>) -> Self {
        let (numbering, lives) = (replica.numbering, replica.point.load().lives.clone());
        Self { numbering, position, lives, open: missing, rounds: 0, rewound: false, replaced: false }
    }

    /// The places to ask for now; none when the read is complete.
    ///
    /// # Errors
    /// [`Unjoined::Replaced`], and when the keys' flights were too old again and again.
    pub fn ask(&mut self) -> Result<Vec<Place>, Unjoined> {
        if self.replaced {
            return Err(Unjoined::Replaced);
        }
        if self.open.is_empty() {
            return Ok(Vec::new());
        }
        self.rounds += 1;
        if self.rounds <= JOINS_MAX {
            return Ok(std::mem::take(&mut self.open));
        }
        Err(Unjoined::Failed(if self.rewound {
            ReadError::LeaderUnavailable(
                "its log is not the one that this edge holds; a new snapshot is on its way".to_owned(),
            )
        } else {
            ReadError::Overloaded("the keys' flights kept being older than the read".to_owned())
        }))
    }

    /// The places that were not answered yet, or not by anything that may stand in this answer.
    #[must_use]
    pub fn open(&self) -> &[Place] {
        &self.open
    }

    /// An answer for one of the places that were asked for. A flight that began before this read did may have brought what
    /// is older than what the answer states, or what was asked beside an earlier replica: the place is asked for again.
    pub fn landed(&mut self, place: Place, answered: Answered, rows: &mut [Vec<Option<Row>>]) {
        let same_log = self.lives.is_one_log(answered.as_of, self.position);
        let same_replica = answered.beside == Some(self.numbering) || active(Mutation::JoinOtherReplica);
        let is_newer = same_log && answered.as_of.lsn >= self.position.lsn;
        if (same_replica && is_newer) || active(Mutation::JoinOlderFlight) {
            if let Some(slot) = rows.get_mut(place.0 as usize).and_then(|rows| rows.get_mut(place.1 as usize)) {
                *slot = answered.row;
            }
        } else {
            self.rewound |= !same_log;
            self.replaced |= answered.beside.is_some_and(|beside| beside > self.numbering);
            self.open.push(place);
        }
    }
}
