//! Keeps the newest records in memory, so that subscribers close to the tail cause no disk reads.

use crate::cut;
use bytes::Bytes;
use littoral_model::{ports::RecordBlock, position::Lsn};
use std::collections::VecDeque;

/// The records of a batch.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) first: Lsn,
    pub(crate) last: Lsn,
    pub(crate) bytes: Bytes,
}

impl Entry {
    /// Returns the entry without the records after `last`, which must be in it.
    pub(crate) fn through(&self, last: Lsn) -> Self {
        let block = RecordBlock { first: self.first, last: self.last, bytes: self.bytes.clone() };
        Self { first: self.first, last, bytes: cut::through(block, last).bytes }
    }
}

#[derive(Debug)]
pub(crate) struct Cache {
    entries: VecDeque<Entry>,
    bytes: usize,
    bytes_max: usize,
    spare: Vec<Vec<u8>>,
}

/// How many buffers are kept for reuse.
const SPARE_MAX: usize = 4;
/// Smaller buffers are cheaper to allocate than to keep.
const SPARE_LEN_MIN: usize = 32 << 10;
/// Larger buffers are rare and would only occupy memory.
const SPARE_LEN_MAX: usize = 4 << 20;

impl Cache {
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self { entries: VecDeque::new(), bytes: 0, bytes_max, spare: Vec::new() }
    }

    pub(crate) fn push(&mut self, entry: Entry) {
        self.bytes += entry.bytes.len();
        self.entries.push_back(entry);
        while self.bytes > self.bytes_max
            && let Some(oldest) = self.entries.pop_front()
        {
            self.bytes -= oldest.bytes.len();
            self.keep_spare(oldest.bytes);
        }
    }

    /// Returns a large buffer for reuse, or an empty one.
    pub(crate) fn take_spare(&mut self) -> Vec<u8> {
        self.spare.pop().unwrap_or_default()
    }

    /// Keeps a large buffer for reuse. The kernel would have to provide all pages of a new one, which takes longer than
    /// filling them.
    fn keep_spare(&mut self, bytes: Bytes) {
        if (SPARE_LEN_MIN..=SPARE_LEN_MAX).contains(&bytes.len())
            && self.spare.len() < SPARE_MAX
            && let Ok(mut bytes) = bytes.try_into_mut()
        {
            bytes.clear();
            self.spare.push(Vec::from(bytes));
        }
    }

    /// Drops entries before `oldest`, which were trimmed from the log.
    pub(crate) fn trim(&mut self, oldest: Lsn) {
        while self.entries.front().is_some_and(|entry| entry.last < oldest) {
            self.bytes -= self.entries.pop_front().map_or(0, |entry| entry.bytes.len());
        }
    }

    /// Drops records after `last`, which were cut off the log.
    pub(crate) fn cut(&mut self, last: Lsn) {
        while self.entries.back().is_some_and(|entry| entry.first > last) {
            self.bytes -= self.entries.pop_back().map_or(0, |entry| entry.bytes.len());
        }
        if let Some(newest) = self.entries.back_mut().filter(|entry| entry.last > last) {
            self.bytes -= newest.bytes.len();
            *newest = newest.through(last);
            self.bytes += newest.bytes.len();
        }
    }

    /// Returns about `bytes_max` bytes of batches, beginning with the one that contains `from`; none if that one is not
    /// cached.
    pub(crate) fn from(&self, from: Lsn, bytes_max: usize) -> Vec<Entry> {
        let at = self.entries.partition_point(|entry| entry.last < from);
        let held = self.entries.get(at).is_some_and(|entry| entry.first <= from);
        let mut bytes = 0;
        let wanted = self.entries.range(at..).take_while(|entry| {
            let more = bytes < bytes_max;
            bytes += entry.bytes.len();
            more
        });
        if held { wanted.cloned().collect() } else { Vec::new() }
    }
}
