//! Reads of rows, below features and modules: keys in, rows out.

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
    /// The keys; the answer keeps their order and repeats.
    pub keys: KeyBatch,
}

/// A read of rows of some views.
#[derive(Clone, Debug, Default)]
pub struct ReadRequest {
    /// What is read.
    pub reads: Vec<ViewRead>,
    /// How fresh it must be.
    pub demand: ReadDemand,
}

/// A key of a read: (index in [`ReadRequest::reads`], index of the key).
pub type Place = (u32, u32);

/// The rows, and what is known of their freshness.
#[derive(Clone, Debug, Default)]
pub struct ReadAnswer {
    /// Per [`ReadRequest::reads`], per key: the row; `None` where there is none (never written, or deleted), and where it is
    /// unknown.
    pub rows: Vec<Vec<Option<Row>>>,
    /// The keys whose rows are not held here and could not be asked for, in order. Nearly always none.
    pub unknown: Vec<Place>,
    /// The answer's freshness.
    pub freshness: Freshness,
}

impl ReadError {
    /// The error for a part of a token that is past where its log forked.
    #[must_use]
    pub fn lost_with_its_log(part: &Watermark) -> Self {
        let reason = "its log was put back to an older copy, and what it stood for is lost".to_owned();
        Self::TokenLost { token: part.to_string(), reason }
    }
}

impl ReadAnswer {
    /// Whether it is unknown if there is a row of this key.
    #[inline]
    #[must_use]
    pub fn is_unknown(&self, read: usize, key: usize) -> bool {
        !self.unknown.is_empty() && self.unknown.binary_search(&(read as u32, key as u32)).is_ok()
    }

    /// The error for a caller to whom unknown rows of a read cannot be reported as such; `None` when all are known.
    #[must_use]
    pub fn unknown_error(&self, read: usize, view_name: impl Fn(usize) -> String) -> Option<ReadError> {
        let unknown = self.unknown.iter().filter(|(of, _)| *of as usize == read).count();
        (unknown > 0).then(|| {
            let (asked, view) = (self.rows.get(read).map_or(unknown, Vec::len), view_name(read));
            ReadError::LeaderUnavailable(format!(
                "this edge does not hold {unknown} of the {asked} rows of view '{view}', so it cannot tell whether they exist"
            ))
        })
    }
}

/// Rows of one view in the order of their keys.
#[derive(Clone, Debug, Default)]
pub struct RowPage {
    /// The rows, without tombstones.
    pub rows: Vec<Row>,
    /// The last key, where the next page goes on; `None` when this is the last page.
    pub cursor: Option<Vec<u8>>,
}

/// Why a read failed. Each says what the caller can do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum ReadError {
    /// The demanded freshness was not reached.
    #[error("not fresh enough: {wanted}, {have}; retry, wait longer, or allow stale answers")]
    NotFreshEnough {
        /// What was demanded.
        wanted: String,
        /// What there is.
        have: String,
    },
    /// The leader is needed and does not answer.
    #[error("the leader is needed for this read and cannot be reached: {0}; retry later, or read from the replica")]
    LeaderUnavailable(String),
    /// The replica has nothing yet.
    #[error("this edge has not finished its first snapshot; retry another edge, or this one in a moment")]
    NotReady,
    /// Too much work is waiting.
    #[error("too many reads are waiting here ({0}); retry in a moment")]
    Overloaded(String),
    /// Too few regions answered.
    #[error(
        "{needed} of {of} regions are needed for this read, and only {} answered; {missing}; retry later, or read from the \
         replica or the leader",
        names(answered)
    )]
    QuorumNotReached {
        /// How many regions are a majority.
        needed: u32,
        /// How many regions there are.
        of: u32,
        /// Those that answered.
        answered: Vec<Region>,
        /// Which did not, and why.
        missing: String,
    },
    /// The rows are more than one answer between nodes may carry.
    #[error("the read is too large: {0}")]
    TooLarge(String),
    /// What the demanded token stands for is lost, or was never written.
    #[error(
        "the token '{token}' can never be reached: {reason}; write again what it stood for, and demand the token of that"
    )]
    TokenLost {
        /// The part of the token.
        token: String,
        /// Why.
        reason: String,
    },
    /// Too many reads wait for the freshness that they demand.
    #[error("{0} reads already wait for freshness here; retry in a moment, or demand less")]
    TooManyWaiting(usize),
    /// The leader's log was begun anew, and other regions have, or may have, what is lost with the one before.
    #[error(
        "this leader cannot tell yet what exists: {0}; ask an edge of this region or another region, or retry later"
    )]
    NotAllHere(String),
}

fn names(regions: &[Region]) -> String {
    if regions.is_empty() {
        return "none".to_owned();
    }
    regions.iter().map(|region| format!("'{region}'")).collect::<Vec<_>>().join(", ")
}

/// How a row answers for one view at one time.
#[must_use]
pub fn row_status(view: &FeatureView, row: Option<&Row>, now: EventTime) -> Status {
    match row {
        None => Status::NotFound,
        Some(row) if is_expired(view, row.header().event_time, now) => Status::OutsideMaxAge,
        Some(_) => Status::Present,
    }
}

/// Whether an event is older than its view's TTL.
#[must_use]
pub fn is_expired(view: &FeatureView, event_time: EventTime, now: EventTime) -> bool {
    view.ttl_ms().is_some_and(|ttl_ms| age(event_time, now) > Duration::from_millis(ttl_ms))
}

/// How long ago the event happened; zero for one that is ahead of the clock.
#[must_use]
pub fn age(event_time: EventTime, now: EventTime) -> Duration {
    Duration::from_nanos(u64::try_from(now.0.saturating_sub(event_time.0)).unwrap_or(0))
}
