//! Reading records from memory or from disk.

use super::Embedded;
use crate::{
    cache::Entry,
    cut,
    error::ReadError,
    frame::{self, HEADER_LEN},
    segment::Segment,
};
use bytes::Bytes;
use littoral_model::{
    ports::RecordBlock,
    position::Lsn,
    record::{ChainHash, Record},
};

impl Embedded {
    pub(super) fn read_records(&self, from: Lsn, bytes_max: usize) -> Result<RecordBlock, ReadError> {
        let from = from.max(Lsn::OLDEST);
        Ok(cut::cut(&self.entries(from, bytes_max)?, from, bytes_max))
    }

    pub(super) fn read_chain(&self, lsn: Lsn) -> Result<Option<ChainHash>, ReadError> {
        {
            let state = self.state.read();
            if lsn == state.bounds.tail {
                return Ok(Some(state.bounds.chain));
            }
            if let Some(segment) = state.segments.iter().find(|segment| segment.header.first == lsn.next()) {
                return Ok(Some(segment.header.chain_before));
            }
            if lsn < state.bounds.oldest || lsn > state.bounds.tail {
                return Ok(None);
            }
        }
        match self.entries(lsn, 1) {
            Err(ReadError::Trimmed { .. }) => Ok(None),
            entries => Ok(chain_in(&entries?, lsn)),
        }
    }

    /// Returns whole batches, from the one that contains `from` on: about `bytes_max` bytes; none if `from` is past the
    /// tail.
    fn entries(&self, from: Lsn, bytes_max: usize) -> Result<Vec<Entry>, ReadError> {
        let (view, offset) = {
            let state = self.state.read();
            if from > state.bounds.tail {
                return Ok(Vec::new());
            }
            let cached = state.cache.from(from, bytes_max);
            if !cached.is_empty() {
                return Ok(cached);
            }
            let Some(segment) = holding(&state.segments, from) else {
                return Err(ReadError::Trimmed { from, oldest: state.bounds.oldest });
            };
            (SegmentView::of(segment), segment.seek(from))
        };
        view.entries(from, offset, bytes_max)
    }
}

/// Returns the last segment that begins at or before the record.
pub(crate) fn holding(segments: &[Segment], lsn: Lsn) -> Option<&Segment> {
    let at = segments.partition_point(|segment| segment.header.first <= lsn);
    at.checked_sub(1).and_then(|at| segments.get(at))
}

/// Returns whole batches of one of these segments, from the one that contains `from` on: about `bytes_max` bytes.
pub(crate) fn entries(segments: &[Segment], from: Lsn, bytes_max: usize) -> Result<Vec<Entry>, ReadError> {
    let Some(segment) = holding(segments, from) else { return Ok(Vec::new()) };
    SegmentView::of(segment).entries(from, segment.seek(from), bytes_max)
}

/// Returns the chain hash at a record of these segments, or before their first.
pub(crate) fn chain_at(segments: &[Segment], lsn: Lsn) -> Result<Option<ChainHash>, ReadError> {
    if let Some(segment) = segments.iter().find(|segment| segment.header.first == lsn.next()) {
        return Ok(Some(segment.header.chain_before));
    }
    Ok(chain_in(&entries(segments, lsn, 1)?, lsn))
}

fn chain_in(entries: &[Entry], lsn: Lsn) -> Option<ChainHash> {
    let entry = entries.first()?;
    let record = cut::nth(&entry.bytes, entry.first, lsn)?;
    postcard::from_bytes::<Record<'_>>(record).ok().map(|record| record.chain)
}

/// What a reader needs of a segment, copied while the state was locked.
struct SegmentView {
    name: String,
    file: std::sync::Arc<dyn crate::storage::File>,
    salt: u64,
    end: u64,
}

impl SegmentView {
    fn of(segment: &Segment) -> Self {
        Self { name: segment.name.clone(), file: segment.file.clone(), salt: segment.header.salt, end: segment.end }
    }

    fn read(&self, offset: u64, len: usize) -> Result<Vec<u8>, ReadError> {
        let mut bytes = vec![0; len];
        let read = self.file.read_at(offset, &mut bytes);
        read.map_err(|error| ReadError::io(&self.name, &error))?;
        Ok(bytes)
    }

    fn entries(&self, from: Lsn, mut offset: u64, bytes_max: usize) -> Result<Vec<Entry>, ReadError> {
        let damaged = |offset: u64| ReadError::Damaged {
            file: self.name.clone(),
            offset,
            reason: "a durable batch is damaged".to_owned(),
        };
        let mut entries = Vec::new();
        let mut bytes = 0;
        while offset + HEADER_LEN as u64 <= self.end && bytes < bytes_max {
            let head = self.read(offset, HEADER_LEN)?;
            let header = frame::Header::read(&head, self.salt).ok_or_else(|| damaged(offset))?;
            if header.last() >= from {
                let frame = self.read(offset, HEADER_LEN + header.len as usize)?;
                header.payload(&frame).ok_or_else(|| damaged(offset))?;
                let payload = Bytes::from(frame).slice(HEADER_LEN..);
                bytes += payload.len();
                entries.push(Entry { first: header.first, last: header.last(), bytes: payload });
            }
            offset += header.frame_len() as u64;
        }
        Ok(entries)
    }
}
