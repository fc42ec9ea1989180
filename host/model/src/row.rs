//! A row as replicas hold it: one allocation, shared by count, never changed.

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

/// What a row carries besides its key and values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowHeader {
    /// The view that the row belongs to.
    pub view: ViewId,
    /// How many of the row's bytes are its key.
    key_len: u32,
    /// Whether this is a tombstone: the row was deleted, and the tombstone outranks older writes.
    pub tombstone: bool,
    /// When the event happened.
    pub event_time: EventTime,
    /// Which write this is.
    pub version: Version,
    /// The record of the local log that made the row.
    pub lsn: Lsn,
    sum: Sum,
}

/// A row or a tombstone. Cloning counts a reference.
#[derive(Clone, Debug)]
pub struct Row(ThinArc<RowHeader, u8>);

/// What a row is made from, besides its bytes.
#[derive(Clone, Copy, Debug)]
pub struct RowMeta {
    /// The view that the row belongs to.
    pub view: ViewId,
    /// When the event happened.
    pub event_time: EventTime,
    /// Which write this is.
    pub version: Version,
    /// The record of the local log that made the row.
    pub lsn: Lsn,
}

impl RowHeader {
    fn of(meta: RowMeta, payload: &[u8], key_len: usize, tombstone: bool) -> Self {
        let RowMeta { view, event_time, version, lsn } = meta;
        let header = Self { view, key_len: key_len as u32, tombstone, event_time, version, lsn, sum: Sum::default() };
        Self { sum: Sum::over(&header, payload), ..header }
    }

    /// Bytes of the key.
    #[inline]
    pub(crate) const fn key_len(&self) -> u32 {
        self.key_len
    }
}

impl Row {
    /// A row from its key and packed values ([`crate::row_body`]); `None` makes a tombstone.
    #[must_use]
    pub fn new(meta: RowMeta, key: &[u8], body: Option<&[u8]>) -> Self {
        let tombstone = body.is_none();
        let body = body.unwrap_or_default();
        let made = |payload: &[u8]| {
            let header = RowHeader::of(meta, payload, key.len(), tombstone);
            Self(ThinArc::from_header_and_slice(header, payload))
        };
        // Most rows are put together on the stack: one allocation instead of two.
        let mut short = [0; 512];
        let (keys, bodies) = (key.len(), key.len() + body.len());
        if let Some(bytes) = short.get_mut(..bodies) {
            bytes[..keys].copy_from_slice(key);
            bytes[keys..].copy_from_slice(body);
            return made(bytes);
        }
        made(&[key, body].concat())
    }

    /// The same from bytes that are in one piece already: the key's, of which there are `key_len`, then the packed values'.
    /// Without any the row is a tombstone, as packed values are never empty.
    #[must_use]
    pub fn of_payload(meta: RowMeta, payload: &[u8], key_len: usize) -> Self {
        let key_len = key_len.min(payload.len());
        let header = RowHeader::of(meta, payload, key_len, key_len == payload.len());
        Self(ThinArc::from_header_and_slice(header, payload))
    }

    /// The same row, made by another record: one of another log.
    #[must_use]
    pub fn at(row: &Self, lsn: Lsn) -> Self {
        Self(ThinArc::from_header_and_slice(RowHeader { lsn, ..*row.header() }, &row.0.slice))
    }

    /// The same row with the hash of what lies in memory now.
    #[must_use]
    pub fn resealed(row: &Self) -> Self {
        let header = RowHeader { sum: Sum::of(row), ..*row.header() };
        Self(ThinArc::from_header_and_slice(header, &row.0.slice))
    }

    /// The same row with other bytes in memory, as flipped bits would leave it: its hash is that of before. For tests.
    #[cfg(feature = "test-hooks")]
    #[must_use]
    pub fn spoilt(row: &Self, payload: &[u8]) -> Self {
        Self(ThinArc::from_header_and_slice(*row.header(), payload))
    }

    /// The header.
    #[inline]
    #[must_use]
    pub fn header(&self) -> &RowHeader {
        &self.0.header.header
    }

    /// The row's hash as it was when the row was made: what [`Sum::of`] finds for as long as its memory keeps what was written.
    #[inline]
    #[must_use]
    pub fn sum(&self) -> Sum {
        self.header().sum
    }

    /// Where the row lies in memory, found without reading it: for prefetching.
    #[inline]
    #[must_use]
    pub fn address(&self) -> *const u8 {
        self.0.heap_ptr().cast()
    }

    /// The entity key's bytes.
    #[inline]
    #[must_use]
    pub fn key(&self) -> &[u8] {
        &self.0.slice[..self.header().key_len as usize]
    }

    /// The packed values; empty for a tombstone.
    #[inline]
    #[must_use]
    pub fn body(&self) -> &[u8] {
        &self.0.slice[self.header().key_len as usize..]
    }

    /// Whether the row was deleted.
    #[inline]
    #[must_use]
    pub fn is_tombstone(&self) -> bool {
        self.header().tombstone
    }

    /// Value `index`, of the view's feature `index`.
    #[inline]
    #[must_use]
    pub fn value(&self, index: usize, value_type: ValueType) -> ValueRef<'_> {
        row_body::value_at(self.body(), index, value_type)
    }

    /// What orders this row against another write of it.
    #[must_use]
    pub fn rank(&self) -> Rank {
        Rank { event_time: self.header().event_time, version: self.header().version }
    }

    /// Key and values as they lie in memory, one behind the other.
    #[inline]
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        &self.0.slice
    }

    /// Bytes of key and values: the payload that memory figures count.
    #[must_use]
    pub fn payload_len(&self) -> usize {
        self.0.slice.len()
    }

    /// Bytes of the allocation: payload, header, reference count.
    #[must_use]
    pub fn allocation_len(&self) -> usize {
        size_of::<RowHeader>() + 2 * size_of::<usize>() + self.0.slice.len()
    }
}
