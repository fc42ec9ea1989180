//! Applies durable batches, which makes them visible.

use crate::{
    commit::CommandEffect,
    ledger::Ledger,
    log_state::LogState,
    outranked_rows::{OutrankedRows, RowRecord},
    published::{self, Records},
    rehoming::RehomingPoints,
};
use bytes::Bytes;
use littoral_model::{
    catalogue::{Catalogue, CatalogueChange},
    conflict::{Conflict, ConflictSide},
    event_time::EventTime,
    hlc::Hlc,
    identity::Identity,
    lineage::Start,
    merge::MergePolicy,
    mutation::{Mutation, active},
    position::{Lsn, Position},
    record::{Payload, Record},
    region::Region,
    row::{Row, RowMeta},
    version::Version,
    view::ViewId,
    write::{WriteReceipt, WriteRequest},
};
use littoral_replica::{Mode, Table};
use littoral_wire::records;
use std::{collections::HashMap, sync::Arc};

/// The applied state without the rows.
#[derive(Clone, Debug)]
pub struct State {
    /// As of the last record that was applied.
    pub known: LogState,
    identity: Identity,
    merges: HashMap<ViewId, MergePolicy>,
    /// Which of the newest rows were outranked.
    pub outranked_rows: OutrankedRows,
}

/// State about other regions' records.
#[derive(Debug)]
pub struct Regional<'a> {
    /// Conflicts with them.
    pub ledger: &'a mut Ledger,
    /// Their positions in this log.
    pub rehoming: &'a mut RehomingPoints,
}

/// The results of applying a batch.
#[derive(Clone, Debug, Default)]
pub struct Applied {
    /// How many tombstones were collected.
    pub collected: usize,
    /// The catalogue before a change. Modules that only it names can be released.
    pub retired: Option<Arc<Catalogue>>,
    /// How many writes lost against another region's.
    pub conflicts: u64,
}

impl State {
    /// Creates the state of this log's leader.
    #[must_use]
    pub fn new(mut known: LogState, identity: Identity) -> Self {
        let merges = known.catalogue.views().map(|view| (view.id, view.merge)).collect();
        // A log written before logs had lives has one life.
        Arc::make_mut(&mut known.lineages).entry(identity.region, identity.incarnation);
        Self { known, identity, merges, outranked_rows: OutrankedRows::default() }
    }

    /// Applies a durable batch.
    pub fn apply(&mut self, table: &Table, effect: &CommandEffect, regional: Regional<'_>) -> Applied {
        let mut applied = Applied::default();
        match effect {
            CommandEffect::Rows { request, first, last, hlc } => {
                self.apply_rows(table, request, *first, *hlc);
                self.own_content(*last);
            }
            CommandEffect::Change { change, lsn } => {
                self.own_content(*lsn);
                applied.retired = Some(self.known.catalogue.clone());
                self.apply_change(table, change);
            }
            CommandEffect::Collect { before, .. } => applied.collected = table.collect_tombstones(*before),
            CommandEffect::Import { records, .. } => {
                // Decoding cannot fail: the records were encoded here a moment ago.
                for record in records::iter(records).flatten() {
                    if matches!(record.payload, Payload::Catalogue(_)) {
                        applied.retired.get_or_insert_with(|| self.known.catalogue.clone());
                    }
                    let regional = Regional { ledger: &mut *regional.ledger, rehoming: &mut *regional.rehoming };
                    applied.conflicts += self.replay(table, &record, regional);
                }
            }
            CommandEffect::Begin { start } => self.begin(self.identity.region, *start),
            CommandEffect::Affiliated { belongs, .. } => self.known.belong(*belongs),
            CommandEffect::Before { .. } => {}
        }
        applied
    }

    fn own_content(&mut self, lsn: Lsn) {
        let position = self.position(lsn);
        Arc::make_mut(&mut self.known.origins).set_own(self.identity.region, position);
    }

    /// Returns the position of a record of this log.
    fn position(&self, lsn: Lsn) -> Position {
        let Identity { region, incarnation } = self.identity;
        self.known.lineages.get(region).map_or(Position { incarnation, lsn }, |lineage| lineage.position(lsn))
    }

    fn begin(&mut self, region: Region, start: Start) {
        Arc::make_mut(&mut self.known.lineages).entry(region, start.life).begin(start);
        Arc::make_mut(&mut self.known.origins).note_cut(region, start.shared);
    }

    /// Returns the receipt of a write that is durable from `first` to `last`.
    #[must_use]
    pub fn receipt(&self, records: Records) -> WriteReceipt {
        published::receipt(self.identity.region, records, self.position(records.last))
    }

    /// Applies a record of the log, except for receipts. Returns how many conflicts between regions it revealed.
    pub fn replay(&mut self, table: &Table, record: &Record<'_>, regional: Regional<'_>) -> u64 {
        if record.is_content() && record.origin == self.identity.region {
            self.own_content(record.lsn);
        }
        let has_lsn = record.origin_lsn > Lsn::NONE;
        if record.is_content() && record.origin != self.identity.region {
            let origins = Arc::make_mut(&mut self.known.origins);
            if has_lsn {
                origins.note_row(record.origin, record.origin_lsn, record.hlc);
            } else {
                origins.note_foreign_row(record.origin, record.hlc);
            }
        }
        match &record.payload {
            Payload::Row { view, event_time, key, body } => {
                return self.merge(
                    (table, regional.ledger),
                    has_lsn,
                    meta(*view, *event_time, record),
                    key,
                    Some(body),
                );
            }
            Payload::Tombstone { view, event_time, key } => {
                return self.merge((table, regional.ledger), has_lsn, meta(*view, *event_time, record), key, None);
            }
            Payload::Catalogue(change) => self.apply_change(table, change),
            Payload::Receipt { .. } | Payload::BeginUnnamed | Payload::Withheld => {}
            Payload::Belongs(belongs) => self.known.belong(*belongs),
            Payload::Begin { .. } => {
                if let Some(start) = record.begins() {
                    self.begin(record.origin, start);
                }
            }
            Payload::Through { incarnation, chain, seen } => {
                let position = Position { incarnation: *incarnation, lsn: record.origin_lsn };
                let lost_past = self.known.through(record.origin, position, seen);
                if let Some(kept) = lost_past {
                    regional.rehoming.cut(record.origin, kept);
                }
                let origins = Arc::make_mut(&mut self.known.origins);
                origins.set(record.origin, (position, *chain), record.hlc, seen, lost_past.is_some());
                // Add no point for rows that it does not include: those of an interrupted snapshot, which will begin
                // again.
                let all_named = origins.get(record.origin).is_some_and(|origin| origin.newest <= origin.hlc);
                if all_named || active(Mutation::MarkBehindUnnamed) {
                    regional.rehoming.add(record.origin, (position.lsn, record.hlc), record.lsn);
                }
            }
            Payload::Collect { before } => {
                table.collect_tombstones(*before);
            }
        }
        0
    }

    /// Applies a row of any region. A row of another region may conflict with a write that its writer had not seen.
    ///
    /// Rows from a snapshot of a region that is not their origin are not checked for conflicts: it is unknown what
    /// their writer had seen.
    fn merge(
        &mut self,
        (table, ledger): (&Table, &mut Ledger),
        has_lsn: bool,
        meta: RowMeta,
        key: &[u8],
        body: Option<&[u8]>,
    ) -> u64 {
        let writer = meta.version.region;
        let met = if writer == self.identity.region || !has_lsn { None } else { table.held(meta.view, key) };
        let known = |held: &Row| self.known.origins.had_seen(writer, held.header(), self.identity.region);
        let Some(held) = met.filter(|held| !known(held)) else {
            self.apply_row(table, meta, key, body);
            return 0;
        };
        let Some(merge) = self.merges.get(&meta.view) else { return 0 };
        let incoming = Row::new(meta, key, body);
        let (kept, lost) =
            if merge.replaces(incoming.rank(), held.rank()) { (&incoming, &held) } else { (&held, &incoming) };
        let conflict = Conflict {
            view: meta.view,
            key: Bytes::copy_from_slice(key),
            kept: side(kept),
            lost: side(lost),
            lsn: meta.lsn,
        };
        let fresh = ledger.add(conflict);
        let became = table.apply(incoming, *merge, Mode::InsertAll);
        self.outranked_rows.add(&RowRecord::of((meta.lsn, meta.view), key, body.is_none(), merge.combines()), became);
        u64::from(fresh)
    }

    /// Applies a write's rows; consecutive rows of one view are applied together. Skips rows of views that were
    /// dropped.
    fn apply_rows(&mut self, table: &Table, request: &WriteRequest, first: Lsn, hlc: Hlc) {
        let mut rows = request.rows.pieces().zip(0..).peekable();
        let mut written = request.rows.iter().zip(0..);
        while let Some(view) = rows.peek().map(|(row, _)| row.view) {
            let of_view = std::iter::from_fn(|| {
                let (row, at) = rows.next_if(|(row, _)| row.view == view)?;
                let version = Version { hlc: Hlc(hlc.0 + at), region: self.identity.region };
                let meta = RowMeta { view, event_time: row.event_time, version, lsn: first.advance(at) };
                Some(Row::of_payload(meta, row.payload, row.key_len))
            });
            let Some(merge) = self.merges.get(&view) else {
                let count = of_view.count();
                written.by_ref().take(count).for_each(drop);
                continue;
            };
            let outranked_rows = &mut self.outranked_rows;
            table.apply_all(view, of_view, *merge, Mode::InsertAll, |became| {
                if let Some((row, at)) = written.next() {
                    let lsn = first.advance(at);
                    outranked_rows
                        .add(&RowRecord::of((lsn, view), row.key, row.body.is_none(), merge.combines()), became);
                }
            });
        }
    }

    /// Applies a catalogue change. Dropping a view deletes its rows.
    fn apply_change(&mut self, table: &Table, change: &CatalogueChange) {
        let dropped = match change {
            CatalogueChange::DropView(name) => self.known.catalogue.view(name).map(|view| view.id),
            _ => None,
        };
        Arc::make_mut(&mut self.known.catalogue).apply(change);
        self.merges = self.known.catalogue.views().map(|view| (view.id, view.merge)).collect();
        if let Some(view) = dropped {
            table.drop_view(view);
        }
    }

    /// Applies a row, unless its view was dropped.
    fn apply_row(&mut self, table: &Table, meta: RowMeta, key: &[u8], body: Option<&[u8]>) {
        if let Some(merge) = self.merges.get(&meta.view) {
            let became = table.apply(Row::new(meta, key, body), *merge, Mode::InsertAll);
            self.outranked_rows
                .add(&RowRecord::of((meta.lsn, meta.view), key, body.is_none(), merge.combines()), became);
        }
    }
}

fn side(row: &Row) -> ConflictSide {
    ConflictSide {
        version: row.header().version,
        event_time: row.header().event_time,
        body: (!row.is_tombstone()).then(|| Bytes::copy_from_slice(row.body())),
    }
}

/// Returns the metadata of a row from its record.
fn meta(view: ViewId, event_time: EventTime, record: &Record<'_>) -> RowMeta {
    RowMeta { view, event_time, version: record.version(), lsn: record.lsn }
}
