//! Blocks of records: a sequence of `u32 LE length | record's postcard bytes`, on disk and on the
//! feed.

use crate::{
    encode::{self, decode, split_entry},
    error::{Error, malformed},
    row_record,
};
use bytes::Bytes;
use littoral_model::{
    catalogue::Catalogue,
    format::ProtocolVersion,
    mutation::{Mutation, active},
    position::Lsn,
    project::Receiver,
    record::{ChainHash, Payload, Record},
    region::Region,
    row::Row,
    view::{FeatureView, ViewId},
};
use littoral_protocol::frame::{SubscriberHello, Views};
use std::{collections::BTreeSet, sync::Arc};

const RECORD: &str = "record";

/// Appends a record to a block.
///
/// # Errors
/// [`Error::TooLong`] if it exceeds 4 GiB; the block is unchanged.
pub fn push(block: &mut Vec<u8>, record: &Record<'_>) -> Result<(), Error> {
    match &record.payload {
        Payload::Row { .. } | Payload::Tombstone { .. } => row_record::push(block, record),
        _ => encode::append_entry(block, RECORD, record),
    }
}

/// Iterates over a block's records, in order.
#[derive(Clone, Debug)]
pub struct Records<'a> {
    rest: &'a [u8],
}

/// Iterates over a block's records, in order. An error ends the iteration.
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

/// Returns the chain hash of the block's last record; `None` for an empty block.
pub fn last_chain(block: &[u8]) -> Result<Option<ChainHash>, Error> {
    let (mut rest, mut last) = (block, None);
    while let Some(entry) = split_entry(&mut rest, RECORD) {
        last = Some(entry?);
    }
    last.map(|entry| decode::<Record<'_>>(entry, RECORD).map(|record| record.chain)).transpose()
}

/// Returns the start of a dense block whose first record is `first`, up to and including `last`.
///
/// # Errors
/// [`Error::Truncated`] if the block ends earlier.
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

/// Returns a block with stubs ([`Payload::Withheld`]) in place of rows of the views that are `withheld`.
///
/// # Errors
/// [`Error::Truncated`], [`Error::Malformed`].
pub fn withhold(block: &[u8], withheld: impl Fn(ViewId) -> bool) -> Result<Bytes, Error> {
    let mut kept = Vec::with_capacity(block.len());
    for record in iter(block) {
        let record = record?;
        match &record.payload {
            Payload::Row { view, .. } | Payload::Tombstone { view, .. } if withheld(*view) => {
                push(&mut kept, &record.withheld())?;
            }
            _ => push(&mut kept, &record)?,
        }
    }
    Ok(Bytes::from(kept))
}

/// Filters records for a subscriber. Tracks the catalogue through the records, because a view with
/// a requested name may be created or recreated at any time.
///
/// Also enforces the residency rules: a row that the receiver may not receive is replaced by a stub
/// ([`Payload::Withheld`]). The publisher decides this, whatever the subscriber requests.
#[derive(Clone, Debug)]
pub struct ViewFilter {
    /// `None` if everything is requested.
    wanted: Option<Wanted>,
    receiver: Receiver,
    /// The protocol version that the receiver speaks.
    version: ProtocolVersion,
    /// The catalogue by which `withheld` was determined.
    catalogue: Option<Arc<Catalogue>>,
    /// The views whose rows the receiver may not receive.
    withheld: BTreeSet<ViewId>,
}

#[derive(Clone, Debug)]
enum Wanted {
    Views {
        names: BTreeSet<String>,
        ids: BTreeSet<ViewId>,
    },
    /// Records that originated in this region, and other regions' rows that arrived without their
    /// LSN.
    Origin(Region),
}

impl ViewFilter {
    /// Creates a filter for these views, at a publisher of region `own`. The catalogue may be
    /// newer than the first record: view IDs are never reused, and rows of a view that was dropped
    /// since would only be discarded.
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
        let (receiver, version) = (Receiver::Unknown, ProtocolVersion::NEWEST);
        Self { wanted, receiver, version, catalogue: None, withheld: BTreeSet::new() }
    }

    /// Sets the receiver. A filter without one treats its receiver as unknown.
    #[must_use]
    pub fn receiver(self, receiver: Receiver) -> Self {
        Self { receiver, ..self }
    }

    /// Sets the protocol version that the receiver speaks.
    #[must_use]
    pub fn speaking(self, version: ProtocolVersion) -> Self {
        Self { version, ..self }
    }

    /// Determines which rows the receiver may not receive, and which of the views that exist are requested. Call this
    /// with a catalogue at least as new as the rows, before [`Self::apply`] and [`Self::wants_row`]. Returns whether
    /// the catalogue is another one than before.
    pub fn update(&mut self, catalogue: &Arc<Catalogue>) -> bool {
        if self.catalogue.as_ref().is_some_and(|known| Arc::ptr_eq(known, catalogue)) {
            return false;
        }
        self.withheld = catalogue.withheld_from(self.receiver);
        if let Some(Wanted::Views { names, ids }) = &mut self.wanted {
            ids.extend(names.iter().filter_map(|name| catalogue.view(name)).map(|view| view.id));
        }
        self.catalogue = Some(catalogue.clone());
        true
    }

    /// Returns whether the receiver may not receive rows of this view.
    #[must_use]
    pub fn withholds(&self, view: ViewId) -> bool {
        self.withheld.contains(&view) && !active(Mutation::SendEverywhere)
    }

    /// Returns whether all rows of this view are requested, as of now.
    #[must_use]
    pub fn wants(&self, view: ViewId) -> bool {
        !self.withholds(view) && self.requests(view)
    }

    /// Returns whether some rows of this view are requested, as of now, and the receiver may receive them. Another
    /// region's leader requests some rows of every view.
    #[must_use]
    pub fn wants_some(&self, view: ViewId) -> bool {
        !self.withholds(view) && (matches!(self.wanted, Some(Wanted::Origin(_))) || self.requests(view))
    }

    /// Returns a view whose rows the subscriber requests and may hold, but a holder in the region `at` may not. Such a
    /// holder must not serve the subscriber, which would treat its rows as complete. The filter must be up to date with
    /// this catalogue. Dropped views have no rows that anybody could lack.
    #[must_use]
    pub fn missing_at<'a>(&self, at: Receiver, catalogue: &'a Catalogue) -> Option<&'a FeatureView> {
        let mut withheld = catalogue.views().filter(|view| !at.may_hold(catalogue.regions_of(view.id)));
        withheld.find(|view| self.wants_some(view.id)).filter(|_| !active(Mutation::RelayServesWithoutRows))
    }

    /// Returns whether the subscriber's replica is one of another region's log and lacks rows that it requests and may
    /// hold, because that log may not hold them. Its position in this log does not account for them, so it needs a
    /// snapshot.
    #[must_use]
    pub fn lacks_rows(&self, hello: &SubscriberHello, catalogue: &Catalogue) -> bool {
        let Some(resume) = hello.resume.filter(|_| !active(Mutation::RehomeWithoutRows)) else { return false };
        let mut lineages = hello.lineages.iter();
        let from = lineages.find(|(_, lineage)| lineage.lists(resume.position.incarnation)).map(|(region, _)| region);
        self.missing_at(from.map_or(Receiver::Unknown, Receiver::In), catalogue).is_some()
    }

    fn requests(&self, view: ViewId) -> bool {
        match &self.wanted {
            None => true,
            Some(Wanted::Views { ids, .. }) => ids.contains(&view),
            // Rows of other regions are left out, so no view is complete.
            Some(Wanted::Origin(_)) => false,
        }
    }

    /// Returns whether a snapshot's row is requested. Another region's leader requests all rows:
    /// if a row of the origin was outranked by a third region's row, the latter replaces it.
    #[must_use]
    pub fn wants_row(&self, row: &Row) -> bool {
        let view = row.header().view;
        // A snapshot's row may be newer than its catalogue. One of a later view arrives again with the tail.
        let is_later = self.catalogue.as_ref().is_some_and(|catalogue| !catalogue.has_numbered(view));
        !is_later && self.wants_some(view)
    }

    /// Removes the records that are not requested, and replaces those that the receiver may not receive. A subscriber
    /// of some views still receives catalogue changes, because every replica holds the catalogue, and the collection of
    /// tombstones. Receipts of writes are kept only if everything is requested: they serve a future leader, which
    /// requests all views. Records of a protocol version that the receiver does not speak are removed; if everything is
    /// requested, they are replaced, because such a stream is dense.
    ///
    /// # Errors
    /// [`Error::Truncated`], [`Error::Malformed`].
    pub fn apply(&mut self, block: &Bytes) -> Result<Bytes, Error> {
        if self.wanted.is_none() && self.withheld.is_empty() && self.version == ProtocolVersion::NEWEST {
            return Ok(block.clone());
        }
        let mut kept = Vec::new();
        let mut rest = &block[..];
        loop {
            let before = rest;
            let Some(entry) = split_entry(&mut rest, RECORD) else { break };
            let record: Record<'_> = decode(entry?, RECORD)?;
            if !self.wanted.as_mut().is_none_or(|wanted| wanted.accepts(&record)) {
                continue;
            }
            if record.payload.since() > self.version {
                if self.wanted.is_none() {
                    push(&mut kept, &record.withheld())?;
                }
            } else if let Payload::Row { view, .. } | Payload::Tombstone { view, .. } = &record.payload
                && self.withholds(*view)
            {
                push(&mut kept, &record.withheld())?;
            } else {
                kept.extend_from_slice(&before[..before.len() - rest.len()]);
            }
        }
        Ok(Bytes::from(kept))
    }
}

impl Wanted {
    fn accepts(&mut self, record: &Record<'_>) -> bool {
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
                | Payload::Through { .. }
                | Payload::Withheld => true,
            },
            Self::Origin(own) => match &record.payload {
                // Rows that arrived through a third region may belong to a lost log, so every
                // region that holds them replicates them.
                Payload::Row { .. } | Payload::Tombstone { .. } => {
                    record.origin == *own || (record.origin_lsn == Lsn::NONE && !active(Mutation::KeepOrphans))
                }
                Payload::Catalogue(_) => record.origin == *own,
                // Needed: what the origin had seen of other regions at that record.
                Payload::Through { .. } => true,
                // Needed: where the origin's log began another life.
                Payload::Begin { .. } => record.origin == *own,
                // Not in a log; a relay that holds stubs serves no other region's leader.
                Payload::Withheld => false,
                // Each region collects its own tombstones and answers its own retries.
                Payload::Receipt { .. } | Payload::Collect { .. } | Payload::BeginUnnamed | Payload::Belongs(_) => {
                    false
                }
            },
        }
    }
}

/// Checks that a block contains the records `first..=last` densely, like a leader's log.
///
/// # Errors
/// [`Error::Malformed`], which names the gap; [`Error::Truncated`].
pub fn check_dense(block: &[u8], first: u64, last: u64) -> Result<(), Error> {
    let mut expected = first;
    for record in iter(block) {
        let lsn = record?.lsn.0;
        if lsn != expected {
            return Err(malformed(RECORD, format_args!("record {lsn} where {expected} was expected")));
        }
        expected += 1;
    }
    if expected == last.saturating_add(1) {
        Ok(())
    } else {
        Err(malformed(RECORD, format_args!("the block ends before record {expected} instead of after {last}")))
    }
}
