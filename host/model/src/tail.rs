//! What a member of a region's log had to give up, as people see it.

use crate::{
    event_time::EventTime,
    position::{Epoch, Incarnation, Lsn},
    version::Version,
};
use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// A detached tail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TailStatus {
    /// Its name.
    pub name: String,
    /// The life of the log that it is of.
    pub incarnation: Incarnation,
    /// The epoch of its last record.
    pub epoch: Epoch,
    /// Its first record.
    pub first: Lsn,
    /// Its last record.
    pub last: Lsn,
    /// Bytes of its records.
    pub bytes: u64,
}

/// A row or a deletion of a detached tail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TailRecord {
    /// The number that it had.
    pub lsn: Lsn,
    /// The view's name; `None` when no view has its number any more.
    pub view: Option<String>,
    /// The entity key.
    pub key: Bytes,
    /// When the event happened.
    pub event_time: EventTime,
    /// When and where it was taken.
    pub version: Version,
    /// The packed values; `None` for a deletion.
    pub body: Option<Bytes>,
}

/// What became of a detached tail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TailMerged {
    /// Rows and deletions that were taken into the log.
    pub rows: u64,
    /// The last record that they became; [`Lsn::NONE`] when there were none.
    pub last: Lsn,
}
