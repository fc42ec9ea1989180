//! Reads of the replica, and which rows from the leader may complete them.

use crate::{
    fills::Filled,
    replica::{Holding, Replica},
};
use littoral_model::{
    lives::RegionLives,
    mutation::{Mutation, active},
    position::Position,
    read::{ReadError, ReadRequest},
    row::Row,
};
use littoral_replica::Generation;
use std::sync::Arc;

pub use littoral_model::read::KeyIndex;

/// The maximum number of rounds in which a read requests a key because other reads' fills were too
/// old.
pub const ROUNDS_MAX: usize = 8;

/// Reads what is held and lists the misses. The caller has read position and staleness before, so
/// the rows are at least as fresh. Returns whether the request reads a view that should be full
/// but did not fit.
pub fn local(
    replica: &Replica,
    request: &ReadRequest,
    rows: &mut Vec<Vec<Option<Row>>>,
    misses: &mut Vec<KeyIndex>,
) -> bool {
    let routes = replica.routes.load();
    let mut over_budget = false;
    rows.truncate(request.reads.len());
    rows.resize_with(request.reads.len(), Vec::new);
    let mut unknown = Vec::new();
    for (index, (read, rows)) in request.reads.iter().zip(rows.iter_mut()).enumerate() {
        rows.clear();
        let Some(route) = routes.get(&read.view) else {
            // The view was dropped after the request was planned.
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
        // A full view holds every row, unless it became resident during the read.
        let full = route.holding == Holding::Full
            && replica.routes.load().get(&read.view).is_none_or(|route| route.holding == Holding::Full);
        if !full {
            misses.extend(unknown.iter().map(|key| (index as u32, *key)));
        }
    }
    over_budget
}

/// Why a read cannot be completed with the leader's rows.
#[derive(Clone, Debug, thiserror::Error)]
pub enum FillFailure {
    /// Another replica is served now, and the leader's rows belong to it. The caller reads again.
    #[error("the replica was replaced while it was read")]
    Replaced,
    /// The rows could not be fetched.
    #[error(transparent)]
    Failed(#[from] ReadError),
}

/// A read that waits for rows from the leader.
#[derive(Clone, Debug)]
pub struct FillingRead {
    /// The generation of the replica that was read.
    generation: Generation,
    /// The position that the answer states.
    position: Position,
    lives: Arc<RegionLives>,
    open: Vec<KeyIndex>,
    rounds: usize,
    rewound: bool,
    replaced: bool,
}

impl FillingRead {
    /// Starts with a read of this replica, whose answer states `position`, and its misses.
    #[must_use]
    pub fn new(replica: &Replica, position: Position, misses: Vec<KeyIndex>) -> Self {
        let (generation, lives) = (replica.generation, replica.point.load().lives.clone());
        Self { generation, position, lives, open: misses, rounds: 0, rewound: false, replaced: false }
    }

    /// Returns the keys to request now; none if the read is complete.
    ///
    /// # Errors
    /// [`FillFailure::Replaced`], or an error if the fills were too old in every round.
    pub fn next_keys(&mut self) -> Result<Vec<KeyIndex>, FillFailure> {
        if self.replaced {
            return Err(FillFailure::Replaced);
        }
        if self.open.is_empty() {
            return Ok(Vec::new());
        }
        self.rounds += 1;
        if self.rounds <= ROUNDS_MAX {
            return Ok(std::mem::take(&mut self.open));
        }
        Err(FillFailure::Failed(if self.rewound {
            ReadError::LeaderUnavailable(
                "its log is not the one that this edge holds; a new snapshot is being fetched".to_owned(),
            )
        } else {
            ReadError::Overloaded("the leader's answers kept predating this read; retry".to_owned())
        }))
    }

    /// Returns the keys that have no usable row yet.
    #[must_use]
    pub fn open(&self) -> &[KeyIndex] {
        &self.open
    }

    /// Handles the leader's row for a requested key. A fill that began before this read may return
    /// a row older than the answer's position, or a row that belongs to an earlier replica. Then
    /// the key is requested again.
    pub fn filled(&mut self, index: KeyIndex, filled: Filled, rows: &mut [Vec<Option<Row>>]) {
        let same_log = self.lives.is_one_log(filled.as_of, self.position);
        let same_replica = filled.generation == Some(self.generation) || active(Mutation::JoinOtherReplica);
        let is_newer = same_log && filled.as_of.lsn >= self.position.lsn;
        if (same_replica && is_newer) || active(Mutation::JoinOlderFlight) {
            if let Some(slot) = rows.get_mut(index.0 as usize).and_then(|rows| rows.get_mut(index.1 as usize)) {
                *slot = filled.row;
            }
        } else {
            self.rewound |= !same_log;
            self.replaced |= filled.generation.is_some_and(|generation| generation > self.generation);
            self.open.push(index);
        }
    }
}
