//! Rows as replicas hold them: one allocation, reference-counted, immutable.

use crate::{
    digest::Sum,
    event_time::EventTime,
    merge::Rank,
    position::Lsn,
    row_body::{self, ValueRef},
    value::ValueType,
    version::Version,
    view::ViewId,
};
use triomphe::ThinArc;

/// The fields of a row other than its key and values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowHeader {
    /// The view that the row belongs to.
    pub view: ViewId,
    /// The number of the row's bytes that are its key.
    key_len: u32,
    /// Whether this is a tombstone: the row was deleted, and the tombstone outranks older writes.
    pub tombstone: bool,
    /// When the event happened.
    pub event_time: EventTime,
    /// The version of the write.
    pub version: Version,
    /// The record of the local log that created the row.
    pub lsn: Lsn,
    sum: Sum,
}

/// A row or a tombstone. Cloning only increments a reference count.
#[derive(Clone, Debug)]
pub struct Row(ThinArc<RowHeader, u8>);

/// The fields from which a row is created, other than its bytes.
#[derive(Clone, Copy, Debug)]
pub struct RowMeta {
    /// The view that the row belongs to.
    pub view: ViewId,
    /// When the event happened.
    pub event_time: EventTime,
    /// The version of the write.
    pub version: Version,
    /// The record of the local log that created the row.
    pub lsn: Lsn,
}

impl RowHeader {
    fn of(meta: RowMeta, payload: &[u8], key_len: usize, tombstone: bool) -> Self {
        let RowMeta { view, event_time, version, lsn } = meta;
        let header = Self { view, key_len: key_len as u32, tombstone, event_time, version, lsn, sum: Sum::default() };
        Self { sum: Sum::over(&header, payload), ..header }
    }

    /// Returns the length of the key in bytes.
    #[inline]
    pub(crate) const fn key_len(&self) -> u32 {
        self.key_len
    }
}

impl Row {
    /// Creates a row from its key and packed values ([`crate::row_body`]); without a body, a
    /// tombstone.
    #[must_use]
    pub fn new(meta: RowMeta, key: &[u8], body: Option<&[u8]>) -> Self {
        let tombstone = body.is_none();
        let body = body.unwrap_or_default();
        let made = |payload: &[u8]| {
            let header = RowHeader::of(meta, payload, key.len(), tombstone);
            Self(ThinArc::from_header_and_slice(header, payload))
        };
        // Most rows fit on the stack: one allocation instead of two.
        let mut short = [0; 512];
        let (keys, bodies) = (key.len(), key.len() + body.len());
        if let Some(bytes) = short.get_mut(..bodies) {
            bytes[..keys].copy_from_slice(key);
            bytes[keys..].copy_from_slice(body);
            return made(bytes);
        }
        made(&[key, body].concat())
    }

    /// Creates a row from adjacent bytes: `key_len` bytes of key, then the packed values. Without
    /// values the row is a tombstone, because packed values are never empty.
    #[must_use]
    pub fn of_payload(meta: RowMeta, payload: &[u8], key_len: usize) -> Self {
        let key_len = key_len.min(payload.len());
        let header = RowHeader::of(meta, payload, key_len, key_len == payload.len());
        Self(ThinArc::from_header_and_slice(header, payload))
    }

    /// Returns a copy of the row that another record created, one of another log.
    #[must_use]
    pub fn at(row: &Self, lsn: Lsn) -> Self {
        Self(ThinArc::from_header_and_slice(RowHeader { lsn, ..*row.header() }, &row.0.slice))
    }

    /// Returns a copy of the row with the hash of its current bytes in memory.
    #[must_use]
    pub fn resealed(row: &Self) -> Self {
        let header = RowHeader { sum: Sum::of(row), ..*row.header() };
        Self(ThinArc::from_header_and_slice(header, &row.0.slice))
    }

    /// Returns a copy of the row with other bytes but the old hash, as after a bit flip in memory.
    /// For tests.
    #[cfg(feature = "test-hooks")]
    #[must_use]
    pub fn corrupted(row: &Self, payload: &[u8]) -> Self {
        Self(ThinArc::from_header_and_slice(*row.header(), payload))
    }

    /// Returns the header.
    #[inline]
    #[must_use]
    pub fn header(&self) -> &RowHeader {
        &self.0.header.header
    }

    /// Returns the hash computed when the row was created. [`Sum::of`] computes the same hash as
    /// long as the row's memory is intact.
    #[inline]
    #[must_use]
    pub fn sum(&self) -> Sum {
        self.header().sum
    }

    /// Returns the row's address without reading the row, for prefetching.
    #[inline]
    #[must_use]
    pub fn address(&self) -> *const u8 {
        self.0.heap_ptr().cast()
    }

    /// Returns the entity key's bytes.
    #[inline]
    #[must_use]
    pub fn key(&self) -> &[u8] {
        &self.0.slice[..self.header().key_len as usize]
    }

    /// Returns the packed values; empty for a tombstone.
    #[inline]
    #[must_use]
    pub fn body(&self) -> &[u8] {
        &self.0.slice[self.header().key_len as usize..]
    }

    /// Returns whether the row was deleted.
    #[inline]
    #[must_use]
    pub fn is_tombstone(&self) -> bool {
        self.header().tombstone
    }

    /// Returns the value of the view's feature `index`.
    #[inline]
    #[must_use]
    pub fn value(&self, index: usize, value_type: ValueType) -> ValueRef<'_> {
        row_body::value_at(self.body(), index, value_type)
    }

    /// Returns the rank, which orders this row against other writes of it.
    #[must_use]
    pub fn rank(&self) -> Rank {
        Rank { event_time: self.header().event_time, version: self.header().version }
    }

    /// Returns the bytes of key and values, which are adjacent in memory.
    #[inline]
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        &self.0.slice
    }

    /// Returns the length of key and values in bytes, the payload that memory metrics count.
    #[must_use]
    pub fn payload_len(&self) -> usize {
        self.0.slice.len()
    }

    /// Returns the size of the allocation in bytes: payload, header, reference count.
    #[must_use]
    pub fn allocation_len(&self) -> usize {
        Self::allocation_len_of(self.0.slice.len())
    }

    /// Returns the size of the allocation of a row with `payload_len` bytes of key and values.
    #[must_use]
    pub const fn allocation_len_of(payload_len: usize) -> usize {
        size_of::<RowHeader>() + 2 * size_of::<usize>() + payload_len
    }
}
