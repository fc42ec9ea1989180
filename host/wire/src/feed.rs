//! The feed's messages as frames.

use crate::{
    DOWNSTREAM_LEN_MAX, Outgoing, UPSTREAM_LEN_MAX,
    encode::{append, decode},
    error::Error,
};
use bytes::Bytes;
use littoral_model::{
    catalogue::Catalogue,
    digest::Checkpoint,
    hlc::Hlc,
    lineage::RegionLineages,
    position::{Lsn, Position},
    record::ChainHash,
    token::Watermark,
};
use littoral_protocol::frame::{Downstream, ErrorCode, PublisherHello, Upstream};
use serde::Deserialize;
use std::sync::Arc;

pub(crate) const UPSTREAM: &str = "message of a subscriber";
pub(crate) const DOWNSTREAM: &str = "message of a publisher";

/// Appends a subscriber's message.
///
/// # Errors
/// [`Error::TooLong`] if it names too many views.
pub fn push_upstream(out: &mut Outgoing, message: &Upstream) -> Result<(), Error> {
    out.push(UPSTREAM, message, UPSTREAM_LEN_MAX)
}

/// Decodes a subscriber's message.
pub fn upstream(payload: &[u8]) -> Result<Upstream, Error> {
    decode(payload, UPSTREAM)
}

/// Appends a publisher's message. Blocks of rows and records are shared, not copied.
///
/// # Errors
/// [`Error::TooLong`] if it exceeds [`DOWNSTREAM_LEN_MAX`].
pub fn push_downstream(out: &mut Outgoing, message: &Downstream) -> Result<(), Error> {
    match message {
        Downstream::SnapshotRows { rows, bytes } => {
            out.push_with_tail(DOWNSTREAM, &(SNAPSHOT_ROWS, rows), Some(bytes), DOWNSTREAM_LEN_MAX)
        }
        Downstream::Records { first, last, chain_after, bytes } => {
            out.push_with_tail(DOWNSTREAM, &(RECORDS, first, last, chain_after), Some(bytes), DOWNSTREAM_LEN_MAX)
        }
        other => out.push(DOWNSTREAM, other, DOWNSTREAM_LEN_MAX),
    }
}

/// Encodes a catalogue for [`push_snapshot_begin`].
///
/// # Errors
/// [`Error::Malformed`] if it cannot be encoded.
pub fn catalogue_bytes(catalogue: &Arc<Catalogue>) -> Result<Bytes, Error> {
    let mut bytes = Vec::new();
    append(&mut bytes, DOWNSTREAM, catalogue)?;
    Ok(bytes.into())
}

/// Appends the start of a snapshot with the encoded `catalogue`, which all streams share, in place
/// of the message's. Any other message is appended unchanged.
///
/// # Errors
/// As for [`push_downstream`].
pub fn push_snapshot_begin(out: &mut Outgoing, message: &Downstream, catalogue: &Bytes) -> Result<(), Error> {
    let Downstream::SnapshotBegin { as_of, chain, watermark, lineages, mixed, catalogue: _, rows_estimate } = message
    else {
        return push_downstream(out, message);
    };
    let head = (SNAPSHOT_BEGIN, as_of, chain, watermark, lineages, mixed);
    out.push_around(DOWNSTREAM, (&head, catalogue, Some(*rows_estimate)), DOWNSTREAM_LEN_MAX)
}

/// Encodes a checkpoint for [`push_checkpoint`].
///
/// # Errors
/// [`Error::Malformed`] if it cannot be encoded.
pub fn checkpoint_bytes(checkpoint: &Arc<Checkpoint>) -> Result<Bytes, Error> {
    let mut bytes = Vec::new();
    append(&mut bytes, DOWNSTREAM, checkpoint)?;
    Ok(bytes.into())
}

/// Appends an encoded checkpoint, which all streams share.
///
/// # Errors
/// As for [`push_downstream`].
pub fn push_checkpoint(out: &mut Outgoing, checkpoint: &Bytes) -> Result<(), Error> {
    out.push_around(DOWNSTREAM, (&CHECKPOINT, checkpoint, None), DOWNSTREAM_LEN_MAX)
}

/// Decodes a publisher's message. Blocks of rows and records share the payload's memory.
pub fn downstream(payload: &Bytes) -> Result<Downstream, Error> {
    Ok(match decode(payload, DOWNSTREAM)? {
        Borrowed::Hello(hello) => Downstream::Hello(hello),
        Borrowed::SnapshotBegin { as_of, chain, watermark, lineages, mixed, catalogue, rows_estimate } => {
            Downstream::SnapshotBegin { as_of, chain, watermark, lineages, mixed, catalogue, rows_estimate }
        }
        Borrowed::SnapshotRows { rows, bytes } => Downstream::SnapshotRows { rows, bytes: payload.slice_ref(bytes) },
        Borrowed::SnapshotEnd { rows } => Downstream::SnapshotEnd { rows },
        Borrowed::Records { first, last, chain_after, bytes } => {
            Downstream::Records { first, last, chain_after, bytes: payload.slice_ref(bytes) }
        }
        Borrowed::Heartbeat { clock, head, echo, behind_us, leader_lost } => {
            Downstream::Heartbeat { clock, head, echo, behind_us, leader_lost }
        }
        Borrowed::Error { code, message } => Downstream::Error { code, message },
        Borrowed::Checkpoint(checkpoint) => Downstream::Checkpoint(checkpoint),
    })
}

/// The numbers of [`Downstream`]'s variants with shared bytes; a test compares them with serde's.
const SNAPSHOT_BEGIN: u32 = 1;
const SNAPSHOT_ROWS: u32 = 2;
const RECORDS: u32 = 4;
const CHECKPOINT: u32 = 7;

/// [`Downstream`] with borrowed blocks, so that they can be sliced from the payload instead of copied.
#[derive(Deserialize)]
enum Borrowed<'a> {
    Hello(PublisherHello),
    SnapshotBegin {
        as_of: Position,
        chain: ChainHash,
        watermark: Watermark,
        lineages: RegionLineages,
        mixed: bool,
        catalogue: Arc<Catalogue>,
        rows_estimate: u64,
    },
    SnapshotRows {
        rows: u32,
        bytes: &'a [u8],
    },
    SnapshotEnd {
        rows: u64,
    },
    Records {
        first: Lsn,
        last: Lsn,
        chain_after: ChainHash,
        bytes: &'a [u8],
    },
    Heartbeat {
        clock: Hlc,
        head: Position,
        echo: u64,
        behind_us: Option<u64>,
        leader_lost: bool,
    },
    Error {
        code: ErrorCode,
        message: String,
    },
    Checkpoint(Arc<Checkpoint>),
}
