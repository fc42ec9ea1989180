//! Conflicts: two regions wrote one row without knowing of each other, and one write was kept.

use crate::{event_time::EventTime, position::Lsn, version::Version, view::ViewId};
use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// One of the two writes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConflictSide {
    /// When and where it was taken.
    pub version: Version,
    /// When its event happened.
    pub event_time: EventTime,
    /// The packed values ([`crate::row_body`]); `None` for a deletion.
    pub body: Option<Bytes>,
}

/// A write that lost against another region's, both of them whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conflict {
    /// The view.
    pub view: ViewId,
    /// The entity key ([`crate::entity_key`]).
    pub key: Bytes,
    /// What readers see.
    pub kept: ConflictSide,
    /// What they do not.
    pub lost: ConflictSide,
    /// The record of this region's log by which the two met.
    pub lsn: Lsn,
}

impl Conflict {
    /// What names a conflict: both writes. It is the same in every region where the two have met.
    #[must_use]
    pub fn writes(&self) -> (Version, Version) {
        (self.kept.version, self.lost.version)
    }
}
