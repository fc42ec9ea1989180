//! The commit thread: makes writes durable in groups. [`littoral_leader_core::commit`] assigns versions and LSNs, and reverts what a
//! failed group has changed.
//!
//! A batch is built, appended with one fsync, and passed to the [waiters](crate::commit_waiters). The commit thread appends a small
//! batch itself. It sends a large one to the [disk thread](crate::disk) and builds the next batch on it during the fsync.

use crate::{
    commit_waiters::{AppendedBatch, ApplyThreadEnded, Content, InMemory, WaitingTask, WaitingWrite},
    disk::{Disk, Sent},
    queue::Wakeup,
    replication::Writers,
    shared::Shared,
    stage::{Batches, Next, Stage},
    write_path::{Job, Responder, Submission},
};
use littoral_leader_core::{Durable, Head, LogCommand, Sequencer};
use littoral_model::{
    position::{Epoch, Lsn},
    write::{WriteConcern, WriteError},
};
use std::{
    sync::{Arc, mpsc::SyncSender},
    thread::Thread,
    time::Instant,
};

/// Bytes appended between two wake-ups of the maintenance thread.
const MAINTENANCE_INTERVAL_BYTES: u64 = 1 << 20;

/// Room in a batch beyond the expected bytes, so that its last records do not move it to a larger buffer.
const BATCH_SPARE: usize = 4 << 10;

/// Batches of this many bytes reuse buffers and go to the disk thread: building one takes long enough to be worth two changes of
/// threads.
const LARGE_BATCH: usize = 32 << 10;

/// Appends batches and passes durable ones on: on the commit thread, or on the disk thread.
#[derive(Clone)]
pub(crate) struct Appender {
    pub(crate) shared: Arc<Shared>,
    pub(crate) maintenance: Thread,
}

/// What is answered once a batch is durable.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    writes: Vec<PendingWrite>,
    tasks: Vec<WaitingTask>,
}

#[derive(Debug)]
struct PendingWrite {
    durable: Durable,
    responder: Responder,
}

/// The result of an append.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// The batch is durable and passed on.
    Durable,
    /// Nothing of the batch was written. Its writers are answered once its effects are reverted: only then may they retry.
    Failed {
        /// The error of the disk.
        reason: String,
        /// What was to be answered.
        pending: Pending,
    },
    /// The apply thread has ended.
    ApplyThreadEnded,
}

pub(crate) struct CommitThread {
    appender: Appender,
    disk: SyncSender<Sent>,
    stage: Arc<Stage>,
}

impl CommitThread {
    /// Creates the commit thread's state and the disk thread's.
    pub(crate) fn new(shared: &Arc<Shared>, maintenance: Thread) -> (Self, Disk) {
        let appender = Appender { shared: shared.clone(), maintenance };
        let stage = Arc::<Stage>::default();
        let (disk, sent) = std::sync::mpsc::sync_channel(1);
        (Self { appender: appender.clone(), disk, stage: stage.clone() }, Disk { appender, sent, stage })
    }

    /// Runs until the queue is closed and empty, or another thread has ended.
    pub(crate) fn run(self) {
        // An error means that another thread has ended early; `Threads::join` reports it.
        let _ = self.commit_all();
    }

    fn commit_all(&self) -> Result<(), Ended> {
        let mut submissions = Vec::new();
        let shared = &*self.appender.shared;
        loop {
            let building = self.stage.lock().next.as_ref().map_or(0, |next| next.bytes);
            let wakeup =
                shared.writes.queue.next(&mut submissions, shared.config.batch_bytes_max.saturating_sub(building));
            if wakeup == Wakeup::End {
                self.stage.wait_until_settled();
            }
            // Held until the batch is appended or sent: a replication that starts to lead or to follow appends too.
            let mut sequencer = shared.writes.sequencer.lock();
            let mut batches = self.stage.lock();
            if batches.disk_gone {
                return Err(Ended);
            }
            match wakeup {
                Wakeup::Items(bytes) => {
                    metrics::gauge!("littoral_leader_queue_depth").set(shared.writes.queue.len() as f64);
                    if !shared.replication.may_append(sequencer.epoch()) {
                        for Submission { responder, .. } in submissions.drain(..) {
                            let reason = "another member leads, or none does yet; retry shortly";
                            reject(responder, WriteError::NotLeader(reason.to_owned()));
                        }
                        continue;
                    }
                    let next = batches.next.get_or_insert_with(|| self.begin(&sequencer, bytes));
                    next.bytes += bytes;
                    submissions.drain(..).for_each(|submission| add(shared, &mut sequencer, next, submission));
                }
                // The batch in the making was sent, or the batch under way has settled.
                Wakeup::Nudge => {}
                // No batch is left: the last one was sent when the one before it became durable.
                Wakeup::End => return Ok(()),
            }
            if batches.under_way.is_none()
                && let Some(next) = batches.next.take()
            {
                self.commit(&mut sequencer, &mut batches, next)?;
            }
        }
    }

    fn begin(&self, sequencer: &Sequencer, bytes: usize) -> Next {
        let shared = &self.appender.shared;
        let large = bytes >= LARGE_BATCH;
        let buffer = if large { shared.log.spare_buffer() } else { Vec::new() };
        let building = sequencer.begin(buffer, &shared.log.bounds(), bytes + BATCH_SPARE, shared.now_ms());
        Next { building, pending: Pending::default(), bytes: 0 }
    }

    /// Appends a batch, or sends it to the disk thread.
    fn commit(&self, sequencer: &mut Sequencer, batches: &mut Batches, next: Next) -> Result<(), Ended> {
        let Some(sent) = self.appender.finish(sequencer, batches, next)? else { return Ok(()) };
        // A right to append that can be lost must not be lost during the append: the sequencer stays locked until its end.
        let overlaps = self.appender.shared.writers == Writers::ThisNode;
        if overlaps && sent.batch.bytes_len() >= LARGE_BATCH {
            return self.disk.send(sent).map_err(|_| Ended);
        }
        let outcome = self.appender.append(sent);
        self.appender.settle(sequencer, batches, outcome)
    }
}

/// Adds a job to the batch in the making, or rejects it.
fn add(shared: &Shared, sequencer: &mut Sequencer, next: &mut Next, Submission { job, responder }: Submission) {
    let command = match job {
        Job::Append(command) => command,
        Job::Task(task) => return next.pending.tasks.push(WaitingTask { task, responder }),
    };
    let may_wait = shared.writers == Writers::OneAtATime && waits_for_commit(&command);
    if may_wait && shared.commits.is_full(next.pending.writes.len()) {
        return reject(responder, WriteError::Overloaded);
    }
    match sequencer.take(&mut next.building, command, &mut shared.writes.receipts.lock()) {
        Ok(durable) => next.pending.writes.push(PendingWrite { durable, responder }),
        Err(error) => reject(responder, error),
    }
}

/// Returns whether a client's write is answered only once it is committed. Other regions' records have a bound of their own.
fn waits_for_commit(command: &LogCommand) -> bool {
    match command {
        LogCommand::Write { request, .. } => request.concern == WriteConcern::Quorum,
        LogCommand::Change(_) | LogCommand::Merge { .. } => true,
        LogCommand::Collect(_) | LogCommand::Import(_) | LogCommand::Begin { .. } | LogCommand::Affiliate(_) => false,
    }
}

/// A thread that this one depends on has ended.
#[derive(Debug)]
pub(crate) struct Ended;

impl From<ApplyThreadEnded> for Ended {
    fn from(_: ApplyThreadEnded) -> Self {
        Self
    }
}

impl Appender {
    /// Returns the batch that is ready to be appended; it counts as under way from now on. `None` when there is nothing to append: it
    /// has no records, or the batch that it was built on has failed.
    pub(crate) fn finish(
        &self,
        sequencer: &mut Sequencer,
        batches: &mut Batches,
        Next { building, pending, .. }: Next,
    ) -> Result<Option<Sent>, Ended> {
        let Some((batch, effects)) = sequencer.finish(building, &mut self.shared.writes.receipts.lock()) else {
            reject_all("the batch before it is not durable", pending);
            return Ok(None);
        };
        if batch.is_empty() {
            self.pass_on(sequencer.epoch(), None, pending)?;
            return Ok(None);
        }
        batches.under_way = Some(effects);
        Ok(Some(Sent { batch, pending }))
    }

    /// Notes the outcome of the batch that was under way.
    pub(crate) fn settle(
        &self,
        sequencer: &mut Sequencer,
        batches: &mut Batches,
        outcome: Outcome,
    ) -> Result<(), Ended> {
        let Some(effects) = batches.under_way.take() else { return Ok(()) };
        match outcome {
            Outcome::Durable => sequencer.durable(effects),
            Outcome::Failed { reason, pending } => {
                sequencer.failed(&effects, &mut self.shared.writes.receipts.lock());
                reject_all(&reason, pending);
            }
            Outcome::ApplyThreadEnded => return Err(Ended),
        }
        Ok(())
    }

    /// Appends a batch and passes it on.
    pub(crate) fn append(&self, Sent { batch, pending }: Sent) -> Outcome {
        let (records, bytes, epoch) = (batch.len(), batch.bytes_len(), batch.epoch());
        let begun = Instant::now();
        match self.shared.log.append(batch) {
            Ok(block) => {
                metrics::histogram!("littoral_leader_append_seconds").record(begun.elapsed().as_secs_f64());
                metrics::histogram!("littoral_leader_batch_records").record(records as f64);
                metrics::counter!("littoral_leader_log_bytes_total").increment(bytes as u64);
                let before = self.shared.writes.count_batch(bytes as u64);
                if before / MAINTENANCE_INTERVAL_BYTES != (before + bytes as u64) / MAINTENANCE_INTERVAL_BYTES {
                    self.maintenance.unpark();
                }
                self.shared.writes.health.succeeded();
                let bounds = self.shared.log.bounds();
                let head = Head { lsn: bounds.tail, chain: bounds.chain, hlc: bounds.hlc };
                match self.pass_on(epoch, Some(InMemory { first: block.first, head }), pending) {
                    Ok(()) => Outcome::Durable,
                    Err(ApplyThreadEnded) => Outcome::ApplyThreadEnded,
                }
            }
            Err(error) => {
                self.shared.writes.health.failed(&error);
                Outcome::Failed { reason: error.to_string(), pending }
            }
        }
    }

    /// Passes a durable batch to the waiters. If it is not committed yet, acknowledges its `local` writes at once: they become visible
    /// only when they are committed.
    fn pass_on(&self, epoch: Epoch, extent: Option<InMemory>, pending: Pending) -> Result<(), ApplyThreadEnded> {
        let Shared { replication, commits, .. } = &*self.shared;
        let Pending { writes, tasks } = pending;
        let last = extent.map(|extent| extent.head.lsn);
        let committed = last.map_or_else(|| commits.last_committed(), |last| replication.appended(epoch, last));
        let last = last.or_else(|| writes.iter().map(|write| write.durable.records().last).max()).unwrap_or(Lsn::NONE);
        let is_committed = last <= committed;
        tasks.into_iter().for_each(|task| commits.push_task(task));
        if let Err(error) = replication.may_acknowledge(epoch) {
            writes.into_iter().for_each(|write| reject(write.responder, error.clone()));
            return Ok(());
        }
        let mut waiting = Vec::with_capacity(writes.len());
        for PendingWrite { durable, responder } in writes {
            let records = durable.records();
            let is_local = matches!(&durable, Durable::Rows { request, .. } if request.concern != WriteConcern::Quorum);
            if is_local && !is_committed {
                self.shared.writes.acknowledge(records.last);
                metrics::counter!("littoral_leader_writes_total").increment(1);
                // The writer may have stopped waiting.
                let _ = responder.send(Ok(self.shared.receipt(records)));
                continue;
            }
            let content = match is_committed {
                true => Content::InMemory(durable),
                false => Content::InLog(records),
            };
            waiting.push(WaitingWrite { content, responder });
        }
        if waiting.is_empty() && !(is_committed && extent.is_some()) {
            return Ok(());
        }
        let in_memory = extent.filter(|_| is_committed);
        commits.push(AppendedBatch { epoch, last, in_memory, writes: waiting })?;
        // The leadership may have ended before the batch was pushed: nothing would answer it then.
        if !is_committed && replication.role().borrow().leading() != Some(epoch) {
            commits.fail(&WriteError::LeaderUnavailable("this member no longer leads".to_owned()));
        }
        Ok(())
    }
}

fn reject_all(reason: &str, Pending { writes, tasks }: Pending) {
    let tasks = tasks.into_iter().map(|task| task.responder);
    let responders = writes.into_iter().map(|write| write.responder).chain(tasks);
    responders.for_each(|responder| reject(responder, WriteError::NotDurable(reason.to_owned())));
}

fn reject(responder: Responder, error: WriteError) {
    metrics::counter!("littoral_leader_writes_refused_total").increment(1);
    // The writer may have stopped waiting.
    let _ = responder.send(Err(error));
}
