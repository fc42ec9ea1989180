//! What is durable becomes visible.

use crate::commit::Durable;
use littoral_model::{
    catalogue::{Catalogue, CatalogueChange},
    event_time::EventTime,
    hlc::Hlc,
    merge::MergePolicy,
    position::Lsn,
    record::{Payload, Record},
    region::Region,
    row::{Row, RowMeta},
    version::Version,
    view::ViewId,
    write::WriteRequest,
};
use littoral_replica::{Mode, Table};
use std::{collections::HashMap, sync::Arc};

/// The catalogue as of what is applied, and what of it rows need.
#[derive(Clone, Debug)]
pub struct State {
    /// As of the last record that was applied.
    pub catalogue: Arc<Catalogue>,
    region: Region,
    merges: HashMap<ViewId, MergePolicy>,
}

/// What applying has led to besides rows.
#[derive(Clone, Debug, Default)]
pub struct Applied {
    /// Tombstones that were collected.
    pub collected: usize,
    /// The catalogue before a change: what it named and the new one does not can be let go of.
    pub retired: Option<Arc<Catalogue>>,
}

impl State {
    /// The state of this region's leader at a catalogue.
    #[must_use]
    pub fn new(catalogue: Arc<Catalogue>, region: Region) -> Self {
        let merges = catalogue.views().map(|view| (view.id, view.merge)).collect();
        Self { catalogue, region, merges }
    }

    /// Applies what a durable batch has brought.
    pub fn apply(&mut self, table: &Table, durable: &Durable) -> Applied {
        let mut applied = Applied::default();
        match durable {
            Durable::Rows { request, first, hlc, .. } => self.apply_rows(table, request, *first, *hlc),
            Durable::Change { change, .. } => {
                applied.retired = Some(self.catalogue.clone());
                self.apply_change(table, change);
            }
            Durable::Collect { before, .. } => applied.collected = table.collect_tombstones(*before),
            Durable::Before { .. } => {}
        }
        applied
    }

    /// Applies a record that is read back from the log. Receipts concern nobody here.
    pub fn replay(&mut self, table: &Table, record: &Record<'_>) {
        match &record.payload {
            Payload::Row { view, event_time, key, body } => {
                self.apply_row(table, meta(*view, *event_time, record), key, Some(body));
            }
            Payload::Tombstone { view, event_time, key } => {
                self.apply_row(table, meta(*view, *event_time, record), key, None);
            }
            Payload::Catalogue(change) => self.apply_change(table, change),
            Payload::Receipt { .. } | Payload::Begin | Payload::Through { .. } => {}
            Payload::Collect { before } => {
                table.collect_tombstones(*before);
            }
        }
    }

    fn apply_rows(&self, table: &Table, request: &WriteRequest, first: Lsn, hlc: Hlc) {
        for (row, at) in request.rows.iter().zip(0..) {
            let version = Version { hlc: Hlc(hlc.0 + at), region: self.region };
            let meta = RowMeta { view: row.view, event_time: row.event_time, version, lsn: first.advance(at) };
            self.apply_row(table, meta, row.key, row.body);
        }
    }

    /// A view that is dropped takes its rows with it.
    fn apply_change(&mut self, table: &Table, change: &CatalogueChange) {
        let dropped = match change {
            CatalogueChange::DropView(name) => self.catalogue.view(name).map(|view| view.id),
            _ => None,
        };
        Arc::make_mut(&mut self.catalogue).apply(change);
        self.merges = self.catalogue.views().map(|view| (view.id, view.merge)).collect();
        if let Some(view) = dropped {
            table.drop_view(view);
        }
    }

    /// A row of a view that is not there any more is left out.
    fn apply_row(&self, table: &Table, meta: RowMeta, key: &[u8], body: Option<&[u8]>) {
        if let Some(merge) = self.merges.get(&meta.view) {
            table.apply(Row::new(meta, key, body), *merge, Mode::InsertAll);
        }
    }
}

/// A row's time and version from a record.
fn meta(view: ViewId, event_time: EventTime, record: &Record<'_>) -> RowMeta {
    RowMeta { view, event_time, version: record.version(), lsn: record.lsn }
}
