//! The freshness contract: what every answer states and what a read may demand.

use crate::{position::Position, region::Region, token::Watermark};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Who answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// This host's replica alone.
    #[default]
    Replica,
    /// The leader, for at least one row.
    Leader,
    /// The leaders of a majority of the regions, each of every row.
    Quorum,
}

/// What an answer states of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Freshness {
    /// Every record up to here is in the answer; later ones may be.
    pub position: Position,
    /// The same for every region: the token to demand for monotonic reads.
    pub watermark: Watermark,
    /// Upper bound of how far behind the leader the answer is: everything that was committed this long ago is in it.
    /// `None` when no leader was ever heard.
    pub staleness: Option<Duration>,
    /// Who answered.
    pub source: Source,
    /// The regions whose leaders answered, where [`Source::Quorum`] did; else empty.
    pub regions: Vec<Region>,
    /// Why the answer is less than was configured or demanded; `None` when it is not.
    pub degraded: Option<Degraded>,
}

/// Why an answer is less than was configured or demanded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Degraded {
    /// The leader is not heard; the replica serves what it has.
    LeaderLost,
    /// The demand could not be met and stale was asked for instead.
    DemandUnmet,
    /// A row is not held and the leader could not be asked; it is reported as not found.
    Incomplete,
    /// A `full` view did not fit its memory budget and is served as `resident`.
    OverBudget,
    /// The replica has not finished its first snapshot.
    Bootstrapping,
    /// The leader's address serves another log than the one that is held; the replica serves what it has.
    OtherLog,
}

/// Where a read may be answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Consistency {
    /// By the replica, as of its position.
    #[default]
    Replica,
    /// By the leader.
    Leader,
    /// By the leaders of a majority of the regions, our own among them: of each row the version that outranks the others. A
    /// write that was acknowledged by so many regions' disks that every majority holds one of them is in the answer.
    Quorum,
}

/// What to do when the demand is not met yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnUnmet {
    /// Wait up to the demand's bound, then fail.
    #[default]
    Wait,
    /// Ask the leader; where a quorum was demanded, the answer is marked as degraded.
    Leader,
    /// Serve what there is, marked as degraded.
    ServeStale,
    /// Fail at once.
    Fail,
}

/// What a read demands. The default demands nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadDemand {
    /// Where the read may be answered.
    pub consistency: Consistency,
    /// The answer may be at most this far behind the leader.
    pub max_staleness: Option<Duration>,
    /// The answer must include what this token stands for.
    pub at_least: Option<Watermark>,
    /// What to do when that is not met yet.
    pub on_unmet: OnUnmet,
    /// How long to wait where the read waits at all.
    pub wait_max: Duration,
}

impl Default for ReadDemand {
    fn default() -> Self {
        Self {
            consistency: Consistency::default(),
            max_staleness: None,
            at_least: None,
            on_unmet: OnUnmet::default(),
            wait_max: Duration::from_millis(500),
        }
    }
}

impl ReadDemand {
    /// Whether the replica may answer without a look at its freshness.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.consistency == Consistency::Replica && self.max_staleness.is_none() && self.at_least.is_none()
    }
}
