//! Adoption: an operator lets an edge follow a log that the edge has rejected.

use crate::{
    position::{Incarnation, Lsn},
    region::Region,
};
use serde::{Deserialize, Serialize};
use std::fmt;

/// A log that an edge was offered and rejected because it holds rows of another log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct OfferedLog {
    /// The log's region.
    pub region: Region,
    /// The log's identity.
    pub log: Incarnation,
    /// The LSN of its last record.
    pub head: Lsn,
    /// Why the edge does not follow it.
    pub reason: String,
}

/// Why an edge cannot adopt a log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AdoptError {
    /// The edge has rejected no log.
    #[error("this edge has been offered no log other than the one it holds; there is nothing to adopt")]
    NothingOffered,
    /// The edge has rejected a different log from the one named.
    #[error("this edge was offered {offered}, not log {wanted}; check which log its leader serves, and adopt that one")]
    AnotherOffered {
        /// The log that the edge was offered.
        offered: OfferedLog,
        /// The log that the operator named.
        wanted: Incarnation,
    },
}

impl fmt::Display for OfferedLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "log {} of region '{}' with {} records", self.log, self.region, self.head)
    }
}
