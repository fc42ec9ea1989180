//! Conflicts: two regions wrote one row without knowledge of each other's write, and only one
//! write was kept.

use crate::{event_time::EventTime, position::Lsn, version::Version, view::ViewId};
use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// One of the two writes of a conflict.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConflictSide {
    /// When and where the write was accepted.
    pub version: Version,
    /// When the event happened.
    pub event_time: EventTime,
    /// The packed values ([`crate::row_body`]); `None` for a deletion.
    pub body: Option<Bytes>,
}

/// A write that lost as a whole against a concurrent write from another region.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conflict {
    /// The view.
    pub view: ViewId,
    /// The entity key ([`crate::entity_key`]).
    pub key: Bytes,
    /// The write that readers see.
    pub kept: ConflictSide,
    /// The write that was discarded.
    pub lost: ConflictSide,
    /// The record of this region's log at which the two writes met.
    pub lsn: Lsn,
}

impl Conflict {
    /// Returns both writes, which identify the conflict. They are the same in every region where
    /// the two writes meet.
    #[must_use]
    pub fn writes(&self) -> (Version, Version) {
        (self.kept.version, self.lost.version)
    }
}
