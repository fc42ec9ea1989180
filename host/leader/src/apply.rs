//! The apply thread: what is durable becomes visible, then it is acknowledged.

use crate::{
    proof::{self, Task},
    shared::{Published, Reply, Shared},
};
use littoral_model::{
    catalogue::{Catalogue, CatalogueChange},
    event_time::EventTime,
    hlc::Hlc,
    merge::MergePolicy,
    position::{Lsn, Position},
    record::ChainHash,
    row::{Row, RowMeta},
    token::Watermark,
    version::Version,
    view::ViewId,
    write::{WriteReceipt, WriteRequest},
};
use littoral_replica::{Mode, Table};
use std::{
    collections::HashMap,
    sync::{Arc, mpsc::Receiver},
};

/// What a durable batch leads to.
#[derive(Debug)]
pub(crate) enum Done {
    /// Rows to apply. Their numbers and clock readings follow from the first's by one each.
    Rows { request: WriteRequest, first: Lsn, last: Lsn, hlc: Hlc, reply: Reply },
    /// A change to apply.
    Change { change: CatalogueChange, lsn: Lsn, reply: Reply },
    /// Tombstones to collect.
    Collect { before: Hlc, lsn: Lsn, reply: Reply },
    /// Something to do between this batch and the next.
    Prove { task: Task, reply: Reply },
    /// Only an answer, which waits its turn: what it speaks of may be in a batch before.
    Nothing { receipt: WriteReceipt, reply: Reply },
}

/// A durable batch.
#[derive(Debug)]
pub(crate) struct Committed {
    /// Where the log ends with it; `None` when it has no records.
    pub(crate) head: Option<(Lsn, ChainHash, Hlc)>,
    pub(crate) done: Vec<Done>,
}

/// Runs until the commit thread is gone and everything is applied.
pub(crate) fn run(shared: &Shared, batches: &Receiver<Committed>) {
    let mut state = State::new(shared.published.load().catalogue.clone());
    let mut answers = Vec::new();
    while let Ok(Committed { head, done }) = batches.recv() {
        let (mut retired, mut tasks) = (Vec::new(), Vec::new());
        for done in done {
            match done {
                Done::Rows { request, first, last, hlc, reply } => {
                    apply_rows(shared, &state, &request, first, hlc);
                    answers.push((reply, shared.receipt(first, last, false)));
                }
                Done::Change { change, lsn, reply } => {
                    let before = state.catalogue.clone();
                    state.apply(&shared.table, &change);
                    retired.push(before);
                    answers.push((reply, shared.receipt(lsn, lsn, false)));
                }
                Done::Collect { before, lsn, reply } => {
                    let collected = shared.table.collect_tombstones(before);
                    metrics::counter!("littoral_leader_tombstones_collected_total").increment(collected as u64);
                    answers.push((reply, shared.receipt(lsn, lsn, false)));
                }
                Done::Prove { task, reply } => tasks.push((task, reply)),
                Done::Nothing { receipt, reply } => answers.push((reply, receipt)),
            }
        }
        // Before the head moves on: whoever hears of it finds the checkpoint that belongs there.
        let lsn = head.map_or_else(|| shared.published.load().position.lsn, |(lsn, ..)| lsn);
        for (task, reply) in tasks {
            proof::carry_out(shared, task, lsn, &state.catalogue);
            answers.push((reply, shared.receipt(lsn, lsn, false)));
        }
        if let Some((lsn, chain, hlc)) = head {
            publish(shared, &state, (lsn, chain, hlc));
        }
        metrics::counter!("littoral_leader_writes_total").increment(answers.len() as u64);
        for (reply, receipt) in answers.drain(..) {
            // Nobody may be waiting any more.
            let _ = reply.send(Ok(receipt));
        }
        for before in retired {
            shared.modules.retire(&*shared.runtime, &before, &state.catalogue);
        }
    }
}

fn apply_rows(shared: &Shared, state: &State, request: &WriteRequest, first: Lsn, hlc: Hlc) {
    for (row, at) in request.rows.iter().zip(0..) {
        let version = Version { hlc: Hlc(hlc.0 + at), region: shared.identity.region };
        let meta = RowMeta { view: row.view, event_time: row.event_time, version, lsn: first.advance(at) };
        state.apply_row(&shared.table, meta, row.key, row.body);
    }
}

fn publish(shared: &Shared, state: &State, (lsn, chain, hlc): (Lsn, ChainHash, Hlc)) {
    let incarnation = shared.identity.incarnation;
    let position = Position { incarnation, lsn };
    let watermark = Watermark::at(shared.identity.region, incarnation, lsn);
    let catalogue = state.catalogue.clone();
    shared.published.store(Arc::new(Published { position, chain, hlc, catalogue, watermark }));
    shared.head.send_replace(position);
}

/// The catalogue as of what is applied, and what of it rows need.
pub(crate) struct State {
    pub(crate) catalogue: Arc<Catalogue>,
    merges: HashMap<ViewId, MergePolicy>,
}

impl State {
    pub(crate) fn new(catalogue: Arc<Catalogue>) -> Self {
        let merges = catalogue.views().map(|view| (view.id, view.merge)).collect();
        Self { catalogue, merges }
    }

    /// Applies a change; a view that is dropped takes its rows with it.
    pub(crate) fn apply(&mut self, table: &Table, change: &CatalogueChange) {
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

    /// Applies a row; one of a view that is not there any more is left out.
    pub(crate) fn apply_row(&self, table: &Table, meta: RowMeta, key: &[u8], body: Option<&[u8]>) {
        if let Some(merge) = self.merges.get(&meta.view) {
            table.apply(Row::new(meta, key, body), *merge, Mode::InsertAll);
        }
    }
}

/// A row's time and version from a record.
pub(crate) fn meta(view: ViewId, event_time: EventTime, record: &littoral_model::record::Record<'_>) -> RowMeta {
    RowMeta { view, event_time, version: record.version(), lsn: record.lsn }
}
