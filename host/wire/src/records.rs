//! Blocks of records: `u32 LE length | record's postcard bytes`, again and again. The disk and the feed hold them alike.

use crate::{
    encode::{self, decode, split_entry},
    error::{Error, malformed},
    row_record,
};
use bytes::Bytes;
use littoral_model::{
    catalogue::Catalogue,
    mutation::{Mutation, active},
    position::Lsn,
    record::{ChainHash, Payload, Record},
    region::Region,
    row::Row,
    view::ViewId,
};
use littoral_protocol::frame::Views;
use std::collections::BTreeSet;

const RECORD: &str = "record";

/// Appends a record to a block.
///
/// # Errors
/// [`Error::TooLong`] for one beyond 4 GiB; the block is as before.
pub fn push(block: &mut Vec<u8>, record: &Record<'_>) -> Result<(), Error> {
    match &record.payload {
        Payload::Row { .. } | Payload::Tombstone { .. } => row_record::push(block, record),
        _ => encode::append_entry(block, RECORD, record),
    }
}

/// A block's records, in order, each with its own bytes.
#[derive(Clone, Debug)]
pub struct Records<'a> {
    rest: &'a [u8],
}

/// The block's records, in order. An error ends the iteration.
#[must_use]
pub fn iter(block: &[u8]) -> Records<'_> {
    Records { rest: block }
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<Record<'a>, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let record = split_entry(&mut self.rest, RECORD)?.and_then(|entry| decode(entry, RECORD));
        if record.is_err() {
            self.rest = &[];
        }
        Some(record)
    }
}

/// The chain hash of the block's last record; `None` for an empty block.
///
/// # Errors
/// [`Error::Truncated`], [`Error::Malformed`].
pub fn last_chain(block: &[u8]) -> Result<Option<ChainHash>, Error> {
    let (mut rest, mut last) = (block, None);
    while let Some(entry) = split_entry(&mut rest, RECORD) {
        last = Some(entry?);
    }
    last.map(|entry| decode::<Record<'_>>(entry, RECORD).map(|record| record.chain)).transpose()
}

/// The beginning of a dense block that starts with record `first`, up to and with record `last`.
///
/// # Errors
/// [`Error::Truncated`] when the block ends before.
pub fn through(block: &Bytes, first: Lsn, last: Lsn) -> Result<Bytes, Error> {
    let mut rest = &block[..];
    for _ in first.0..=last.0 {
        match split_entry(&mut rest, RECORD) {
            Some(entry) => drop(entry?),
            None => return Err(Error::Truncated { what: RECORD, needed: 4, have: 0 }),
        }
    }
    Ok(block.slice(..block.len() - rest.len()))
}

/// Keeps what a subscriber needs. It follows the catalogue through the records, as a view may be made or made anew under a
/// wanted name at any time.
#[derive(Clone, Debug)]
pub struct ViewFilter {
    /// `None`: everything is wanted.
    wanted: Option<Wanted>,
}

#[derive(Clone, Debug)]
enum Wanted {
    Views {
        names: BTreeSet<String>,
        ids: BTreeSet<ViewId>,
    },
    /// What originated in this region, and rows of others that came to it by no number of theirs.
    Origin(Region),
}

impl ViewFilter {
    /// A filter for these views, at a publisher of region `own`. A catalogue that is newer than the first record does no
    /// harm: numbers of views are never used again, and rows of a view that was dropped since would only be dropped.
    #[must_use]
    pub fn new(views: &Views, catalogue: &Catalogue, own: Region) -> Self {
        let wanted = match views {
            Views::All => None,
            Views::Names(names) => {
                let names: BTreeSet<String> = names.iter().cloned().collect();
                let ids = names.iter().filter_map(|name| catalogue.view(name)).map(|view| view.id).collect();
                Some(Wanted::Views { names, ids })
            }
            Views::ForRegion(_) => Some(Wanted::Origin(own)),
        };
        Self { wanted }
    }

    /// Whether rows of this view, as they are now, are wanted.
    #[must_use]
    pub fn wants(&self, view: ViewId) -> bool {
        match &self.wanted {
            None => true,
            Some(Wanted::Views { ids, .. }) => ids.contains(&view),
            // Of no view all rows.
            Some(Wanted::Origin(_)) => false,
        }
    }

    /// Whether a snapshot's row is wanted. Another region's leader wants all: where a row of the origin was outranked by a third
    /// region's, that is what stands for it.
    #[must_use]
    pub fn wants_row(&self, row: &Row) -> bool {
        matches!(self.wanted, Some(Wanted::Origin(_))) || self.wants(row.header().view)
    }

    /// The block without what is not wanted. A subscriber of some views still gets changes of the catalogue, as every replica
    /// holds the catalogue, and what collects tombstones. Receipts of writes stay only where everything is wanted: they
    /// serve whoever may lead one day, and such a one takes every view.
    ///
    /// # Errors
    /// [`Error::Truncated`], [`Error::Malformed`].
    pub fn apply(&mut self, block: &Bytes) -> Result<Bytes, Error> {
        let Some(wanted) = &mut self.wanted else { return Ok(block.clone()) };
        let mut kept = Vec::new();
        let mut rest = &block[..];
        loop {
            let before = rest;
            let Some(entry) = split_entry(&mut rest, RECORD) else { break };
            if wanted.takes(&decode(entry?, RECORD)?) {
                kept.extend_from_slice(&before[..before.len() - rest.len()]);
            }
        }
        Ok(Bytes::from(kept))
    }
}

impl Wanted {
    fn takes(&mut self, record: &Record<'_>) -> bool {
        match self {
            Self::Views { names, ids } => match &record.payload {
                Payload::Row { view, .. } | Payload::Tombstone { view, .. } => ids.contains(view),
                Payload::Catalogue(change) => {
                    if let Some(view) = change.defined_view()
                        && names.contains(&view.name)
                    {
                        ids.insert(view.id);
                    }
                    true
                }
                Payload::Receipt { .. } => false,
                Payload::Collect { .. }
                | Payload::BeginUnnamed
                | Payload::Begin { .. }
                | Payload::Belongs(_)
                | Payload::Through { .. } => true,
            },
            Self::Origin(own) => match &record.payload {
                // Rows that came round a third region may be of a log that is lost: whoever has them passes them on.
                Payload::Row { .. } | Payload::Tombstone { .. } => {
                    record.origin == *own || (record.origin_lsn == Lsn::NONE && !active(Mutation::KeepOrphans))
                }
                Payload::Catalogue(_) => record.origin == *own,
                // What the origin had seen of others when it wrote what follows.
                Payload::Through { .. } => true,
                // Where its log began another life.
                Payload::Begin { .. } => record.origin == *own,
                // Each region collects its tombstones and answers its retries by itself.
                Payload::Receipt { .. } | Payload::Collect { .. } | Payload::BeginUnnamed | Payload::Belongs(_) => {
                    false
                }
            },
        }
    }
}

/// Checks that a block holds the records `first..=last` densely, as a leader's log gives it.
///
/// # Errors
/// [`Error::Malformed`] naming the gap, [`Error::Truncated`].
pub fn check_dense(block: &[u8], first: u64, last: u64) -> Result<(), Error> {
    let mut expected = first;
    for record in iter(block) {
        let lsn = record?.lsn.0;
        if lsn != expected {
            return Err(malformed(RECORD, format_args!("number {lsn} where {expected} should be")));
        }
        expected += 1;
    }
    if expected == last.saturating_add(1) {
        Ok(())
    } else {
        Err(malformed(RECORD, format_args!("the block ends before {expected} instead of after {last}")))
    }
}
