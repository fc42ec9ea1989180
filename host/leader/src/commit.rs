//! The commit thread: makes writes durable in groups. [`littoral_leader_core::commit`] assigns versions and numbers, and takes back
//! what a failed group has changed.
//!
//! A batch is built, appended with one fsync, and handed to the [waiters](crate::commit_waiters). The commit thread appends a small
//! batch itself. It sends a large one to the [disk thread](crate::disk) and builds the next batch on it during the fsync.

use crate::{
    commit_waiters::{AppendedBatch, Content, InMemory, NobodyApplies, Written},
    disk::{Disk, Sent},
    queue::Came,
    replication::Writers,
    shared::{Job, Reply, Shared, Submission},
    stage::{Batches, Next, Stage},
};
use littoral_leader_core::{Durable, Head, LogCommand, Sequencer};
use littoral_log::AppendError;
use littoral_model::{
    position::{Epoch, Lsn},
    write::{WriteConcern, WriteError},
};
use std::{
    sync::{Arc, atomic::Ordering::Relaxed, mpsc::SyncSender},
    thread::Thread,
    time::Instant,
};

/// Bytes appended between two wake-ups of the maintenance thread.
const NUDGE_EVERY: u64 = 1 << 20;

/// Room in a batch beyond the expected bytes, so that its last records do not move it to a larger buffer.
const BATCH_SPARE: usize = 4 << 10;

/// Batches of this many bytes reuse buffers and go to the disk thread: building one takes long enough to be worth two changes of
/// threads.
const LARGE_BATCH: usize = 32 << 10;

/// Appends batches and hands on durable ones: on the commit thread, or on the disk thread.
#[derive(Clone)]
pub(crate) struct Appender {
    pub(crate) shared: Arc<Shared>,
    pub(crate) maintenance: Thread,
}

/// What is answered once a batch is durable.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    pub(crate) writes: Vec<(Durable, Reply)>,
    pub(crate) tasks: Vec<(crate::anti_entropy::Task, Reply)>,
}

/// The result of an append.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// The batch is durable and handed on.
    Durable,
    /// Nothing of the batch was written. Its writers are answered once it has left no trace: only then may they retry.
    Failed {
        /// The error of the disk.
        reason: String,
        /// What was to be answered.
        pending: Pending,
    },
    /// The apply thread has ended.
    NobodyApplies,
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
        let mut taken = Vec::new();
        let shared = &*self.appender.shared;
        loop {
            let building = self.stage.lock().next.as_ref().map_or(0, |next| next.bytes);
            let came = shared.queue.next(&mut taken, shared.config.batch_bytes_max.saturating_sub(building));
            if came == Came::End {
                self.stage.wait_until_settled();
            }
            // Held until the batch is appended or sent: a replication that starts to lead or to follow appends too.
            let mut core = shared.core.lock();
            let mut batches = self.stage.lock();
            if batches.disk_gone {
                return Err(Ended);
            }
            match came {
                Came::Items(bytes) => {
                    metrics::gauge!("littoral_leader_queue_depth").set(shared.queue.len() as f64);
                    if !shared.replication.may_append(core.epoch()) {
                        for Submission { reply, .. } in taken.drain(..) {
                            let reason = "another member leads, or none does yet; retry shortly";
                            reject(reply, WriteError::NotLeader(reason.to_owned()));
                        }
                        continue;
                    }
                    let next = batches.next.get_or_insert_with(|| self.begin(&core, bytes));
                    next.bytes += bytes;
                    taken.drain(..).for_each(|submission| take(shared, &mut core, next, submission));
                }
                // There is room again.
                Came::Nudge => {}
                // The batch in the making was sent when the one before it became durable.
                Came::End => return Ok(()),
            }
            if batches.under_way.is_none()
                && let Some(next) = batches.next.take()
            {
                self.commit(&mut core, &mut batches, next)?;
            }
        }
    }

    fn begin(&self, core: &Sequencer, bytes: usize) -> Next {
        let shared = &self.appender.shared;
        let large = bytes >= LARGE_BATCH;
        let buffer = if large { shared.log.spare_buffer() } else { Vec::new() };
        let building = core.begin(buffer, &shared.log.bounds(), bytes + BATCH_SPARE, shared.now_ms());
        Next { building, pending: Pending::default(), bytes: 0 }
    }

    /// Appends a batch, or sends it to the disk thread.
    fn commit(&self, core: &mut Sequencer, batches: &mut Batches, next: Next) -> Result<(), Ended> {
        let Some(sent) = self.appender.finish(core, batches, next)? else { return Ok(()) };
        // A right to append that can be lost must not be lost during the append: the core's lock is held until its end.
        let overlaps = self.appender.shared.writers == Writers::ThisNode;
        if overlaps && sent.batch.bytes_len() >= LARGE_BATCH {
            return self.disk.send(sent).map_err(|_| Ended);
        }
        let outcome = self.appender.append(sent);
        self.appender.arrived(core, batches, outcome)
    }
}

fn take(shared: &Shared, core: &mut Sequencer, next: &mut Next, Submission { job, reply }: Submission) {
    let work = match job {
        Job::Append(work) => work,
        Job::Task(task) => return next.pending.tasks.push((task, reply)),
    };
    let may_wait = shared.writers == Writers::OneAtATime && waits_for_commit(&work);
    if may_wait && shared.commits.is_full(next.pending.writes.len()) {
        return reject(reply, WriteError::Overloaded);
    }
    match core.take(&mut next.building, work, &mut shared.receipts.lock()) {
        Ok(durable) => next.pending.writes.push((durable, reply)),
        Err(error) => reject(reply, error),
    }
}

/// Returns whether a client's write is answered only once it is committed. Other regions' records have a bound of their own.
fn waits_for_commit(work: &LogCommand) -> bool {
    match work {
        LogCommand::Write { request, .. } => request.concern == WriteConcern::Quorum,
        LogCommand::Change(_) | LogCommand::Merge { .. } => true,
        LogCommand::Collect(_) | LogCommand::Import(_) | LogCommand::Begin { .. } | LogCommand::Affiliate(_) => false,
    }
}

/// A thread that this one depends on has ended.
#[derive(Debug)]
pub(crate) struct Ended;

impl From<NobodyApplies> for Ended {
    fn from(_: NobodyApplies) -> Self {
        Self
    }
}

impl Appender {
    /// Returns the batch that is ready to be appended; it counts as under way from now on. `None` when there is nothing to append: it
    /// has no records, or the batch that it was built on has failed.
    pub(crate) fn finish(
        &self,
        core: &mut Sequencer,
        batches: &mut Batches,
        Next { building, pending, .. }: Next,
    ) -> Result<Option<Sent>, Ended> {
        let Some((batch, taken_back)) = core.finish(building, &mut self.shared.receipts.lock()) else {
            reject_all("the batch before it could not be made durable", pending);
            return Ok(None);
        };
        if batch.is_empty() {
            self.hand_on(core.epoch(), None, pending)?;
            return Ok(None);
        }
        batches.under_way = Some(taken_back);
        Ok(Some(Sent { batch, pending }))
    }

    /// Notes the outcome of the batch that was under way.
    pub(crate) fn arrived(&self, core: &mut Sequencer, batches: &mut Batches, outcome: Outcome) -> Result<(), Ended> {
        let Some(taken_back) = batches.under_way.take() else { return Ok(()) };
        match outcome {
            Outcome::Durable => core.durable(taken_back),
            Outcome::Failed { reason, pending } => {
                core.failed(&taken_back, &mut self.shared.receipts.lock());
                reject_all(&reason, pending);
            }
            Outcome::NobodyApplies => return Err(Ended),
        }
        Ok(())
    }

    /// Appends a batch and hands it on.
    pub(crate) fn append(&self, Sent { batch, pending }: Sent) -> Outcome {
        let (records, bytes, epoch) = (batch.len(), batch.bytes_len(), batch.epoch());
        let begun = Instant::now();
        match self.shared.log.append(batch) {
            Ok(block) => {
                metrics::histogram!("littoral_leader_append_seconds").record(begun.elapsed().as_secs_f64());
                metrics::histogram!("littoral_leader_batch_records").record(records as f64);
                metrics::counter!("littoral_leader_log_bytes_total").increment(bytes as u64);
                self.shared.commit_count.fetch_add(1, Relaxed);
                let before = self.shared.appended_bytes.fetch_add(bytes as u64, Relaxed);
                if before / NUDGE_EVERY != (before + bytes as u64) / NUDGE_EVERY {
                    self.maintenance.unpark();
                }
                if self.shared.trouble.lock().take().is_some() {
                    tracing::info!("the log accepts writes again");
                }
                let bounds = self.shared.log.bounds();
                let head = Head { lsn: bounds.tail, chain: bounds.chain, hlc: bounds.hlc };
                match self.hand_on(epoch, Some(InMemory { first: block.first, head }), pending) {
                    Ok(()) => Outcome::Durable,
                    Err(NobodyApplies) => Outcome::NobodyApplies,
                }
            }
            Err(error) => {
                self.complain(&error);
                Outcome::Failed { reason: error.to_string(), pending }
            }
        }
    }

    /// Hands a durable batch to the waiters. Where it is not committed yet, acknowledges its `local` writes at once: they become
    /// visible only when they are committed.
    fn hand_on(&self, epoch: Epoch, records: Option<InMemory>, pending: Pending) -> Result<(), NobodyApplies> {
        let Shared { replication, commits, .. } = &*self.shared;
        let Pending { writes, tasks } = pending;
        let last = records.map(|records| records.head.lsn);
        let committed = last.map_or_else(|| commits.last_committed(), |last| replication.appended(epoch, last));
        let last = last.or_else(|| writes.iter().map(|(durable, _)| durable.range().1).max()).unwrap_or(Lsn::NONE);
        let is_committed = last <= committed;
        for (task, reply) in tasks {
            commits.push_task(task, reply);
        }
        if let Err(error) = replication.may_acknowledge(epoch) {
            writes.into_iter().for_each(|(_, reply)| reject(reply, error.clone()));
            return Ok(());
        }
        let mut waiting = Vec::with_capacity(writes.len());
        for (durable, reply) in writes {
            let (first, last, duplicate) = durable.range();
            let is_local = matches!(&durable, Durable::Rows { request, .. } if request.concern != WriteConcern::Quorum);
            if is_local && !is_committed {
                self.shared.acknowledged.fetch_max(last.0, Relaxed);
                metrics::counter!("littoral_leader_writes_total").increment(1);
                // The writer may have stopped waiting.
                let _ = reply.send(Ok(self.shared.receipt(first, last, duplicate)));
                continue;
            }
            let content = match is_committed {
                true => Content::InMemory(durable),
                false => Content::InLog { first, last, duplicate },
            };
            waiting.push(Written { content, reply });
        }
        if waiting.is_empty() && !(is_committed && records.is_some()) {
            return Ok(());
        }
        let in_memory = records.filter(|_| is_committed);
        commits.push(AppendedBatch { epoch, last, in_memory, writes: waiting })?;
        // The leadership may have ended before the batch was pushed: nothing would answer it then.
        if !is_committed && replication.role().borrow().leading() != Some(epoch) {
            commits.fail(&WriteError::LeaderUnavailable("this member no longer leads".to_owned()));
        }
        Ok(())
    }

    fn complain(&self, error: &AppendError) {
        let reason = error.to_string();
        if self.shared.trouble.lock().replace(reason.clone()).is_none() {
            tracing::error!(
                error = reason,
                "the log rejects writes; reads continue, and every write tries the log again"
            );
        }
    }
}

fn reject_all(reason: &str, Pending { writes, tasks }: Pending) {
    let replies = writes.into_iter().map(|(_, reply)| reply).chain(tasks.into_iter().map(|(_, reply)| reply));
    replies.for_each(|reply| reject(reply, WriteError::NotDurable(reason.to_owned())));
}

fn reject(reply: Reply, error: WriteError) {
    metrics::counter!("littoral_leader_writes_refused_total").increment(1);
    // The writer may have stopped waiting.
    let _ = reply.send(Err(error));
}
