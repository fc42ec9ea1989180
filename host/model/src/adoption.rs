//! A log that an edge was offered and refused, until an operator has it adopted.

use crate::{
    position::{Incarnation, Lsn},
    region::Region,
};
use serde::{Deserialize, Serialize};
use std::fmt;

/// A log that an edge was offered although it holds rows of another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OfferedLog {
    /// Its region.
    pub region: Region,
    /// The log's name.
    pub log: Incarnation,
    /// Its last record.
    pub head: Lsn,
    /// Why it is not followed.
    pub reason: String,
}

/// Why no log can be adopted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AdoptError {
    /// None was refused.
    #[error("this edge was offered no other log than the one that it holds; there is nothing to adopt")]
    NothingOffered,
    /// Another one was refused.
    #[error("this edge was offered {offered}, and not log {wanted}; look at what its leader is, and adopt that")]
    AnotherOffered {
        /// The log that was offered.
        offered: OfferedLog,
        /// The log to adopt.
        wanted: Incarnation,
    },
}

impl fmt::Display for OfferedLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "log {} of region '{}' with {} records", self.log, self.region, self.head)
    }
}
