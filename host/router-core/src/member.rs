//! One door that requests may go to, and everything that is known of it.

use crate::{health::Health, latency::Latency, outlier::Outlier, slow_return::SlowReturn};
use littoral_model::region::Region;
use serde::Serialize;
use std::{net::IpAddr, sync::Arc};

/// A door's number, which it keeps for as long as the topology names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct MemberId(pub u64);

/// What a door belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// An edge's.
    Edge,
    /// A leader's, or that of a member of a region's log, which may lead.
    Leader,
}

/// What does not change about a door.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Door {
    /// Its number.
    pub id: MemberId,
    /// Its region.
    pub region: Region,
    /// The node's name.
    pub name: String,
    /// `host:port`.
    pub address: String,
    /// What it belongs to.
    pub kind: Kind,
    /// Its share of its region's requests.
    pub weight: u16,
    /// Addresses that DNS answers with.
    pub addresses: Vec<IpAddr>,
}

/// What is known of a door.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    pub(crate) door: Arc<Door>,
    pub(crate) health: Health,
    pub(crate) outlier: Outlier,
    pub(crate) latency: Latency,
    pub(crate) back: SlowReturn,
}

impl Member {
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
