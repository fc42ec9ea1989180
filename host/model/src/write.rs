//! Writes of rows: what a leader receives and what it replies.

use crate::{
    catalogue::InvalidChange,
    event_time::EventTime,
    outranked::Outranked,
    position::{Lsn, Position},
    region::Region,
    token::Watermark,
    view::ViewId,
};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use std::{fmt, str::FromStr};

/// How durable a write must be before it is acknowledged.
///
/// In text form `local`, `quorum`, `regions=N`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WriteConcern {
    /// Durable in the leader's own log.
    #[default]
    Local,
    /// Durable at a majority of the region's members.
    Quorum,
    /// Durable in the leader's own log and in the logs of at least this many other regions.
    Regions(u8),
}

/// The error for a text that is not a write concern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not a write concern; use local, quorum, or regions=N with N from 1 to 255")]
pub struct InvalidConcern(String);

impl fmt::Display for WriteConcern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local => f.write_str("local"),
            Self::Quorum => f.write_str("quorum"),
            Self::Regions(count) => write!(f, "regions={count}"),
        }
    }
}

impl FromStr for WriteConcern {
    type Err = InvalidConcern;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match (text, text.strip_prefix("regions=").map(str::parse::<u8>)) {
            ("local", _) => Ok(Self::Local),
            ("quorum", _) => Ok(Self::Quorum),
            (_, Some(Ok(count))) if count > 0 => Ok(Self::Regions(count)),
            _ => Err(InvalidConcern(text.chars().take(64).collect())),
        }
    }
}

impl Serialize for WriteConcern {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            return serializer.collect_str(self);
        }
        match self {
            Self::Local => Compact::Local,
            Self::Quorum => Compact::Quorum,
            Self::Regions(count) => Compact::Regions(*count),
        }
        .serialize(serializer)
    }
}

/// The form in which nodes send a concern to each other.
#[derive(Serialize, Deserialize)]
enum Compact {
    Local,
    Quorum,
    Regions(u8),
}

impl<'de> Deserialize<'de> for WriteConcern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if !deserializer.is_human_readable() {
            return Ok(match Compact::deserialize(deserializer)? {
                Compact::Local => Self::Local,
                Compact::Quorum => Self::Quorum,
                Compact::Regions(count) => Self::Regions(count),
            });
        }
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(D::Error::custom)
    }
}

/// One row of a [`RowBatch`], as ranges of the batch's buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Span {
    view: ViewId,
    event_time: EventTime,
    key_end: u32,
    /// Equal to `key_end` for a deletion. A body is never empty, because it starts with its count.
    body_end: u32,
}

/// A row to write, borrowed from its batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowWrite<'a> {
    /// The view.
    pub view: ViewId,
    /// When the event happened.
    pub event_time: EventTime,
    /// The entity key ([`crate::entity_key`]).
    pub key: &'a [u8],
    /// The packed values ([`crate::row_body`]); `None` deletes the row.
    pub body: Option<&'a [u8]>,
}

/// A row to write, with its key and values adjacent as in the batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowPiece<'a> {
    /// The view.
    pub view: ViewId,
    /// When the event happened.
    pub event_time: EventTime,
    /// The entity key's bytes, then those of the packed values. Without values, the row is
    /// deleted.
    pub payload: &'a [u8],
    /// The length of the key in bytes.
    pub key_len: usize,
}

/// Rows to write, in order, in one buffer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowBatch {
    #[serde(with = "serde_bytes")]
    bytes: Vec<u8>,
    spans: Vec<Span>,
    stamped: Option<EventTime>,
}

impl RowBatch {
    /// Creates an empty batch with room for `rows` rows of `bytes` bytes in total.
    #[must_use]
    pub fn with_capacity(rows: usize, bytes: usize) -> Self {
        Self { bytes: Vec::with_capacity(bytes), spans: Vec::with_capacity(rows), stamped: None }
    }

    /// Marks `at` as the time that the receiving node assigned to rows whose writer gave none. A
    /// retry of the write gets another time, although the rows are the same.
    pub fn stamp(&mut self, at: EventTime) {
        self.stamped = Some(at);
    }

    /// Replaces the assigned time by `at`, the time of the leader that accepts the rows. By the
    /// leader's clock later writes are later, whichever node received them.
    pub fn restamp(&mut self, at: EventTime) {
        let Some(before) = self.stamped.replace(at) else {
            self.stamped = None;
            return;
        };
        self.spans.iter_mut().filter(|span| span.event_time == before).for_each(|span| span.event_time = at);
    }

    /// Returns the time assigned to the rows whose writer gave none.
    #[must_use]
    pub fn stamped(&self) -> Option<EventTime> {
        self.stamped
    }

    /// Sets the time that `later` returns, if any, for each row whose writer gave no time.
    pub fn postpone(&mut self, mut later: impl FnMut(RowWrite<'_>) -> Option<EventTime>) {
        let Some(stamped) = self.stamped else { return };
        let mut start = 0;
        for span in &mut self.spans {
            let (key_end, body_end) = (span.key_end as usize, span.body_end as usize);
            let (key, body) = (&self.bytes[start..key_end], &self.bytes[key_end..body_end]);
            start = body_end;
            if span.event_time != stamped {
                continue;
            }
            let row =
                RowWrite { view: span.view, event_time: stamped, key, body: Some(body).filter(|b| !b.is_empty()) };
            if let Some(time) = later(row) {
                span.event_time = time;
            }
        }
    }

    /// Returns the row's event time, if its writer gave it.
    #[must_use]
    pub fn given_time(&self, row: &RowWrite<'_>) -> Option<EventTime> {
        Some(row.event_time).filter(|time| self.stamped != Some(*time))
    }

    /// Appends a row; without a body, a deletion.
    pub fn push(&mut self, row: RowWrite<'_>) {
        self.bytes.extend_from_slice(row.key);
        let key_end = self.bytes.len() as u32;
        self.bytes.extend_from_slice(row.body.unwrap_or_default());
        let body_end = self.bytes.len() as u32;
        self.spans.push(Span { view: row.view, event_time: row.event_time, key_end, body_end });
    }

    /// Returns the number of rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// Returns whether there are no rows.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// Returns the total length of keys and bodies in bytes.
    #[must_use]
    pub fn payload_len(&self) -> usize {
        self.bytes.len()
    }

    /// Iterates over the rows in order, each with adjacent key and values.
    pub fn pieces(&self) -> impl Iterator<Item = RowPiece<'_>> {
        let mut start = 0;
        self.spans.iter().map(move |span| {
            let payload = &self.bytes[start..span.body_end as usize];
            let key_len = span.key_end as usize - start;
            start = span.body_end as usize;
            RowPiece { view: span.view, event_time: span.event_time, payload, key_len }
        })
    }

    /// Iterates over the rows, in order.
    pub fn iter(&self) -> impl Iterator<Item = RowWrite<'_>> {
        let mut start = 0;
        self.spans.iter().map(move |span| {
            let (key_end, body_end) = (span.key_end as usize, span.body_end as usize);
            let key = &self.bytes[start..key_end];
            let body = (body_end > key_end).then(|| &self.bytes[key_end..body_end]);
            start = body_end;
            RowWrite { view: span.view, event_time: span.event_time, key, body }
        })
    }

    /// Returns whether a batch from outside is valid: ranges ascend and end with the buffer.
    #[must_use]
    pub fn is_well_formed(&self) -> bool {
        let mut at = 0;
        let ascends = self.spans.iter().all(|span| {
            let fine = at <= span.key_end && span.key_end <= span.body_end;
            at = span.body_end;
            fine
        });
        ascends && at as usize == self.bytes.len()
    }
}

/// A write as a leader receives it. The leader accepts all of it or nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WriteRequest {
    /// The rows.
    pub rows: RowBatch,
    /// Makes a retry safe: a second write with this key and content receives the receipt of the
    /// first. At most [`IDEMPOTENCY_KEY_LEN_MAX`] bytes.
    pub idempotency_key: Option<String>,
    /// How durable it must be.
    pub concern: WriteConcern,
    /// How long to wait for other nodes to make the write durable, in milliseconds; zero for the
    /// leader's default.
    pub concern_wait_ms: u32,
    /// The region whose part of the rows is written, in views that combine parts
    /// ([`crate::parts`]); by default the leader's. A writer that may fail over to another region
    /// names its own.
    pub part: Option<Region>,
}

/// The maximum length of an idempotency key, in bytes.
pub const IDEMPOTENCY_KEY_LEN_MAX: usize = 256;

/// The acknowledgement of a write: what its writer can rely on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WriteReceipt {
    /// The write's first record.
    pub first: Lsn,
    /// The position of the write's last record.
    pub position: Position,
    /// The freshness token. A read that demands it sees the write.
    pub token: Watermark,
    /// The concern that was reached.
    pub concern: WriteConcern,
    /// Whether this answers a retry of a write that was accepted before.
    pub duplicate: bool,
    /// The rows that changed nothing.
    #[serde(default, deserialize_with = "added_later")]
    pub outranked: Outranked,
}

/// Identifies a row of a write, for display.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamedRow {
    /// Its view.
    pub view: String,
    /// Its index in the write.
    pub at: u32,
    /// Its entity key, as `id=7`.
    pub key: String,
}

/// Deserializes a field at the end of a message that the previous version does not send.
fn added_later<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(deserializer: D) -> Result<T, D::Error> {
    Ok(T::deserialize(deserializer).unwrap_or_default())
}

/// Why a write or a catalogue change was rejected. Unless stated otherwise, nothing of it was
/// applied.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum WriteError {
    /// The write itself is invalid; a retry fails again.
    #[error("{0}")]
    Invalid(String),
    /// The view is not in the catalogue.
    #[error("there is no feature view '{0}'")]
    UnknownView(String),
    /// The idempotency key was used for another write.
    #[error("idempotency key '{0}' was used for a different write; use a new key")]
    IdempotencyMismatch(String),
    /// An event timestamp is too far ahead.
    #[error("row {} of {}", .row.at, future(row, event_time, *ahead_ms, *max_ms))]
    FutureEvent {
        /// The timestamp.
        event_time: String,
        /// How far it is ahead, in milliseconds.
        ahead_ms: u64,
        /// The limit, in milliseconds.
        max_ms: u64,
        /// The row.
        #[serde(default, deserialize_with = "added_later")]
        row: NamedRow,
    },
    /// The leader's disk rejects writes. Reads continue.
    #[error(
        "the leader could not make the write durable and rejected it: {0}; reads continue, retry when the disk is repaired"
    )]
    NotDurable(String),
    /// Too many writes are queued.
    #[error("the leader has too many writes waiting; retry shortly")]
    Overloaded,
    /// No leader answers. Whether the write was accepted is unknown; retry with the same
    /// idempotency key.
    #[error(
        "the leader cannot be reached: {0}; whether the write was accepted is unknown, so retry it with the same idempotency key"
    )]
    LeaderUnavailable(String),
    /// The write was accepted and is durable here, but the other nodes did not confirm it in time.
    #[error(
        "the write is durable in its region, under the token '{token}', and is being replicated; but concern {wanted} was requested, and after {waited_ms} ms it was only known to be {reached}"
    )]
    ConcernNotReached {
        /// The requested concern.
        wanted: WriteConcern,
        /// The concern known to be reached.
        reached: String,
        /// How long the leader waited, in milliseconds.
        waited_ms: u64,
        /// The freshness token of the write.
        token: String,
    },
    /// This node does not lead.
    #[error("this node does not lead its region: {0}")]
    NotLeader(String),
    /// A row of the write is invalid; a retry fails again.
    #[error("row {row} of {reason}")]
    InvalidRow {
        /// Its index in the write.
        row: u32,
        /// The view, and what is wrong.
        reason: String,
    },
    /// The leader rejects the credential of the client on whose behalf the request was forwarded.
    #[error("the leader rejects the credential of the request: {0}")]
    Unauthenticated(String),
    /// The client on whose behalf the request was forwarded lacks a scope.
    #[error("{0}")]
    Forbidden(String),
    /// The write would exceed a quota of its project.
    #[error("{0}")]
    OverQuota(String),
    /// The project's rows may not be stored in the leader's region.
    #[error("{0}")]
    OutsideRegions(String),
    /// The leader has no memory left for more rows. Reads, deletions and rows that do not grow continue.
    #[error(
        "the leader's rows use {held} of {max} bytes (leader.rows_bytes_max), and the write adds {adds}; drop a view, delete rows (their memory is free after leader.tombstone_retention_s), or give the leader more memory"
    )]
    MemoryFull {
        /// The bytes of the rows that it holds.
        held: u64,
        /// The bound.
        max: u64,
        /// The bytes that the write adds.
        adds: u64,
    },
}

impl WriteError {
    /// Returns the index of the invalid row in the write, and its view with what is wrong, if the error names a row.
    #[must_use]
    pub fn invalid_row(&self) -> Option<(u32, String)> {
        match self {
            Self::FutureEvent { event_time, ahead_ms, max_ms, row } => {
                Some((row.at, future(row, event_time, *ahead_ms, *max_ms)))
            }
            Self::InvalidRow { row, reason } => Some((*row, reason.clone())),
            _ => None,
        }
    }
}

fn future(NamedRow { view, key, .. }: &NamedRow, event_time: &str, ahead_ms: u64, max_ms: u64) -> String {
    format!(
        "view '{view}' ({key}): event timestamp {event_time} is {ahead_ms} ms ahead of the leader's clock, more than \
         {max_ms} ms: check the writer's clock and time zone"
    )
}

impl From<InvalidChange> for WriteError {
    fn from(error: InvalidChange) -> Self {
        match error {
            InvalidChange::OverQuota { .. } => Self::OverQuota(error.to_string()),
            _ => Self::Invalid(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_of_a_missed_concern_has_no_run_of_spaces() {
        let (reached, token) = ("durable here".to_owned(), "east:1:2".to_owned());
        let error = WriteError::ConcernNotReached { wanted: WriteConcern::Quorum, reached, waited_ms: 7, token };
        assert!(!error.to_string().contains("  "), "{error}");
    }
}
