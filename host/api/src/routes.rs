//! The doors that a router sends requests to.

use littoral_model::region::Region;
use serde::{Deserialize, Serialize};

/// The answer of `GET /router/v1/status`, as far as clients need it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Routes {
    /// The topology's name.
    pub topology: String,
    /// Its regions.
    pub regions: Vec<RoutedRegion>,
}

/// A region.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RoutedRegion {
    /// Its name.
    pub name: Region,
    /// `active`, `standby` or `draining`.
    pub role: String,
    /// Whether one of its edges may be used for reads.
    pub readable: bool,
    /// Whether it accepts writes.
    pub writable: bool,
    /// Its doors.
    pub doors: Vec<Routed>,
}

/// A door with the kind of its node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Routed {
    /// `edge` or `leader`.
    pub kind: String,
    /// The door.
    pub door: RoutedDoor,
}

/// The state of a door.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RoutedDoor {
    /// The node's name.
    pub node: String,
    /// Its address.
    pub door: String,
    /// The result of the last probes.
    pub state: String,
    /// How long it stays ejected, in milliseconds. `None` if it is not ejected.
    pub ejected_for_ms: Option<u64>,
    /// The number of running requests to it.
    pub in_flight: u32,
}
