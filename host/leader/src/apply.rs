//! The apply thread: what is durable becomes visible, then it is acknowledged. What becomes of the rows is decided in
//! [`littoral_leader_core::apply`].

use crate::{
    proof::{self, Task},
    shared::{Reply, Shared},
};
use littoral_leader_core::{Durable, Published, State, apply::Regional};
use littoral_model::{hlc::Hlc, position::Lsn, record::ChainHash, write::WriteReceipt};
use std::sync::{Arc, mpsc::Receiver};

/// What a durable batch leads to.
#[derive(Debug)]
pub(crate) enum Done {
    /// To be applied and answered, in its turn.
    Durable { durable: Durable, reply: Reply },
    /// Something to do between this batch and the next.
    Prove { task: Task, reply: Reply },
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
    let published = shared.published.load_full();
    let mut state = State::new(published.known(), shared.identity);
    let mut answers = Vec::new();
    while let Ok(Committed { head, done }) = batches.recv() {
        let (mut retired, mut tasks) = (Vec::new(), Vec::new());
        for done in done {
            match done {
                Done::Durable { durable, reply } => {
                    let regional = Regional { ledger: &mut shared.ledger.lock(), marks: &mut shared.marks.lock() };
                    let applied = state.apply(&shared.table, &durable, regional);
                    if applied.collected > 0 {
                        metrics::counter!("littoral_leader_tombstones_collected_total")
                            .increment(applied.collected as u64);
                    }
                    metrics::counter!("littoral_leader_conflicts_total").increment(applied.conflicts);
                    retired.extend(applied.retired);
                    let (first, last, duplicate) = durable.range();
                    let outranked = shared.receipts.lock().outranked(&durable, &state.losses);
                    answers.push((reply, WriteReceipt { outranked, ..state.receipt(first, last, duplicate) }));
                }
                Done::Prove { task, reply } => tasks.push((task, reply)),
            }
        }
        // Before the head moves on: whoever hears of it finds the checkpoint that belongs there.
        let lsn = head.map_or_else(|| shared.published.load().position.lsn, |(lsn, ..)| lsn);
        for (task, reply) in tasks {
            proof::carry_out(shared, task, lsn, &state.known.catalogue);
            answers.push((reply, state.receipt(lsn, lsn, false)));
        }
        if let Some(head) = head {
            let published = Published::at(shared.identity, head, state.known.clone());
            let position = published.position;
            shared.published.store(Arc::new(published));
            shared.head.send_replace(position);
        }
        metrics::counter!("littoral_leader_writes_total").increment(answers.len() as u64);
        for (reply, receipt) in answers.drain(..) {
            // Nobody may be waiting any more.
            let _ = reply.send(Ok(receipt));
        }
        for before in retired {
            shared.modules.retire(&*shared.runtime, &before, &state.known.catalogue);
        }
    }
}
