//! Reading, from memory or from disk.

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
        let entries = match self.entries(lsn, 1) {
            Err(ReadError::Trimmed { .. }) => return Ok(None),
            other => other?,
        };
        let Some(entry) = entries.first() else { return Ok(None) };
        let record = cut::nth(&entry.bytes, entry.first, lsn);
        Ok(record.and_then(|bytes| postcard::from_bytes::<Record<'_>>(bytes).ok()).map(|record| record.chain))
    }

    /// Whole batches from the one with `from` on, about `bytes_max` bytes; none when `from` is past the tail.
    fn entries(&self, from: Lsn, bytes_max: usize) -> Result<Vec<Entry>, ReadError> {
        let (segment, offset) = {
            let state = self.state.read();
            if from > state.bounds.tail {
                return Ok(Vec::new());
            }
            let cached = state.cache.from(from, bytes_max);
            if !cached.is_empty() {
                return Ok(cached);
            }
            let at = state.segments.partition_point(|segment| segment.header.first <= from);
            let Some(segment) = at.checked_sub(1).and_then(|at| state.segments.get(at)) else {
                return Err(ReadError::Trimmed { from, oldest: state.bounds.oldest });
            };
            (Place::of(segment), segment.seek(from))
        };
        segment.entries(from, offset, bytes_max)
    }
}

/// A segment as it was when it was looked up.
struct Place {
    name: String,
    file: std::sync::Arc<dyn crate::storage::File>,
    salt: u64,
    end: u64,
}

impl Place {
    fn of(segment: &Segment) -> Self {
        Self { name: segment.name.clone(), file: segment.file.clone(), salt: segment.header.salt, end: segment.end }
    }

    fn read(&self, offset: u64, len: usize) -> Result<Vec<u8>, ReadError> {
        let mut bytes = vec![0; len];
        let read = self.file.read_at(offset, &mut bytes);
        read.map_err(|error| ReadError::Io { file: self.name.clone(), reason: error.to_string() })?;
        Ok(bytes)
    }

    fn entries(&self, from: Lsn, mut offset: u64, bytes_max: usize) -> Result<Vec<Entry>, ReadError> {
        let damaged = |offset: u64| ReadError::Damaged {
            file: self.name.clone(),
            offset,
            reason: "a batch that was durable is not whole any more".to_owned(),
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
