//! Reads of rows by key, the layer below features and modules.

use crate::{
    column::Status,
    entity_key::KeyBatch,
    event_time::EventTime,
    freshness::{Freshness, ReadDemand},
    region::Region,
    row::Row,
    token::Watermark,
    view::{FeatureView, ViewId},
};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Keys of one view.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ViewRead {
    /// The view.
    pub view: ViewId,
    /// The keys. The answer keeps their order and repeats.
    pub keys: KeyBatch,
}

/// A read of rows from some views.
#[derive(Clone, Debug, Default)]
pub struct ReadRequest {
    /// The keys to read, by view.
    pub reads: Vec<ViewRead>,
    /// The freshness demand.
    pub demand: ReadDemand,
}

/// The index of a key in a read: (index in [`ReadRequest::reads`], index of the key).
pub type KeyIndex = (u32, u32);

/// The rows, with the answer's freshness.
#[derive(Clone, Debug, Default)]
pub struct ReadAnswer {
    /// For each of [`ReadRequest::reads`] and each key, the row. `None` if no row exists (never
    /// written, or deleted), or if the row is unknown.
    pub rows: Vec<Vec<Option<Row>>>,
    /// The keys whose rows are not held here and could not be fetched, ascending. Nearly always
    /// empty.
    pub unknown: Vec<KeyIndex>,
    /// The answer's freshness.
    pub freshness: Freshness,
}

impl ReadError {
    /// Creates the error for the part of a token that lies past the fork of its log.
    #[must_use]
    pub fn lost_with_its_log(part: &Watermark) -> Self {
        let reason = "its log was rolled back, and the records it covers are lost".to_owned();
        Self::TokenLost { token: part.to_string(), reason }
    }
}

impl ReadAnswer {
    /// Returns whether it is unknown if a row with this key exists.
    #[inline]
    #[must_use]
    pub fn is_unknown(&self, read: usize, key: usize) -> bool {
        !self.unknown.is_empty() && self.unknown.binary_search(&(read as u32, key as u32)).is_ok()
    }

    /// Returns the error for a caller that cannot report unknown rows of a read; `None` if all
    /// rows are known.
    #[must_use]
    pub fn unknown_error(&self, read: usize, view_name: impl Fn(usize) -> String) -> Option<ReadError> {
        let unknown = self.unknown.iter().filter(|(of, _)| *of as usize == read).count();
        (unknown > 0).then(|| {
            let (asked, view) = (self.rows.get(read).map_or(unknown, Vec::len), view_name(read));
            ReadError::RowsUnknown(format!("{unknown} of the {asked} rows of view '{view}'"))
        })
    }
}

/// Rows of one view, sorted by key.
#[derive(Clone, Debug, Default)]
pub struct RowPage {
    /// The rows, without tombstones.
    pub rows: Vec<Row>,
    /// The last key, after which the next page continues; `None` on the last page.
    pub cursor: Option<Vec<u8>>,
}

/// Why a read failed. Each text states what the caller can do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum ReadError {
    /// The demanded freshness was not reached.
    #[error("not fresh enough: {wanted}, {have}; retry, wait longer, or allow stale answers")]
    NotFreshEnough {
        /// What was demanded.
        wanted: String,
        /// What is available.
        have: String,
    },
    /// The read needs the leader, which does not answer.
    #[error("this read needs the leader, which cannot be reached: {0}; retry later, or read from the replica")]
    LeaderUnavailable(String),
    /// The replica is empty.
    #[error("this edge has not finished its first snapshot; retry shortly, or use another edge")]
    NotReady,
    /// Too many reads are queued.
    #[error("too many reads are waiting here ({0}); retry shortly")]
    Overloaded(String),
    /// Too few regions answered.
    #[error(
        "this read needs {needed} of {of} regions, and only {} answered; {missing}; retry later, or read from the \
         replica or the leader",
        names(answered)
    )]
    QuorumNotReached {
        /// The number of regions in a majority.
        needed: u32,
        /// The number of regions.
        of: u32,
        /// The regions that answered.
        answered: Vec<Region>,
        /// The regions that did not answer, and why.
        missing: String,
    },
    /// The rows exceed the size limit of an answer between nodes.
    #[error("the read is too large: {0}")]
    TooLarge(String),
    /// What the demanded token covers is lost, or was never written.
    #[error("the token '{token}' can never be reached: {reason}; repeat the write, and demand its new token")]
    TokenLost {
        /// The part of the token that cannot be reached.
        token: String,
        /// Why.
        reason: String,
    },
    /// Too many reads wait for the freshness that they demand.
    #[error("{0} reads are already waiting for freshness here; retry shortly, or demand less")]
    TooManyWaiting(usize),
    /// The leader's log was recreated, and other regions have, or may have, records of the lost
    /// one.
    #[error(
        "this leader does not know yet which rows exist: {0}; use an edge of this region or another region, or retry later"
    )]
    NotAllHere(String),
    /// The project's rows may not be read in the region of the node or of the receiver.
    #[error("{0}")]
    OutsideRegions(String),
    /// The replica lacks rows that the read needs, and its leader does not answer. The text states which rows.
    #[error(
        "whether {0} exist is unknown: this edge does not hold them, and its leader, from which it would fetch them, cannot be \
         reached; retry later, use another edge, or hold the whole view here (\"full\" in [edge.views])"
    )]
    RowsUnknown(String),
}

fn names(regions: &[Region]) -> String {
    if regions.is_empty() {
        return "none".to_owned();
    }
    regions.iter().map(|region| format!("'{region}'")).collect::<Vec<_>>().join(", ")
}

/// Returns the status of a row in a view at one time.
#[must_use]
pub fn row_status(view: &FeatureView, row: Option<&Row>, now: EventTime) -> Status {
    match row {
        None => Status::NotFound,
        Some(row) if is_expired(view, row.header().event_time, now) => Status::OutsideMaxAge,
        Some(_) => Status::Present,
    }
}

/// Returns whether an event is older than its view's TTL.
#[must_use]
pub fn is_expired(view: &FeatureView, event_time: EventTime, now: EventTime) -> bool {
    view.ttl_ms().is_some_and(|ttl_ms| age(event_time, now) > Duration::from_millis(ttl_ms))
}

/// Returns how long ago the event happened; zero if it is ahead of the clock.
#[must_use]
pub fn age(event_time: EventTime, now: EventTime) -> Duration {
    Duration::from_nanos(u64::try_from(now.0.saturating_sub(event_time.0)).unwrap_or(0))
}
