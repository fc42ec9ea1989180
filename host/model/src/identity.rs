//! The identity of a log.

use crate::{position::Incarnation, region::Region};

/// Names a region's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The region whose records it holds.
    pub region: Region,
    /// The name of its first life.
    pub incarnation: Incarnation,
}
