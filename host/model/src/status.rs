//! Node status: shown by `littoral status` and `/v1/status`, and evaluated by health checks and
//! routers.

use crate::{
    freshness::Degraded,
    lineage::{Lineage, RegionLineages},
    position::{Epoch, Incarnation, Lsn, Position},
    region::Region,
    token::Watermark,
};
use serde::{Deserialize, Serialize};

/// The role of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Accepts writes and keeps the log.
    Leader,
    /// Keeps the log too, and follows the leader.
    Follower,
    /// Holds a replica.
    Edge,
    /// Forwards requests to other nodes, and holds no data.
    Router,
}

/// The state of a node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct NodeStatus {
    /// The node's name.
    pub name: String,
    /// Its role.
    pub role: Role,
    /// Its region.
    pub region: Region,
    /// Whether the node may serve: it has data and is not draining. Freshness is reported
    /// separately.
    pub ready: bool,
    /// Why it is not ready; empty if it is.
    pub not_ready_reason: String,
    /// Why its answers are less than configured, if they are.
    pub degraded: Option<Degraded>,
    /// The leader's epoch, as far as known.
    pub epoch: Epoch,
    /// Every record up to this position is applied.
    pub position: Position,
    /// The leader's newest record, as far as known.
    pub head: Position,
    /// Upper bound of how far the node is behind the leader, in milliseconds; `None` if no leader
    /// has ever been heard from.
    pub staleness_ms: Option<u64>,
    /// Whether writes are accepted; at an edge, whether its leader is connected.
    pub writable: bool,
    /// The positions up to which every region's records are applied, as a freshness token.
    pub watermark: Watermark,
    /// The lineages of the regions' logs. They determine which positions of earlier lives the
    /// watermark includes.
    #[serde(default, rename = "lives")]
    pub lineages: RegionLineages,
    /// The other regions, as seen by a leader.
    pub regions: Vec<RegionStatus>,
    /// The state of each view.
    pub views: Vec<ViewStatus>,
    /// The names and digests of the modules, and whether they can be called here.
    pub modules: Vec<ModuleStatus>,
    /// Other numbers by name (bytes, counts, durations), for display and for `--json`.
    pub gauges: std::collections::BTreeMap<String, f64>,
}

impl NodeStatus {
    /// Returns whether everything that a token demands is applied.
    #[must_use]
    pub fn covers(&self, demand: &Watermark) -> bool {
        self.lineages.covers(&self.watermark, demand)
    }

    /// Returns the name of the log that the node holds or follows. It never changes for one log.
    #[must_use]
    pub fn log(&self) -> Incarnation {
        let life = self.position.incarnation;
        self.lineages.with_life(life).map_or(life, Lineage::log)
    }
}

/// In which respects a serving node falls short, and why.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shortfalls {
    /// Why its data is not fresh; `None` if it is.
    pub not_fresh: Option<String>,
    /// Why it rejects writes; `None` if it accepts or forwards them.
    pub not_writable: Option<String>,
}

/// The state of another region, as seen by a leader.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RegionStatus {
    /// The region.
    pub region: Region,
    /// Whether that region's leader is connected and its records arrive.
    pub connected: bool,
    /// Why its records do not arrive; empty if they do.
    pub trouble: String,
    /// The position of that region's log up to which its records are applied here.
    pub applied: Position,
    /// That leader's newest record, as far as known.
    pub head: Position,
    /// For how long that region may have had records that are missing here, in milliseconds;
    /// `None` if this leader has never caught up with it. Records in transit do not count.
    pub behind_ms: Option<u64>,
    /// The record of our log up to which our records are durable there; `None` if that region has
    /// not reported it since this leader started.
    pub taken: Option<Lsn>,
}

/// The state of a view on one node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ViewStatus {
    /// The view.
    pub name: String,
    /// `full`, `resident`, `leader` for a view that is not followed, or `outside` for one whose rows may not be held in
    /// the region of the node.
    #[cfg_attr(feature = "schema", schemars(extend("enum" = ["full", "resident", "leader", "outside"])))]
    pub residency: String,
    /// The number of rows held, without tombstones.
    pub rows: u64,
    /// The memory that they take, in bytes.
    pub bytes: u64,
}

/// The state of a module on one node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ModuleStatus {
    /// Its name.
    pub name: String,
    /// Its release.
    pub version: String,
    /// Its content address, as 64 hexadecimal digits.
    pub digest: String,
    /// Whether it can be called on this node.
    pub ready: bool,
}
