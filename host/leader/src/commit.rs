//! The commit thread: makes writes durable in batches. [`littoral_leader_core::commit`] assigns versions and LSNs, and
//! reverts what a failed batch has changed.
//!
//! The thread builds a batch from the queued writes, appends it with one fsync, and passes it to the
//! [waiters](crate::commit_waiters). Writes that arrive during the fsync form the next batch.
//! `host/decisions/0009-what-bounds-the-speed.md` has the measurements that rejected building it during the fsync.

use crate::{
    commit_waiters::{AppendedBatch, ApplyThreadEnded, Content, InMemory, WaitingTask, WaitingWrite},
    replication::Writers,
    shared::Shared,
    write_path::{Job, Responder, Submission},
};
use littoral_leader_core::{Building, CommandEffect, Head, LogCommand, Sequencer};
use littoral_log::{AppendError, Batch};
use littoral_model::{
    position::{Epoch, Lsn},
    write::{WriteConcern, WriteError},
};
use littoral_runtime::trace::{Span, TraceContext};
use std::{sync::Arc, thread::Thread, time::Instant};

/// Bytes appended between two wake-ups of the maintenance thread.
const MAINTENANCE_INTERVAL_BYTES: u64 = 1 << 20;

/// Room in a batch beyond the expected bytes, so that its last records do not move it to a larger buffer.
const BATCH_SPARE: usize = 4 << 10;

/// Batches of this many bytes reuse buffers.
const LARGE_BATCH: usize = 32 << 10;

/// The writes and tasks of a batch, each with the sender of its result.
#[derive(Debug, Default)]
struct BatchJobs {
    writes: Vec<BatchWrite>,
    tasks: Vec<WaitingTask>,
    /// The traces of the writes that are sampled.
    contexts: Vec<TraceContext>,
}

#[derive(Debug)]
struct BatchWrite {
    effect: CommandEffect,
    responder: Responder,
}

/// A batch under construction.
#[derive(Debug)]
struct Draft {
    building: Building,
    jobs: BatchJobs,
}

pub(crate) struct CommitThread {
    pub(crate) shared: Arc<Shared>,
    pub(crate) maintenance: Thread,
}

impl CommitThread {
    /// Runs until the queue is closed and empty, or until the apply thread has ended.
    pub(crate) fn run(&self) {
        let shared = &*self.shared;
        let mut submissions = Vec::new();
        while let Some(bytes) = shared.writes.queue.next(&mut submissions, shared.config.batch_bytes_max) {
            metrics::gauge!("littoral_leader_queue_depth").set(shared.writes.queue.len() as f64);
            // Held until the batch is appended, because a replication that starts to lead or to follow also appends to
            // this log.
            let mut sequencer = shared.writes.sequencer.lock();
            if !shared.replication.may_append(sequencer.epoch()) {
                for Submission { responder, .. } in submissions.drain(..) {
                    let reason = "another member leads, or none does yet; retry shortly";
                    reject(responder, WriteError::NotLeader(reason.to_owned()));
                }
                continue;
            }
            let mut draft = self.begin(&sequencer, bytes);
            submissions.drain(..).for_each(|submission| self.add(&mut sequencer, &mut draft, submission));
            if let Err(ApplyThreadEnded) = self.commit(&mut sequencer, draft) {
                // `Threads::join` reports it.
                return;
            }
        }
    }

    fn begin(&self, sequencer: &Sequencer, bytes: usize) -> Draft {
        let shared = &self.shared;
        let buffer = if bytes >= LARGE_BATCH { shared.log.spare_buffer() } else { Vec::new() };
        let building = sequencer.begin(buffer, &shared.log.bounds(), bytes + BATCH_SPARE, shared.now_ms());
        Draft { building, jobs: BatchJobs::default() }
    }

    /// Adds a job to the batch, or rejects it.
    fn add(&self, sequencer: &mut Sequencer, draft: &mut Draft, Submission { job, responder, context }: Submission) {
        let Draft { building, jobs } = draft;
        let command = match job {
            Job::Append(command) => command,
            Job::Task(task) => return jobs.tasks.push(WaitingTask { task, responder }),
        };
        let may_wait = self.shared.writers == Writers::OneAtATime && waits_for_commit(&command);
        if may_wait && self.shared.commits.is_full(jobs.writes.len()) {
            return reject(responder, WriteError::Overloaded);
        }
        match sequencer.take(building, command, &mut self.shared.writes.receipts.lock()) {
            Ok(effect) => {
                jobs.contexts.extend(context.map(|context| *context));
                jobs.writes.push(BatchWrite { effect, responder });
            }
            Err(error) => reject(responder, error),
        }
    }

    /// Appends a batch and passes it on. If the append fails, reverts the batch's effects, and then rejects its jobs:
    /// writers may retry only after that.
    fn commit(&self, sequencer: &mut Sequencer, Draft { building, jobs }: Draft) -> Result<(), ApplyThreadEnded> {
        let (batch, effects) = building.finish();
        let epoch = sequencer.epoch();
        if batch.is_empty() {
            return self.pass_on(epoch, None, jobs);
        }
        match self.append(batch, &jobs.contexts) {
            Ok(extent) => {
                sequencer.durable(effects);
                self.shared.writes.health.succeeded();
                self.pass_on(epoch, Some(extent), jobs)
            }
            Err(error) => {
                effects.undo(&mut self.shared.writes.receipts.lock());
                self.shared.writes.health.failed(&error);
                let BatchJobs { writes, tasks, contexts: _ } = jobs;
                let tasks = tasks.into_iter().map(|task| task.responder);
                let responders = writes.into_iter().map(|write| write.responder).chain(tasks);
                responders.for_each(|responder| reject(responder, WriteError::NotDurable(error.to_string())));
                Ok(())
            }
        }
    }

    /// Appends a batch, counts it, and returns its place in the log.
    fn append(&self, batch: Batch, contexts: &[TraceContext]) -> Result<InMemory, AppendError> {
        let (records, bytes) = (batch.len(), batch.bytes_len() as u64);
        let begun = Instant::now();
        let block = self.shared.log.append(batch)?;
        metrics::histogram!("littoral_leader_append_seconds").record(begun.elapsed().as_secs_f64());
        for context in contexts {
            let attributes = vec![("littoral.batch.records", records.into()), ("littoral.batch.bytes", bytes.into())];
            Span::measured(context, "append", begun, attributes);
        }
        metrics::histogram!("littoral_leader_batch_records").record(records as f64);
        metrics::counter!("littoral_leader_log_bytes_total").increment(bytes);
        let before = self.shared.writes.count_batch(bytes);
        if before / MAINTENANCE_INTERVAL_BYTES != (before + bytes) / MAINTENANCE_INTERVAL_BYTES {
            self.maintenance.unpark();
        }
        let bounds = self.shared.log.bounds();
        Ok(InMemory { first: block.first, head: Head { lsn: bounds.tail, chain: bounds.chain, hlc: bounds.hlc } })
    }

    /// Passes a durable batch to the waiters. If the batch is not committed yet, acknowledges its `local` writes at
    /// once, although they become visible only when they are committed.
    fn pass_on(&self, epoch: Epoch, extent: Option<InMemory>, jobs: BatchJobs) -> Result<(), ApplyThreadEnded> {
        let Shared { replication, commits, .. } = &*self.shared;
        let BatchJobs { writes, tasks, contexts: _ } = jobs;
        let last = extent.map(|extent| extent.head.lsn);
        let committed = last.map_or_else(|| commits.last_committed(), |last| replication.appended(epoch, last));
        let last = last.or_else(|| writes.iter().map(|write| write.effect.records().last).max()).unwrap_or(Lsn::NONE);
        let is_committed = last <= committed;
        tasks.into_iter().for_each(|task| commits.push_task(task));
        if let Err(error) = replication.may_acknowledge(epoch) {
            writes.into_iter().for_each(|write| reject(write.responder, error.clone()));
            return Ok(());
        }
        let mut waiting = Vec::with_capacity(writes.len());
        for BatchWrite { effect, responder } in writes {
            let records = effect.records();
            let is_local =
                matches!(&effect, CommandEffect::Rows { request, .. } if request.concern != WriteConcern::Quorum);
            if is_local && !is_committed {
                self.shared.writes.acknowledge(records.last);
                metrics::counter!("littoral_leader_writes_total").increment(1);
                // The writer may have stopped waiting.
                let _ = responder.send(Ok(self.shared.receipt(records)));
                continue;
            }
            let content = match is_committed {
                true => Content::InMemory(effect),
                false => Content::InLog(records),
            };
            waiting.push(WaitingWrite { content, responder });
        }
        if waiting.is_empty() && !(is_committed && extent.is_some()) {
            return Ok(());
        }
        let in_memory = extent.filter(|_| is_committed);
        commits.push(AppendedBatch { epoch, last, in_memory, writes: waiting })?;
        // If the leadership ended before the batch was pushed, nothing else would answer its writes.
        if !is_committed && replication.role().borrow().leading() != Some(epoch) {
            commits.fail(&WriteError::LeaderUnavailable("this member no longer leads".to_owned()));
        }
        Ok(())
    }
}

/// Returns whether a client's write is acknowledged only once it is committed. False for other regions' records: the
/// cross-region follower bounds how many of those wait.
fn waits_for_commit(command: &LogCommand) -> bool {
    match command {
        LogCommand::Write { request, .. } => request.concern == WriteConcern::Quorum,
        LogCommand::Change(_) | LogCommand::Merge { .. } => true,
        LogCommand::Collect(_) | LogCommand::Import(_) | LogCommand::Begin { .. } | LogCommand::Affiliate(_) => false,
    }
}

fn reject(responder: Responder, error: WriteError) {
    metrics::counter!("littoral_leader_writes_rejected_total").increment(1);
    // The writer may have stopped waiting.
    let _ = responder.send(Err(error));
}
