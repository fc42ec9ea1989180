//! The apply thread: makes committed records visible, then answers their writes. [`littoral_leader_core::apply`]
//! decides what a record does to the rows.

use crate::{
    anti_entropy,
    applied::RegionalState,
    commit_waiters::{AppendedBatch, CommitWaiters, Content, Next, WaitingTask, WaitingWrite},
    shared::Shared,
    write_path::{Responder, WriteResult},
};
use littoral_leader_core::{Head, Published, Receipts, Records, State, receipts::KeyLookup};
use littoral_log::ReadError;
use littoral_model::{
    catalogue::Catalogue,
    position::Lsn,
    record::{Payload, Record},
    write::WriteReceipt,
};
use littoral_wire::records;
use std::{sync::Arc, time::Duration};

/// Bytes of the log that are read back and applied at once.
const BLOCK_BYTES: usize = 1 << 20;
/// How long to wait before a log that cannot be read is read again.
const RETRY_DELAY: Duration = Duration::from_millis(200);

/// A result that is sent once its records are visible.
struct DueResult {
    responder: Responder,
    result: WriteResult,
}

/// Runs until the waiters are closed and everything committed is applied.
pub(crate) fn run(shared: &Shared) {
    let _exit = ApplyExitGuard(&shared.commits);
    let published = shared.applied.load_full();
    let state = State::new(published.known(), shared.identity);
    let mut thread = ApplyThread { shared, state, head: published.head(), replaced: None };
    drop(published);
    while let Some(next) = shared.commits.next(thread.head.lsn) {
        let applied_before = thread.head.lsn;
        let mut due = Vec::new();
        match next {
            Next::Batch(batch, head) => {
                thread.apply_batch(batch, &mut due);
                thread.head = head;
            }
            Next::Log(through) => {
                if let Err(error) = thread.apply_log(through) {
                    tracing::error!(%error, "committed records cannot be read from the log; retrying");
                    std::thread::sleep(RETRY_DELAY);
                    if shared.writes.queue.is_closed() {
                        return;
                    }
                }
            }
            Next::Answers => {}
        }
        thread.finish(applied_before, due);
    }
}

struct ApplyThread<'a> {
    shared: &'a Shared,
    state: State,
    /// The last record that is applied.
    head: Head,
    /// The catalogue before the changes that are being applied.
    replaced: Option<Arc<Catalogue>>,
}

impl ApplyThread<'_> {
    fn apply_batch(&mut self, batch: AppendedBatch, due: &mut Vec<DueResult>) {
        let acknowledge = self.shared.replication.may_acknowledge(batch.epoch);
        let shared = self.shared;
        let mut regional = shared.applied.regional();
        for WaitingWrite { content, .. } in &batch.writes {
            if let Content::InMemory(effect) = content {
                let applied = self.state.apply(&shared.applied.table, effect, regional.lend());
                if applied.collected > 0 {
                    metrics::counter!("littoral_leader_tombstones_collected_total").increment(applied.collected as u64);
                }
                metrics::counter!("littoral_leader_conflicts_total").increment(applied.conflicts);
                if let Some(catalogue) = applied.retired {
                    self.replaced.get_or_insert(catalogue);
                }
            }
        }
        drop(regional);
        let mut receipts = shared.writes.receipts.lock();
        for WaitingWrite { content, responder } in batch.writes {
            let receipt = self.receipt(&content, &mut receipts);
            due.push(DueResult { responder, result: acknowledge.clone().map(|()| receipt) });
        }
    }

    /// Applies one block of the log, up to `through` at most.
    fn apply_log(&mut self, through: Lsn) -> Result<(), ReadError> {
        let block = littoral_log::through(self.shared.log.read(self.head.lsn.next(), BLOCK_BYTES)?, through);
        let mut regional = self.shared.applied.regional();
        for record in records::iter(&block.bytes) {
            let after = self.head.lsn;
            let damaged = |reason: String| ReadError::Damaged { file: "the log".into(), offset: 0, reason };
            let record = record.map_err(|error| damaged(format!("a record after {after} cannot be read: {error}")))?;
            self.apply_record(&record, &mut regional);
        }
        Ok(())
    }

    fn apply_record(&mut self, record: &Record<'_>, regional: &mut RegionalState) {
        if let Payload::Receipt { idempotency_key, content, first, last } = &record.payload {
            let mut receipts = self.shared.writes.receipts.lock();
            // Where this node appended the write, the commit thread has already inserted the key.
            if receipts.look(idempotency_key, *content, record.hlc.physical_ms()) != KeyLookup::Same(*first, *last) {
                receipts.insert(idempotency_key, *content, (*first, *last), record.hlc);
            }
            receipts.set_outranked(*last, self.state.outranked_rows.of(*first, *last));
        }
        if matches!(record.payload, Payload::Catalogue(_)) {
            self.replaced.get_or_insert_with(|| self.state.known.catalogue.clone());
        }
        let conflicts = self.state.replay(&self.shared.applied.table, record, regional.lend());
        metrics::counter!("littoral_leader_conflicts_total").increment(conflicts);
        self.head = Head { lsn: record.lsn, chain: record.chain, hlc: self.head.hlc.max(record.hlc) };
    }

    fn receipt(&self, content: &Content, receipts: &mut Receipts) -> WriteReceipt {
        let records = content.records();
        let outranked = match content {
            Content::InMemory(effect) => receipts.outranked(effect, &self.state.outranked_rows),
            Content::InLog(_) if records.duplicate => receipts.outranked_before(records.last),
            Content::InLog(_) => self.state.outranked_rows.of(records.first, records.last),
        };
        WriteReceipt { outranked, ..self.state.receipt(records) }
    }

    /// Carries out tasks, publishes what was applied, and answers the writes that are visible now.
    fn finish(&mut self, applied_before: Lsn, mut due: Vec<DueResult>) {
        let (shared, lsn) = (self.shared, self.head.lsn);
        // Carry out tasks before the head is published, so that a reader of the head finds the checkpoint that belongs
        // to it.
        for WaitingTask { task, responder } in shared.commits.tasks() {
            anti_entropy::carry_out(shared, task, lsn, &self.state.known.catalogue);
            let records = Records { first: lsn, last: lsn, duplicate: false };
            due.push(DueResult { responder, result: Ok(self.state.receipt(records)) });
        }
        if lsn > applied_before {
            shared.applied.publish(Published::at(shared.identity, self.head, self.state.known.clone()));
            shared.replication.applied(lsn);
        }
        for batch in shared.commits.applied(lsn) {
            self.apply_batch(batch, &mut due);
        }
        let acknowledged = due.iter().filter(|due| due.result.is_ok()).count();
        metrics::counter!("littoral_leader_writes_total").increment(acknowledged as u64);
        for DueResult { responder, result } in due {
            // The writer may have stopped waiting.
            let _ = responder.send(result);
        }
        if let Some(replaced) = self.replaced.take() {
            shared.modules.retire(&replaced, &self.state.known.catalogue);
            shared.modules.make_ready(&self.state.known.catalogue);
        }
    }
}

/// Drop guard: fails the commit thread when the apply thread exits, even by panic.
struct ApplyExitGuard<'a>(&'a CommitWaiters);

impl Drop for ApplyExitGuard<'_> {
    fn drop(&mut self) {
        self.0.apply_thread_ended();
    }
}
