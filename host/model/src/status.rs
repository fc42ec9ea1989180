//! What a node says of itself: `littoral status` and `/v1/status` show it, health checks and routers decide by it.

use crate::{
    freshness::Degraded,
    lives::{Lives, RegionLives},
    position::{Epoch, Incarnation, Lsn, Position},
    region::Region,
    token::Watermark,
};
use serde::{Deserialize, Serialize};

/// What a node does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Takes writes and keeps the log.
    Leader,
    /// Keeps the log too, and follows who leads.
    Follower,
    /// Holds a replica.
    Edge,
    /// Sends requests to the others, and holds nothing.
    Router,
}

/// A node's state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NodeStatus {
    /// The node's name.
    pub name: String,
    /// What it does.
    pub role: Role,
    /// Its region.
    pub region: Region,
    /// Whether it may serve: its data is there, and it is not about to stop. How fresh the data is is another question.
    pub ready: bool,
    /// Why it is not ready; empty when it is.
    pub not_ready_reason: String,
    /// Why its answers are less than configured, if they are.
    pub degraded: Option<Degraded>,
    /// The leader's epoch, as far as known.
    pub epoch: Epoch,
    /// Every record up to here is applied.
    pub position: Position,
    /// The newest record that the leader is known to have.
    pub head: Position,
    /// Upper bound of how far behind the leader the node is, in milliseconds; `None` when no leader was ever heard.
    pub staleness_ms: Option<u64>,
    /// Whether writes are taken; at an edge, whether its leader is connected.
    pub writable: bool,
    /// How far every region's records are applied: a freshness token.
    pub watermark: Watermark,
    /// The histories of the regions' logs: which positions of earlier lives the watermark includes.
    #[serde(default)]
    pub lives: RegionLives,
    /// At a leader, the other regions.
    pub regions: Vec<RegionStatus>,
    /// Per view.
    pub views: Vec<ViewStatus>,
    /// Names and digests of the modules that can be called here.
    pub modules: Vec<ModuleStatus>,
    /// Further numbers by name (bytes, counts, durations), for people and for `--json`.
    pub gauges: std::collections::BTreeMap<String, f64>,
}

impl NodeStatus {
    /// Whether everything that a token demands is applied.
    #[must_use]
    pub fn covers(&self, demand: &Watermark) -> bool {
        self.lives.covers(&self.watermark, demand)
    }

    /// The name of the log that the node holds or follows; it stays the same as long as there is the log.
    #[must_use]
    pub fn log(&self) -> Incarnation {
        let life = self.position.incarnation;
        self.lives.with_life(life).map_or(life, Lives::log)
    }
}

/// What a node that serves falls short of, and why.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shortfalls {
    /// Why its data is not fresh; `None` when it is.
    pub not_fresh: Option<String>,
    /// Why writes that reach it are refused; `None` when they are taken or passed on.
    pub not_writable: Option<String>,
}

/// Another region as a leader sees it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RegionStatus {
    /// The region.
    pub region: Region,
    /// Whether its leader is connected and its records come.
    pub connected: bool,
    /// Why they do not come; empty when they do.
    pub trouble: String,
    /// Its records are here up to this one of its log.
    pub applied: Position,
    /// The newest record that its leader is known to have.
    pub head: Position,
    /// For how long it may have had what is not here, in milliseconds; `None` when it was never caught up with. What is on its
    /// way is not counted.
    pub behind_ms: Option<u64>,
    /// Our records are durable there up to this one of our log; `None` when it has not said so since this leader started.
    pub taken: Option<Lsn>,
}

/// A view's state on one node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ViewStatus {
    /// The view.
    pub name: String,
    /// `full` or `resident`.
    pub residency: String,
    /// Rows held, without tombstones.
    pub rows: u64,
    /// Memory that they take, in bytes.
    pub bytes: u64,
}

/// A module's state on one node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModuleStatus {
    /// Its name.
    pub name: String,
    /// Its release.
    pub version: String,
    /// Its content address, as 64 hexadecimal digits.
    pub digest: String,
    /// Whether it can be called.
    pub ready: bool,
}
