//! A segment: one file of frames.
//!
//! The file begins with a header of [`HEADER_LEN`] bytes that states what the first record must follow. Frames follow,
//! back to back. The rest is zeros, written or reserved ahead of time.

use crate::{error::OpenError, frame, identity::FORMAT, storage::File};
use littoral_model::{
    hlc::Hlc,
    position::{Epoch, Incarnation, Lsn},
    record::ChainHash,
};
use std::sync::Arc;
use xxhash_rust::xxh3::xxh3_64;

const MAGIC: &[u8; 8] = b"LITSEGMT";

/// Bytes before the first frame: a page, so that frames never share one with the header.
pub(crate) const HEADER_LEN: usize = 4_096;

/// The offset of one frame per about this many bytes is kept in memory. To find others, reading proceeds from frame to
/// frame.
const INDEX_EVERY: u64 = 64 << 10;

/// The header of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) salt: u64,
    pub(crate) incarnation: Incarnation,
    /// The first record that may be in this segment.
    pub(crate) first: Lsn,
    /// The chain hash before that record.
    pub(crate) chain_before: ChainHash,
    /// More about the record before `first`. `None` in segments that older versions wrote.
    pub(crate) before: Option<Before>,
}

/// What the first record of a segment follows. Located after the original header fields, where older versions left
/// zeros, with a checksum of its own. So older versions can read the header, and this one can read theirs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Before {
    /// The epoch of the record before; 0 if there is none.
    pub(crate) epoch: Epoch,
    /// The newest clock reading up to that record.
    pub(crate) hlc: Hlc,
}

/// An open segment.
#[derive(Clone, Debug)]
pub(crate) struct Segment {
    pub(crate) name: String,
    pub(crate) file: Arc<dyn File>,
    pub(crate) header: Header,
    /// The size of the file in bytes.
    pub(crate) capacity: u64,
    /// The offset of the next frame.
    pub(crate) end: u64,
    /// The last record; the one before `header.first` if the segment is empty.
    pub(crate) last: Lsn,
    /// The newest clock reading in it or before it.
    pub(crate) hlc: Hlc,
    /// The offsets of some frames: (first record, offset), ascending.
    index: Vec<(Lsn, u64)>,
}

/// Returns the name of the segment that begins with `first`.
pub(crate) fn name(first: Lsn) -> String {
    format!("log-{:020}.seg", first.0)
}

/// Returns the first record of the segment with this name.
pub(crate) fn parse_name(name: &str) -> Option<Lsn> {
    let digits = name.strip_prefix("log-")?.strip_suffix(".seg")?;
    (digits.len() == 20).then(|| digits.parse().ok().map(Lsn))?
}

impl Header {
    pub(crate) fn to_bytes(self) -> [u8; HEADER_LEN] {
        let mut out = [0; HEADER_LEN];
        out[..8].copy_from_slice(MAGIC);
        out[8..12].copy_from_slice(&FORMAT.to_le_bytes());
        out[16..24].copy_from_slice(&self.salt.to_le_bytes());
        out[24..32].copy_from_slice(&self.incarnation.0.to_le_bytes());
        out[32..40].copy_from_slice(&self.first.0.to_le_bytes());
        out[40..56].copy_from_slice(&self.chain_before.0.to_le_bytes());
        let sum = xxh3_64(&out[..56]);
        out[56..64].copy_from_slice(&sum.to_le_bytes());
        if let Some(before) = self.before {
            out[64..72].copy_from_slice(&before.epoch.0.to_le_bytes());
            out[72..80].copy_from_slice(&before.hlc.0.to_le_bytes());
            let sum = xxh3_64(&out[..80]);
            out[80..88].copy_from_slice(&sum.to_le_bytes());
        }
        out
    }

    pub(crate) fn read(name: &str, bytes: &[u8]) -> Result<Self, OpenError> {
        let damaged = |reason: &str| OpenError::damaged(name, 0, reason);
        let head = bytes.first_chunk::<64>().ok_or_else(|| damaged("the file ends within its header"))?;
        let u64_at = |at: usize| head[at..].first_chunk().map_or(0, |raw| u64::from_le_bytes(*raw));
        if &head[..8] != MAGIC {
            return Err(damaged("it is not a segment: its first bytes differ"));
        }
        let format = u64_at(8) as u32;
        if format > FORMAT {
            return Err(OpenError::Format { file: name.into(), found: format, known: FORMAT });
        }
        if u64_at(56) != xxh3_64(&head[..56]) {
            return Err(damaged("its header's checksum does not match"));
        }
        let first = Lsn(u64_at(32));
        if first < Lsn::OLDEST {
            return Err(damaged("its header states that it begins with record 0, which does not exist"));
        }
        let chain_before = ChainHash(head[40..].first_chunk().map_or(0, |raw| u128::from_le_bytes(*raw)));
        let before = Before::read(bytes).map_err(damaged)?;
        if before.is_some_and(|before| (before.epoch == Epoch(0)) != (first == Lsn::OLDEST)) {
            return Err(damaged("its header states an impossible preceding epoch"));
        }
        Ok(Self { salt: u64_at(16), incarnation: Incarnation(u64_at(24)), first, chain_before, before })
    }
}

impl Before {
    /// Reads these fields from a segment's header, if they are present.
    fn read(bytes: &[u8]) -> Result<Option<Self>, &'static str> {
        let Some(head) = bytes.first_chunk::<88>().filter(|head| head[64..].iter().any(|byte| *byte != 0)) else {
            return Ok(None);
        };
        let u64_at = |at: usize| head[at..].first_chunk().map_or(0, |raw| u64::from_le_bytes(*raw));
        if u64_at(80) != xxh3_64(&head[..80]) {
            return Err("the checksum of the header's second part does not match");
        }
        Ok(Some(Self { epoch: Epoch(u64_at(64)), hlc: Hlc(u64_at(72)) }))
    }
}

impl Segment {
    pub(crate) fn new(name: String, file: Arc<dyn File>, header: Header, capacity: u64) -> Self {
        let last = Lsn(header.first.0 - 1);
        let end = HEADER_LEN as u64;
        let hlc = header.before.map_or(Hlc::default(), |before| before.hlc);
        Self { name, file, header, capacity, end, last, hlc, index: Vec::new() }
    }

    /// Updates the segment after a frame was written or found at its end.
    pub(crate) fn grew(&mut self, frame: &frame::Header) {
        if self.index.last().is_none_or(|(_, offset)| self.end >= offset + INDEX_EVERY) {
            self.index.push((frame.first, self.end));
        }
        self.end += frame.frame_len() as u64;
        self.last = frame.last();
        self.hlc = self.hlc.max(frame.hlc);
    }

    /// Returns the offset of a frame at or before the one that contains `lsn`.
    pub(crate) fn seek(&self, lsn: Lsn) -> u64 {
        let after = self.index.partition_point(|(first, _)| *first <= lsn);
        after.checked_sub(1).and_then(|at| self.index.get(at)).map_or(HEADER_LEN as u64, |(_, offset)| *offset)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.last < self.header.first
    }
}
