//! The apply thread: makes committed records visible, then answers their writes. [`littoral_leader_core::apply`] decides what a record
//! does to the rows.

use crate::{
    anti_entropy,
    commit_waiters::{AppendedBatch, CommitWaiters, Content, Next, Written},
    shared::{Reply, Shared},
};
use littoral_leader_core::{Head, Published, Receipts, State, apply::Regional, receipts::KeyLookup};
use littoral_log::ReadError;
use littoral_model::{
    catalogue::Catalogue,
    position::Lsn,
    record::{Payload, Record},
    write::{WriteError, WriteReceipt},
};
use littoral_wire::records;
use std::{sync::Arc, time::Duration};

/// Bytes of the log that are read back and applied at once.
const BLOCK_BYTES: usize = 1 << 20;
/// How long to wait before a log that cannot be read is read again.
const RETRY_AFTER: Duration = Duration::from_millis(200);

/// An answer that is sent once its records are visible.
type Due = (Reply, Result<WriteReceipt, WriteError>);

/// Runs until the waiters are closed and everything committed is applied.
pub(crate) fn run(shared: &Shared) {
    let _exit = ApplyExitGuard(&shared.commits);
    let published = shared.published.load_full();
    let state = State::new(published.known(), shared.identity);
    let mut applying = Applying { shared, state, head: published.head(), before: None };
    drop(published);
    while let Some(next) = shared.commits.next(applying.head.lsn) {
        let applied_before = applying.head.lsn;
        let mut due = Vec::new();
        match next {
            Next::Batch(batch, head) => {
                applying.apply_batch(batch, &mut due);
                applying.head = head;
            }
            Next::Log(through) => {
                if let Err(error) = applying.apply_log(through) {
                    tracing::error!(%error, "committed records cannot be read from the log; retrying");
                    std::thread::sleep(RETRY_AFTER);
                    if shared.queue.is_closed() {
                        return;
                    }
                }
            }
            Next::Answers => {}
        }
        applying.finish(applied_before, due);
    }
}

struct Applying<'a> {
    shared: &'a Shared,
    state: State,
    /// The last record that is applied.
    head: Head,
    /// The catalogue before the changes that are being applied.
    before: Option<Arc<Catalogue>>,
}

impl Applying<'_> {
    fn apply_batch(&mut self, batch: AppendedBatch, due: &mut Vec<Due>) {
        let acknowledge = self.shared.replication.may_acknowledge(batch.epoch);
        let shared = self.shared;
        let (mut ledger, mut rehoming) = (shared.ledger.lock(), shared.rehoming.lock());
        for Written { content, .. } in &batch.writes {
            if let Content::InMemory(durable) = content {
                let regional = Regional { ledger: &mut ledger, rehoming: &mut rehoming };
                let applied = self.state.apply(&shared.table, durable, regional);
                if applied.collected > 0 {
                    metrics::counter!("littoral_leader_tombstones_collected_total").increment(applied.collected as u64);
                }
                metrics::counter!("littoral_leader_conflicts_total").increment(applied.conflicts);
                if let Some(before) = applied.retired {
                    self.before.get_or_insert(before);
                }
            }
        }
        drop((ledger, rehoming));
        let mut receipts = shared.receipts.lock();
        for Written { content, reply } in batch.writes {
            let receipt = self.receipt(&content, &mut receipts);
            due.push((reply, acknowledge.clone().map(|()| receipt)));
        }
    }

    /// Applies one block of the log, up to `through` at most.
    fn apply_log(&mut self, through: Lsn) -> Result<(), ReadError> {
        let block = littoral_log::through(self.shared.log.read(self.head.lsn.next(), BLOCK_BYTES)?, through);
        for record in records::iter(&block.bytes) {
            let after = self.head.lsn;
            let damaged = |reason: String| ReadError::Damaged { file: "the log".into(), offset: 0, reason };
            let record = record.map_err(|error| damaged(format!("a record after {after} cannot be read: {error}")))?;
            self.apply_record(&record);
        }
        Ok(())
    }

    fn apply_record(&mut self, record: &Record<'_>) {
        if let Payload::Receipt { idempotency_key, content, first, last } = &record.payload {
            let mut receipts = self.shared.receipts.lock();
            // The leader that appended it has inserted it already.
            if receipts.look(idempotency_key, *content, record.hlc.physical_ms()) != KeyLookup::Same(*first, *last) {
                receipts.insert(idempotency_key, *content, (*first, *last), record.hlc);
            }
            receipts.set_outranked(*last, self.state.outranked_rows.of(*first, *last));
        }
        if matches!(record.payload, Payload::Catalogue(_)) {
            self.before.get_or_insert_with(|| self.state.known.catalogue.clone());
        }
        let regional = Regional { ledger: &mut self.shared.ledger.lock(), rehoming: &mut self.shared.rehoming.lock() };
        let conflicts = self.state.replay(&self.shared.table, record, regional);
        metrics::counter!("littoral_leader_conflicts_total").increment(conflicts);
        self.head = Head { lsn: record.lsn, chain: record.chain, hlc: self.head.hlc.max(record.hlc) };
    }

    fn receipt(&self, content: &Content, receipts: &mut Receipts) -> WriteReceipt {
        let (first, last, duplicate, outranked) = match content {
            Content::InMemory(durable) => {
                let (first, last, duplicate) = durable.range();
                (first, last, duplicate, receipts.outranked(durable, &self.state.outranked_rows))
            }
            Content::InLog { first, last, duplicate: true } => (*first, *last, true, receipts.outranked_before(*last)),
            Content::InLog { first, last, duplicate: false } => {
                (*first, *last, false, self.state.outranked_rows.of(*first, *last))
            }
        };
        WriteReceipt { outranked, ..self.state.receipt(first, last, duplicate) }
    }

    /// Carries out tasks, publishes what was applied, and answers the writes that are visible now.
    fn finish(&mut self, applied_before: Lsn, mut due: Vec<Due>) {
        let (shared, lsn) = (self.shared, self.head.lsn);
        // Before the head is published: a reader of the head finds the checkpoint that belongs to it.
        for (task, reply) in shared.commits.tasks() {
            anti_entropy::carry_out(shared, task, lsn, &self.state.known.catalogue);
            due.push((reply, Ok(self.state.receipt(lsn, lsn, false))));
        }
        if lsn > applied_before {
            let published = Published::at(shared.identity, self.head, self.state.known.clone());
            let position = published.position;
            shared.published.store(Arc::new(published));
            shared.head.send_replace(position);
            shared.replication.applied(lsn);
        }
        for batch in shared.commits.applied(lsn) {
            self.apply_batch(batch, &mut due);
        }
        let acknowledged = due.iter().filter(|(_, answer)| answer.is_ok()).count();
        metrics::counter!("littoral_leader_writes_total").increment(acknowledged as u64);
        for (reply, answer) in due {
            // The writer may have stopped waiting.
            let _ = reply.send(answer);
        }
        if let Some(before) = self.before.take() {
            shared.modules.retire(&*shared.runtime, &before, &self.state.known.catalogue);
            shared.make_modules_ready(&self.state.known.catalogue);
        }
    }
}

/// Drop guard: fails the commit thread when the apply thread exits, even by panic.
struct ApplyExitGuard<'a>(&'a CommitWaiters);

impl Drop for ApplyExitGuard<'_> {
    fn drop(&mut self) {
        self.0.nobody_applies();
    }
}
