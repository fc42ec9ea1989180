//! The freshness contract: what every answer states, and what a read may demand.

use crate::{position::Position, region::Region, token::Watermark};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The source of an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "AnswerSource"))]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// This node's replica alone.
    #[default]
    Replica,
    /// The leader, for at least one row.
    Leader,
    /// The leaders of a majority of the regions, each for every row.
    Quorum,
}

/// The freshness metadata of an answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Freshness {
    /// The answer includes every record up to this position; it may include later ones.
    pub position: Position,
    /// Like `position`, for every region: the token to demand for monotonic reads.
    pub watermark: Watermark,
    /// Upper bound of how far the answer is behind the leader: everything committed this long ago
    /// is included. `None` if no leader has ever been heard from.
    pub staleness: Option<Duration>,
    /// The source of the answer.
    pub source: Source,
    /// The regions whose leaders answered, if the source is [`Source::Quorum`]; otherwise empty.
    pub regions: Vec<Region>,
    /// Why the answer is less than was configured or demanded; `None` if it is not.
    pub degraded: Option<Degraded>,
}

/// Why an answer is less than was configured or demanded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Degraded {
    /// The leader is silent; the replica serves what it has.
    LeaderLost,
    /// The demand could not be met, and the request allowed a stale answer instead.
    DemandUnmet,
    /// A row is not held here and could not be fetched from the leader; it is reported as unknown.
    Incomplete,
    /// A `full` view did not fit its memory budget and is served as `resident`.
    OverBudget,
    /// The replica has not finished its first snapshot.
    Bootstrapping,
    /// The leader's address serves a log other than the one held; the replica serves what it has.
    OtherLog,
}

impl Degraded {
    /// All reasons.
    pub const ALL: [Self; 6] =
        [Self::LeaderLost, Self::DemandUnmet, Self::Incomplete, Self::OverBudget, Self::Bootstrapping, Self::OtherLog];

    /// Returns the name that serde uses too.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::LeaderLost => "leader_lost",
            Self::DemandUnmet => "demand_unmet",
            Self::Incomplete => "incomplete",
            Self::OverBudget => "over_budget",
            Self::Bootstrapping => "bootstrapping",
            Self::OtherLog => "other_log",
        }
    }
}

/// Which node may answer a read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Consistency {
    /// The replica, as of its position.
    #[default]
    Replica,
    /// The leader.
    Leader,
    /// The leaders of a majority of the regions, including our own. Of each row the
    /// highest-ranking version is returned. The answer includes every write that enough regions
    /// acknowledged durably for each majority to contain one of them.
    Quorum,
}

/// What to do when the demand is not met yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum OnUnmet {
    /// Wait up to the demand's limit, then fail.
    #[default]
    Wait,
    /// Read from the leader. If a quorum was demanded, the answer is marked as degraded.
    Leader,
    /// Serve what is available, marked as degraded.
    ServeStale,
    /// Fail at once.
    Fail,
}

/// What a read demands. The default demands nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadDemand {
    /// Which node may answer.
    pub consistency: Consistency,
    /// The answer may be at most this far behind the leader.
    pub max_staleness: Option<Duration>,
    /// The answer must include everything up to this token.
    pub at_least: Option<Watermark>,
    /// What to do when the demand is not met yet.
    pub on_unmet: OnUnmet,
    /// The maximum time to wait, if the read waits at all.
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
    /// Returns whether the replica may answer without checking its freshness.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.consistency == Consistency::Replica && self.max_staleness.is_none() && self.at_least.is_none()
    }
}
