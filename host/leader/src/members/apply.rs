//! The apply thread of a member: what is committed becomes visible, read back from the log, whoever leads.
//!
//! A leader that keeps its log alone applies what it has just appended ([`crate::apply`]). A member must not: what it has durably
//! may yet be given up.

use super::turns::Turn;
use crate::{proof, shared::Shared};
use littoral_leader_core::{Published, State, apply::Regional, receipts::Known};
use littoral_log::ReadError;
use littoral_model::{
    hlc::Hlc,
    position::Lsn,
    record::{ChainHash, Payload},
};
use littoral_wire::records;
use std::{sync::Arc, time::Duration};

/// Bytes of log that are applied at once.
const BLOCK_BYTES: usize = 1 << 20;
/// How long to wait when the log cannot be read.
const RETRY_AFTER: Duration = Duration::from_millis(200);

/// Runs until there is nothing more to come.
pub(crate) fn run(shared: &Shared) {
    let Some(part) = &shared.members else { return };
    let published = shared.published.load_full();
    let mut head = (published.position.lsn, published.chain, published.hlc);
    let as_of = published.known();
    drop(published);
    let mut state = State::new(as_of, shared.identity);
    while let Some(Turn { committed, tasks }) = part.turns.next(head.0) {
        while head.0 < committed {
            let step = apply_block(shared, &mut state, head, committed);
            match step {
                Ok(next) if next.0 > head.0 => head = next,
                Ok(_) => break,
                Err(error) => {
                    tracing::error!(%error, "what is committed cannot be read from the log; it is tried again");
                    std::thread::sleep(RETRY_AFTER);
                    if shared.queue.is_closed() {
                        return;
                    }
                    continue;
                }
            }
            publish(shared, &state, head);
            answer(shared, &state, head.0);
        }
        answer(shared, &state, head.0);
        for (task, reply) in tasks {
            proof::carry_out(shared, task, head.0, &state.known.catalogue);
            // Nobody may be waiting any more.
            let _ = reply.send(Ok(shared.receipt(head.0, head.0, false)));
        }
    }
}

/// Applies one block of records behind `head`. Returns where that leads.
fn apply_block(
    shared: &Shared,
    state: &mut State,
    head: (Lsn, ChainHash, Hlc),
    through: Lsn,
) -> Result<(Lsn, ChainHash, Hlc), ReadError> {
    let block = littoral_log::through(shared.log.read(head.0.next(), BLOCK_BYTES)?, through);
    let (mut lsn, mut chain, mut hlc) = head;
    let mut retired = None;
    for record in records::iter(&block.bytes) {
        let damaged = |reason: String| ReadError::Damaged { file: "the log".into(), offset: 0, reason };
        let record = record.map_err(|error| damaged(format!("a record after {lsn} cannot be read: {error}")))?;
        if let Payload::Receipt { idempotency_key, content, first, last } = &record.payload {
            let mut receipts = shared.receipts.lock();
            // Who leads has noted it down when it was taken.
            if receipts.look(idempotency_key, *content, record.hlc.physical_ms()) != Known::Same(*first, *last) {
                receipts.insert(idempotency_key, *content, (*first, *last), record.hlc);
            }
            receipts.set_outranked(*last, state.losses.of(*first, *last));
        }
        if matches!(record.payload, Payload::Catalogue(_)) {
            retired.get_or_insert_with(|| state.known.catalogue.clone());
        }
        let regional = Regional { ledger: &mut shared.ledger.lock(), marks: &mut shared.marks.lock() };
        let conflicts = state.replay(&shared.table, &record, regional);
        metrics::counter!("littoral_leader_conflicts_total").increment(conflicts);
        (lsn, chain, hlc) = (record.lsn, record.chain, hlc.max(record.hlc));
    }
    if let Some(before) = retired {
        shared.modules.retire(&*shared.runtime, &before, &state.known.catalogue);
        if let Some(part) = &shared.members {
            part.prepare_modules(shared, &state.known.catalogue);
        }
    }
    Ok((lsn, chain, hlc))
}

fn publish(shared: &Shared, state: &State, head: (Lsn, ChainHash, Hlc)) {
    let published = Published::at(shared.identity, head, state.known.clone());
    let position = published.position;
    shared.published.store(Arc::new(published));
    shared.head.send_replace(position);
    if let Some(part) = &shared.members {
        part.applied(head.0);
    }
}

/// Answers the writes that are visible now, if this member still may.
fn answer(shared: &Shared, state: &State, applied: Lsn) {
    let Some(part) = &shared.members else { return };
    for waiting in part.turns.applied(applied) {
        let mut receipt = waiting.receipt;
        let last = receipt.position.lsn;
        receipt.outranked = match receipt.duplicate {
            true => shared.receipts.lock().outranked_before(last),
            false => state.losses.of(receipt.first, last),
        };
        let confirmed = part.confirm(waiting.epoch).map(|()| receipt);
        metrics::counter!("littoral_leader_writes_total").increment(u64::from(confirmed.is_ok()));
        // Nobody may be waiting any more.
        let _ = waiting.reply.send(confirmed);
    }
}
