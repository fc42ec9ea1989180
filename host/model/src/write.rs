//! Writes of rows: what a leader is asked for and what it answers.

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
/// As text `local`, `quorum`, `regions=N`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WriteConcern {
    /// Durable in the leader's own log.
    #[default]
    Local,
    /// Durable at a majority of the members that keep the region's log.
    Quorum,
    /// Durable in the leader's own log and in those of at least so many other regions.
    Regions(u8),
}

/// A text that is no write concern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is no write concern; use local, quorum, or regions=N with N from 1 to 255")]
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

/// How a concern travels between nodes.
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

/// One row of a [`RowBatch`]. Bytes are ranges of the batch's buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Span {
    view: ViewId,
    event_time: EventTime,
    key_end: u32,
    /// Equal to `key_end` for a deletion: a body is never empty, it begins with its count.
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

/// A row to write as it lies in its batch: key and values in one piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowPiece<'a> {
    /// The view.
    pub view: ViewId,
    /// When the event happened.
    pub event_time: EventTime,
    /// The entity key's bytes, then those of the packed values; none of the latter delete the row.
    pub payload: &'a [u8],
    /// Bytes of the key.
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
    /// An empty batch with room for `rows` rows of `bytes` bytes in all.
    #[must_use]
    pub fn with_capacity(rows: usize, bytes: usize) -> Self {
        Self { bytes: Vec::with_capacity(bytes), spans: Vec::with_capacity(rows), stamped: None }
    }

    /// Rows of this event time have it from the door's clock, as their writer gave none: when the write is sent again they
    /// have another, and are the same rows.
    pub fn stamp(&mut self, at: EventTime) {
        self.stamped = Some(at);
    }

    /// Gives the rows whose writer gave no time another one: that of the leader that takes them, by whose clock later writes are
    /// later, whichever door they came through.
    pub fn restamp(&mut self, at: EventTime) {
        let Some(before) = self.stamped.replace(at) else {
            self.stamped = None;
            return;
        };
        self.spans.iter_mut().filter(|span| span.event_time == before).for_each(|span| span.event_time = at);
    }

    /// The time of the rows whose writer gave none.
    #[must_use]
    pub fn stamped(&self) -> Option<EventTime> {
        self.stamped
    }

    /// Gives each row whose writer gave no time the one that `later` says, if it says one.
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

    /// The row's event time, if its writer gave it.
    #[must_use]
    pub fn given_time(&self, row: &RowWrite<'_>) -> Option<EventTime> {
        Some(row.event_time).filter(|time| self.stamped != Some(*time))
    }

    /// Appends a row, or with no body a deletion.
    pub fn push(&mut self, row: RowWrite<'_>) {
        self.bytes.extend_from_slice(row.key);
        let key_end = self.bytes.len() as u32;
        self.bytes.extend_from_slice(row.body.unwrap_or_default());
        let body_end = self.bytes.len() as u32;
        self.spans.push(Span { view: row.view, event_time: row.event_time, key_end, body_end });
    }

    /// The number of rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// Bytes of keys and bodies.
    #[must_use]
    pub fn payload_len(&self) -> usize {
        self.bytes.len()
    }

    /// The rows, in order, as they lie in the batch.
    pub fn pieces(&self) -> impl Iterator<Item = RowPiece<'_>> {
        let mut start = 0;
        self.spans.iter().map(move |span| {
            let payload = &self.bytes[start..span.body_end as usize];
            let key_len = span.key_end as usize - start;
            start = span.body_end as usize;
            RowPiece { view: span.view, event_time: span.event_time, payload, key_len }
        })
    }

    /// The rows, in order.
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

    /// Whether a batch from outside is sound: ranges ascend and end with the buffer.
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

/// A write as it reaches a leader. It is taken whole or not at all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WriteRequest {
    /// The rows.
    pub rows: RowBatch,
    /// Makes a retry safe: a second write with this key and content answers as the first did. At most
    /// [`IDEMPOTENCY_KEY_LEN_MAX`] bytes.
    pub idempotency_key: Option<String>,
    /// How durable it must be.
    pub concern: WriteConcern,
    /// How long to wait for others to make it durable too, in milliseconds; the leader's default when zero.
    pub concern_wait_ms: u32,
    /// Whose part of the rows is written, where the views combine regions' parts ([`crate::parts`]): that of the leader's region
    /// when none is named. A writer that a failover may bring to another region names its own.
    pub part: Option<Region>,
}

/// The longest idempotency key, in bytes.
pub const IDEMPOTENCY_KEY_LEN_MAX: usize = 256;

/// What an acknowledged write may rely on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WriteReceipt {
    /// The write's first record.
    pub first: Lsn,
    /// Where the write ends in the log.
    pub position: Position,
    /// The freshness token: a read that demands it sees the write.
    pub token: Watermark,
    /// The concern that was reached.
    pub concern: WriteConcern,
    /// Whether this answers a retry of a write that was taken before.
    pub duplicate: bool,
    /// Its rows that changed nothing.
    #[serde(default, deserialize_with = "behind")]
    pub outranked: Outranked,
}

/// A row of a write, for people and programs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamedRow {
    /// Its view.
    pub view: String,
    /// Where it stands in the write.
    pub at: u32,
    /// Its entity key, as `id=7`.
    pub key: String,
}

impl fmt::Display for NamedRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "row {} of view '{}' ({})", self.at, self.view, self.key)
    }
}

/// What stands at the end of a message, and not in those of the version before.
fn behind<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(deserializer: D) -> Result<T, D::Error> {
    Ok(T::deserialize(deserializer).unwrap_or_default())
}

/// Why a write or a change of the catalogue was refused. Nothing of it was taken, except as said.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum WriteError {
    /// The write itself is at fault; a retry fails again.
    #[error("{0}")]
    Invalid(String),
    /// The view is not in the catalogue.
    #[error("there is no feature view '{0}'")]
    UnknownView(String),
    /// The idempotency key was used for another write.
    #[error("idempotency key '{0}' was used for a different write; use a new key")]
    IdempotencyMismatch(String),
    /// An event timestamp too far ahead.
    #[error(
        "{row}: event timestamp {event_time} is {ahead_ms} ms ahead of the leader's clock, more than {max_ms} ms: check the writer's clock and time zone"
    )]
    FutureEvent {
        /// The timestamp.
        event_time: String,
        /// How far ahead.
        ahead_ms: u64,
        /// The bound.
        max_ms: u64,
        /// Which row it is.
        #[serde(default, deserialize_with = "behind")]
        row: NamedRow,
    },
    /// The leader's disk does not take writes. Reads go on.
    #[error(
        "the leader could not make the write durable and has not taken it: {0}; reads go on, retry when the disk is mended"
    )]
    NotDurable(String),
    /// Too many writes are waiting.
    #[error("the leader has too many writes waiting; retry in a moment")]
    Overloaded,
    /// No leader answers. Whether the write was taken is not known: retry with the same idempotency key.
    #[error(
        "the leader cannot be reached: {0}; whether the write was taken is not known, so retry it with the same idempotency key"
    )]
    LeaderUnavailable(String),
    /// The write was taken and is durable here, but others that were asked for did not say in time that they have it.
    #[error(
        "the write is durable in its region, under the token '{token}', and is being replicated; but concern {wanted} was requested, and after {waited_ms} ms it was only known to be {reached}"
    )]
    ConcernNotReached {
        /// What was asked for.
        wanted: WriteConcern,
        /// What is known.
        reached: String,
        /// How long was waited, in milliseconds.
        waited_ms: u64,
        /// The freshness token of the write.
        token: String,
    },
    /// This node does not lead.
    #[error("this node does not lead its region: {0}")]
    NotLeader(String),
    /// A row of the write is at fault; a retry fails again.
    #[error("row {row} of {reason}")]
    InvalidRow {
        /// Where it stands in the write.
        row: u32,
        /// The view, and what is wrong.
        reason: String,
    },
}

impl WriteError {
    /// Where the row that is at fault stands in the write, if one is.
    #[must_use]
    pub const fn row(&self) -> Option<u32> {
        match self {
            Self::FutureEvent { row, .. } => Some(row.at),
            Self::InvalidRow { row, .. } => Some(*row),
            _ => None,
        }
    }
}

impl From<InvalidChange> for WriteError {
    fn from(error: InvalidChange) -> Self {
        Self::Invalid(error.to_string())
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
