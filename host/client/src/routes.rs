//! What a router knows of the doors that it sends requests to.

use crate::{Client, Error, call::Call};
use littoral_model::region::Region;
use serde::{Deserialize, Serialize};

/// The regions of a router's topology.
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
    /// Whether it takes writes.
    pub writable: bool,
    /// Its doors.
    pub doors: Vec<Routed>,
}

/// A door, and whose it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Routed {
    /// `edge` or `leader`.
    pub kind: String,
    /// The door.
    pub door: RoutedDoor,
}

/// What a router knows of a door.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RoutedDoor {
    /// The node's name.
    pub node: String,
    /// Its address.
    pub door: String,
    /// What probes say.
    pub state: String,
    /// For how long it is still ejected, in milliseconds; `None` when it is not.
    pub ejected_for_ms: Option<u64>,
    /// Requests that are under way to it.
    pub in_flight: u32,
}

impl Client {
    /// What a router knows of the doors that it sends requests to.
    ///
    /// # Errors
    /// [`Error`], also when the client's address is no router's.
    pub async fn routes(&self) -> Result<Routes, Error> {
        self.send(Call::get("/router/v1/status")).await?.json()
    }
}
