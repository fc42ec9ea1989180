//! Local reads, and reads with fills: which rows of the leader may be combined with those of the replica.
//!
//! A key whose row the edge holds is a *hit*, another is a *miss*. A read of hits only is a *local read*. A read that
//! waits for fills of its misses is a [`FillingRead`], and a *filled read* afterwards.

use crate::{fills::Filled, holdings::Holding, replica::Replica};
use littoral_model::{
    lineage::RegionLineages,
    mutation::{Mutation, active},
    position::Position,
    read::{ReadError, ReadRequest},
    row::Row,
};
use littoral_replica::Generation;
use std::sync::Arc;

pub use littoral_model::read::KeyIndex;

/// The number of rounds of fills of one read. A further round is needed if the fills that a round shared were too old.
pub const FILL_ROUNDS_MAX: usize = 8;

/// Reads the rows that the replica holds, and collects the misses. The caller has read the position and the staleness
/// before, so the rows are at least as fresh. Returns whether a view of the read should be full but exceeds the memory
/// budget.
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
            // The view was dropped since the read was planned.
            rows.resize(read.keys.len(), None);
            continue;
        };
        over_budget |= route.over_budget;
        unknown.clear();
        if matches!(route.holding, Holding::Elsewhere | Holding::Outside) {
            rows.resize(read.keys.len(), None);
            unknown.extend(0..read.keys.len() as u32);
        } else {
            replica.table.read(read.view, &read.keys, rows, &mut unknown);
        }
        if unknown.is_empty() {
            continue;
        }
        // A full view holds every row, unless it ceased to be full during the read.
        let full = route.holding == Holding::Full
            && replica.routes.load().get(&read.view).is_none_or(|route| route.holding == Holding::Full);
        if !full {
            misses.extend(unknown.iter().map(|key| (index as u32, *key)));
        }
    }
    over_budget
}

/// Why a read was not filled.
#[derive(Clone, Debug, thiserror::Error)]
pub enum FillFailure {
    /// Another replica has replaced the one that was read, and the fills belong to the new one: read again.
    #[error("the replica was replaced while it was read")]
    Replaced,
    /// The rows could not be fetched.
    #[error(transparent)]
    Failed(#[from] ReadError),
}

/// A read that waits for fills of its misses.
#[derive(Clone, Debug)]
pub struct FillingRead {
    /// The generation of the replica that was read.
    generation: Generation,
    /// The position that the answer states.
    position: Position,
    lineages: Arc<RegionLineages>,
    misses: Vec<KeyIndex>,
    rounds: usize,
    rewound: bool,
    replaced: bool,
}

impl FillingRead {
    /// Creates a read of this replica whose answer states `position`, with these misses.
    #[must_use]
    pub fn new(replica: &Replica, position: Position, misses: Vec<KeyIndex>) -> Self {
        let (generation, lineages) = (replica.generation, replica.point.load().lineages.clone());
        Self { generation, position, lineages, misses, rounds: 0, rewound: false, replaced: false }
    }

    /// Returns the misses for which to request fills now; empty if the read is filled.
    ///
    /// # Errors
    /// [`FillFailure::Replaced`], and [`FillFailure::Failed`] if every round of fills was too old.
    pub fn next_round(&mut self) -> Result<Vec<KeyIndex>, FillFailure> {
        if self.replaced {
            return Err(FillFailure::Replaced);
        }
        if self.misses.is_empty() {
            return Ok(Vec::new());
        }
        self.rounds += 1;
        if self.rounds <= FILL_ROUNDS_MAX {
            return Ok(std::mem::take(&mut self.misses));
        }
        Err(FillFailure::Failed(if self.rewound {
            ReadError::LeaderUnavailable(
                "its log is not the one that this edge holds, and a new snapshot has not arrived yet".to_owned(),
            )
        } else {
            ReadError::Overloaded("the leader's answers kept predating this read; retry".to_owned())
        }))
    }

    /// Returns the misses that no fill has answered yet, or only one that may not be used in this answer.
    #[must_use]
    pub fn misses(&self) -> &[KeyIndex] {
        &self.misses
    }

    /// Applies a fill of one miss. A fill that began before this read may be older than the position of the answer, or
    /// may belong to an earlier replica. The key is then a miss again.
    pub fn filled(&mut self, index: KeyIndex, filled: Filled, rows: &mut [Vec<Option<Row>>]) {
        let same_log = self.lineages.is_one_log(filled.as_of, self.position);
        let same_replica = filled.generation == Some(self.generation) || active(Mutation::JoinOtherReplica);
        let is_newer = same_log && filled.as_of.lsn >= self.position.lsn;
        if (same_replica && is_newer) || active(Mutation::JoinOlderFill) {
            if let Some(slot) = rows.get_mut(index.0 as usize).and_then(|rows| rows.get_mut(index.1 as usize)) {
                *slot = filled.row;
            }
        } else {
            self.rewound |= !same_log;
            self.replaced |= filled.generation.is_some_and(|generation| generation > self.generation);
            self.misses.push(index);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{AppliedPoint, Holdings};
    use littoral_model::{
        event_time::EventTime,
        hlc::Hlc,
        position::{Epoch, Incarnation, Lsn},
        record::ChainHash,
        row::RowMeta,
        token::Watermark,
        version::Version,
        view::ViewId,
    };
    use littoral_protocol::frame::Resume;

    fn at(life: u64, lsn: u64) -> Position {
        Position { incarnation: Incarnation(life), lsn: Lsn(lsn) }
    }

    /// Creates a replica at record 20 of life 7.
    fn replica() -> Replica {
        let holdings = Holdings { shards: 1, ..Holdings::default() };
        let resume = Resume { position: at(7, 20), chain: ChainHash(20) };
        let region = ("east".parse().expect("a region"), Arc::default());
        Replica::new(&holdings, AppliedPoint::new(resume, Epoch(1), region, Watermark::default(), Arc::default()))
    }

    /// Sends a fill to a read of `replica` with one miss. Returns whether it fills the read, and whether the read must
    /// start again.
    fn fills(replica: &Replica, as_of: Position, generation: Option<Generation>) -> (bool, bool) {
        let mut read = FillingRead::new(replica, at(7, 20), vec![(0, 0)]);
        assert_eq!(read.next_round().expect("a first round"), [(0, 0)]);
        let version = Version { hlc: Hlc(1), region: "east".parse().expect("a region") };
        let meta = RowMeta { view: ViewId(1), event_time: EventTime(1), version, lsn: as_of.lsn };
        let mut rows = vec![vec![None]];
        read.filled((0, 0), Filled { row: Some(Row::new(meta, b"key", Some(b"body"))), as_of, generation }, &mut rows);
        (rows[0][0].is_some() && read.misses().is_empty(), matches!(read.next_round(), Err(FillFailure::Replaced)))
    }

    #[test]
    fn a_fill_is_used_only_with_the_replica_for_which_it_was_requested() {
        let (before, served, after) = (replica(), replica(), replica());
        let own = Some(served.generation);
        assert_eq!(fills(&served, at(7, 20), own), (true, false));
        assert_eq!(fills(&served, at(7, 19), own), (false, false), "older than the answer");
        assert_eq!(fills(&served, at(8, 30), own), (false, false), "of another log");
        assert_eq!(fills(&served, at(7, 30), Some(before.generation)), (false, false), "a new request is needed");
        assert_eq!(fills(&served, at(7, 30), Some(after.generation)), (false, true), "the replica was replaced");
        assert_eq!(fills(&served, at(7, 30), None), (false, false), "no replica was served yet");
    }
}
