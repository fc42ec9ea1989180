//! Blocks of rows, in snapshots and in leaders' replies: a sequence of `u32 LE length | row's
//! postcard bytes`. In a reply, an entry of length zero represents a key without a row.

use crate::{
    encode::{self, decode, split_entry},
    error::{Error, malformed},
};
use littoral_model::{
    entity_key::KEY_LEN_MAX,
    event_time::EventTime,
    position::Lsn,
    row::{Row, RowMeta},
    version::Version,
    view::ViewId,
};
use serde::{Deserialize, Serialize};

const ROW: &str = "row";

/// A row in its encoded form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowRef<'a> {
    /// The view.
    pub view: ViewId,
    /// When the event happened.
    pub event_time: EventTime,
    /// The version of the write.
    pub version: Version,
    /// The record that created the row.
    pub lsn: Lsn,
    /// The entity key.
    #[serde(borrow, with = "serde_bytes")]
    pub key: &'a [u8],
    /// The packed values; `None` for a tombstone.
    #[serde(borrow, with = "serde_bytes")]
    pub body: Option<&'a [u8]>,
}

impl<'a> RowRef<'a> {
    /// Borrows the encoded fields of a row.
    #[must_use]
    pub fn of(row: &'a Row) -> Self {
        let header = row.header();
        Self {
            view: header.view,
            event_time: header.event_time,
            version: header.version,
            lsn: header.lsn,
            key: row.key(),
            body: (!row.is_tombstone()).then(|| row.body()),
        }
    }

    /// Creates the row.
    #[must_use]
    pub fn to_row(&self) -> Row {
        let meta = RowMeta { view: self.view, event_time: self.event_time, version: self.version, lsn: self.lsn };
        Row::new(meta, self.key, self.body)
    }
}

/// Appends a row to a block; `None` appends the entry of a missing row.
///
/// # Errors
/// [`Error::TooLong`] if it exceeds 4 GiB; the block is unchanged.
pub fn push(block: &mut Vec<u8>, row: Option<&Row>) -> Result<(), Error> {
    match row {
        Some(row) => encode::append_entry(block, ROW, &RowRef::of(row)),
        None => {
            block.extend_from_slice(&[0; 4]);
            Ok(())
        }
    }
}

/// Iterates over a block's rows, in order.
#[derive(Clone, Debug)]
pub struct Rows<'a> {
    rest: &'a [u8],
}

/// Iterates over a block's rows, in order. An error ends the iteration.
#[must_use]
pub fn iter(block: &[u8]) -> Rows<'_> {
    Rows { rest: block }
}

impl<'a> Iterator for Rows<'a> {
    type Item = Result<Option<RowRef<'a>>, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let row = split_entry(&mut self.rest, ROW)?.and_then(|entry| match entry {
            [] => Ok(None),
            entry => {
                let row: RowRef<'_> = decode(entry, ROW)?;
                if row.key.len() > KEY_LEN_MAX {
                    return Err(malformed(ROW, format_args!("its key is {} bytes long", row.key.len())));
                }
                Ok(Some(row))
            }
        });
        if row.is_err() {
            self.rest = &[];
        }
        Some(row)
    }
}
