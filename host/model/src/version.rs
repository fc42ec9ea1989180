//! The version of a row.

use crate::{hlc::Hlc, region::Region};
use serde::{Deserialize, Serialize};

/// Orders the writes of a row: the clock reading of the leader that took the write, then that leader's region. No two
/// records share a version, since a region's clock never repeats.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Version {
    /// The clock reading.
    pub hlc: Hlc,
    /// Where the write was taken; breaks ties.
    pub region: Region,
}
