//! Turns batches into the block that a reader requested.

use crate::cache::Entry;
use bytes::Bytes;
use littoral_model::{ports::RecordBlock, position::Lsn};

/// Returns the records from `from` on: at least one, about `bytes_max` bytes. A single batch that fits is returned
/// without copying.
pub(crate) fn cut(entries: &[Entry], from: Lsn, bytes_max: usize) -> RecordBlock {
    let (Some(head), Some(tail)) = (entries.first(), entries.last()) else { return RecordBlock::default() };
    if from > tail.last {
        return RecordBlock::default();
    }
    let start = offset_of(&head.bytes, from.0.saturating_sub(head.first.0));
    let first = Lsn(from.0.max(head.first.0));
    if entries.len() == 1 {
        let (end, records) = prefix(&head.bytes[start..], bytes_max);
        return block(first, records, head.bytes.slice(start..start + end));
    }
    let mut bytes = Vec::with_capacity(entries.iter().map(|entry| entry.bytes.len()).sum::<usize>().min(bytes_max));
    let mut records = 0;
    for (index, entry) in entries.iter().enumerate() {
        let part = if index == 0 { &entry.bytes[start..] } else { &entry.bytes[..] };
        let room = bytes_max.saturating_sub(bytes.len());
        if index > 0 && room == 0 {
            break;
        }
        let (end, count) = prefix(part, room);
        if index > 0 && end > room {
            break;
        }
        bytes.extend_from_slice(&part[..end]);
        records += count;
        if end < part.len() {
            break;
        }
    }
    block(first, records, Bytes::from(bytes))
}

/// Returns the block without the records after `last`.
#[must_use]
pub fn through(block: RecordBlock, last: Lsn) -> RecordBlock {
    if block.last <= last {
        return block;
    }
    if block.first > last {
        return RecordBlock::default();
    }
    let end = offset_of(&block.bytes, last.0 - block.first.0 + 1);
    RecordBlock { first: block.first, last, bytes: block.bytes.slice(..end) }
}

fn block(first: Lsn, records: u64, bytes: Bytes) -> RecordBlock {
    RecordBlock { first, last: Lsn(first.0 + records - records.min(1)), bytes }
}

/// Returns the length of the first record, including its length prefix.
pub(crate) fn record_len(bytes: &[u8]) -> Option<usize> {
    let len = u32::from_le_bytes(*bytes.first_chunk::<4>()?) as usize + 4;
    (len <= bytes.len()).then_some(len)
}

pub(crate) fn offset_of(bytes: &[u8], records: u64) -> usize {
    let mut at = 0;
    for _ in 0..records {
        at += record_len(&bytes[at..]).unwrap_or(0);
    }
    at
}

/// Measures the first records, at least one, of at most `bytes_max` bytes: where they end, and how many there are.
fn prefix(bytes: &[u8], bytes_max: usize) -> (usize, u64) {
    let (mut end, mut records) = (0, 0);
    while let Some(len) = record_len(&bytes[end..])
        && (records == 0 || end + len <= bytes_max)
    {
        end += len;
        records += 1;
    }
    (end, records)
}

/// Returns the record `lsn` of a batch that begins with `first`.
pub(crate) fn nth(bytes: &[u8], first: Lsn, lsn: Lsn) -> Option<&[u8]> {
    let start = offset_of(bytes, lsn.0.checked_sub(first.0)?);
    let len = record_len(&bytes[start..])?;
    Some(&bytes[start + 4..start + len])
}
