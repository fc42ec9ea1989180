//! The version of a row.

use crate::{hlc::Hlc, region::Region};
use serde::{Deserialize, Serialize};

/// Orders the writes of a row: the clock reading of the leader that accepted the write, then that
/// leader's region. No two writes share a version, because a region's clock never repeats.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Version {
    /// The clock reading.
    pub hlc: Hlc,
    /// The region that accepted the write; breaks ties.
    pub region: Region,
}
