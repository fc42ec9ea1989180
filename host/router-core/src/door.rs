//! One door that requests may be sent to, and its state.

use crate::{health::Health, latency::Latency, outlier::Outlier, slow_return::SlowReturn};
use littoral_model::region::Region;
use serde::Serialize;
use std::{net::IpAddr, sync::Arc};

/// A door's number. A door keeps it while the topology names the door.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct DoorId(pub u64);

/// The kind of node that a door belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// An edge.
    Edge,
    /// A leader, or a member of a region, which may lead.
    Leader,
}

/// The properties of a door that do not change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Door {
    /// Its number.
    pub id: DoorId,
    /// Its region.
    pub region: Region,
    /// The node's name.
    pub name: String,
    /// `host:port`.
    pub address: String,
    /// The kind of its node.
    pub kind: Kind,
    /// Its share of its region's requests.
    pub weight: u16,
    /// The addresses with which DNS answers.
    pub addresses: Vec<IpAddr>,
}

/// The state of a door.
#[derive(Clone, Debug)]
pub(crate) struct DoorState {
    pub(crate) door: Arc<Door>,
    pub(crate) health: Health,
    pub(crate) outlier: Outlier,
    pub(crate) latency: Latency,
    pub(crate) back: SlowReturn,
}

impl DoorState {
    pub(crate) fn new(door: Arc<Door>) -> Self {
        Self {
            door,
            health: Health::default(),
            outlier: Outlier::default(),
            latency: Latency::default(),
            back: SlowReturn::default(),
        }
    }

    pub(crate) fn is_edge_of(&self, region: Region) -> bool {
        self.door.kind == Kind::Edge && self.door.region == region
    }
}
