//! The commit thread: makes writes durable in groups. Their versions and numbers, and what is taken back when a group
//! fails, are decided in [`littoral_leader_core::commit`].
//!
//! A batch is built, appended with one fsync, and handed to the apply thread. A small one is appended here. A large one
//! goes to the [disk thread](crate::disk), and the next batch is built on it meanwhile, from what comes during the fsync.

use crate::{
    apply::{Committed, Done},
    disk::{Disk, Sent},
    members::Waiting,
    queue::Came,
    shared::{Reply, Shared, Submission, Work},
    stage::{Batches, Next, Stage},
};
use littoral_leader_core::{Committer as Core, Durable};
use littoral_log::{AppendError, Batch};
use littoral_model::{
    position::Epoch,
    write::{WriteConcern, WriteError},
};
use std::{
    sync::{Arc, atomic::Ordering::Relaxed, mpsc::SyncSender},
    thread::Thread,
    time::Instant,
};

/// Bytes appended between two nudges of the maintenance thread.
const NUDGE_EVERY: u64 = 1 << 20;

/// Room in a batch beyond what is expected, so that it is not moved to a larger place for its last records.
const BATCH_SPARE: usize = 4 << 10;

/// Batches of this many bytes use buffers again, and take so long to build that it is worth two changes of threads to do
/// it while another one syncs.
const LARGE_BATCH: usize = 32 << 10;

/// Appends batches and hands on what is durable: on the commit thread, or on the disk thread.
#[derive(Clone)]
pub(crate) struct Appender {
    pub(crate) shared: Arc<Shared>,
    pub(crate) apply: SyncSender<Committed>,
    pub(crate) maintenance: Thread,
}

/// What became of a batch.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// It is durable and handed on.
    Durable,
    /// Nothing of it was taken. Who waits for it is told when it has left no trace: then a retry may come.
    Failed {
        /// What the disk said.
        reason: String,
        /// Who waits.
        done: Vec<Done>,
    },
    /// The apply thread is gone.
    NobodyApplies,
}

pub(crate) struct Committer {
    appender: Appender,
    disk: SyncSender<Sent>,
    stage: Arc<Stage>,
}

impl Committer {
    /// A committer, and the disk thread's part.
    pub(crate) fn new(shared: &Arc<Shared>, apply: SyncSender<Committed>, maintenance: Thread) -> (Self, Disk) {
        let appender = Appender { shared: shared.clone(), apply, maintenance };
        let stage = Arc::<Stage>::default();
        let (disk, sent) = std::sync::mpsc::sync_channel(1);
        (Self { appender: appender.clone(), disk, stage: stage.clone() }, Disk { appender, sent, stage })
    }

    /// Runs until the queue is closed and empty, or nobody applies any more.
    pub(crate) fn run(self) {
        // An error says that another thread has ended before its time, which whoever joins it reports.
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
            // Until the batch is appended, or on its way: members that begin to lead or to follow append too.
            let mut core = shared.core.lock();
            let mut batches = self.stage.lock();
            if batches.disk_gone {
                return Err(Ended);
            }
            match came {
                Came::Items(bytes) => {
                    metrics::gauge!("littoral_leader_queue_depth").set(shared.queue.len() as f64);
                    if !may_append(shared, &core) {
                        for Submission { reply, .. } in taken.drain(..) {
                            refuse(reply, WriteError::NotLeader("another member does, or nobody yet".to_owned()));
                        }
                        continue;
                    }
                    let next = batches.next.get_or_insert_with(|| self.begin(&core, bytes));
                    next.bytes += bytes;
                    taken.drain(..).for_each(|submission| take(&self.appender.shared, &mut core, next, submission));
                }
                // There is room again.
                Came::Nudge => {}
                // What was in the making went on its way when the one before it had arrived.
                Came::End => return Ok(()),
            }
            if batches.under_way.is_none()
                && let Some(next) = batches.next.take()
            {
                self.commit(&mut core, &mut batches, next)?;
            }
        }
    }

    fn begin(&self, core: &Core, bytes: usize) -> Next {
        let shared = &self.appender.shared;
        let large = bytes >= LARGE_BATCH;
        let buffer = if large { shared.log.spare_buffer() } else { Vec::new() };
        let building = core.begin(buffer, &shared.log.bounds(), bytes + BATCH_SPARE, shared.now_ms());
        Next { building, done: Vec::new(), bytes: 0 }
    }

    /// Appends a batch, or sends it on its way.
    fn commit(&self, core: &mut Core, batches: &mut Batches, next: Next) -> Result<(), Ended> {
        let Some(sent) = self.appender.finish(core, batches, next)? else { return Ok(()) };
        // A member must not lose its lead while something of it is on its way.
        if sent.batch.bytes_len() >= LARGE_BATCH && self.appender.shared.members.is_none() {
            return self.disk.send(sent).map_err(|_| Ended);
        }
        let outcome = self.appender.append(sent.batch, sent.done);
        self.appender.arrived(core, batches, outcome)
    }
}

/// Whether this node leads, in the epoch that its records would get.
fn may_append(shared: &Shared, core: &Core) -> bool {
    let Some(part) = &shared.members else { return true };
    part.leads() == Some(core.epoch()) && part.lease.epoch() == Ok(core.epoch())
}

fn take(shared: &Shared, core: &mut Core, next: &mut Next, Submission { work, reply }: Submission) {
    let work = match work {
        Work::Log(work) => work,
        Work::Prove(task) => return next.done.push(Done::Prove { task, reply }),
    };
    match core.take(&mut next.building, work, &mut shared.receipts.lock()) {
        Ok(durable) => next.done.push(Done::Durable { durable, reply }),
        Err(error) => refuse(reply, error),
    }
}

/// A thread that this one cannot go on without has ended.
#[derive(Debug)]
pub(crate) struct Ended;

impl Appender {
    /// A batch that is ready to be appended, and counts as under way from now on; `None` when there is nothing to append: it has no
    /// records, or the batch that it was built on has failed.
    pub(crate) fn finish(
        &self,
        core: &mut Core,
        batches: &mut Batches,
        Next { building, done, .. }: Next,
    ) -> Result<Option<Sent>, Ended> {
        let Some((batch, pending)) = core.finish(building, &mut self.shared.receipts.lock()) else {
            refuse_all("the batch before it could not be made durable", done);
            return Ok(None);
        };
        if batch.is_empty() {
            let handed_on = done.is_empty() || self.hand_on(core.epoch(), Committed { head: None, done });
            return if handed_on { Ok(None) } else { Err(Ended) };
        }
        batches.under_way = Some(pending);
        Ok(Some(Sent { batch, done }))
    }

    /// Takes note of what became of the batch that was under way.
    pub(crate) fn arrived(&self, core: &mut Core, batches: &mut Batches, outcome: Outcome) -> Result<(), Ended> {
        let Some(pending) = batches.under_way.take() else { return Ok(()) };
        match outcome {
            Outcome::Durable => core.durable(pending),
            Outcome::Failed { reason, done } => {
                core.failed(&pending, &mut self.shared.receipts.lock());
                refuse_all(&reason, done);
            }
            Outcome::NobodyApplies => return Err(Ended),
        }
        Ok(())
    }

    /// Appends, and hands on what is durable.
    pub(crate) fn append(&self, batch: Batch, done: Vec<Done>) -> Outcome {
        let (records, bytes, epoch) = (batch.len(), batch.bytes_len(), batch.epoch());
        let begun = Instant::now();
        match self.shared.log.append(batch) {
            Ok(_) => {
                metrics::histogram!("littoral_leader_append_seconds").record(begun.elapsed().as_secs_f64());
                metrics::histogram!("littoral_leader_batch_records").record(records as f64);
                metrics::counter!("littoral_leader_log_bytes_total").increment(bytes as u64);
                self.shared.commits.fetch_add(1, Relaxed);
                let before = self.shared.appended_bytes.fetch_add(bytes as u64, Relaxed);
                if before / NUDGE_EVERY != (before + bytes as u64) / NUDGE_EVERY {
                    self.maintenance.unpark();
                }
                if self.shared.trouble.lock().take().is_some() {
                    tracing::info!("the log takes writes again");
                }
                let bounds = self.shared.log.bounds();
                let head = Some((bounds.tail, bounds.chain, bounds.hlc));
                if self.hand_on(epoch, Committed { head, done }) { Outcome::Durable } else { Outcome::NobodyApplies }
            }
            Err(error) => {
                self.complain(&error);
                Outcome::Failed { reason: error.to_string(), done }
            }
        }
    }

    /// What is durable goes to the apply thread, and is answered there; by a member that leads, `local` writes are answered here, as
    /// they become visible only when a majority has them. False when the apply thread is gone.
    fn hand_on(&self, epoch: Epoch, committed: Committed) -> bool {
        let Some(part) = &self.shared.members else { return self.apply.send(committed).is_ok() };
        let Committed { head, done } = committed;
        if let Some((tail, ..)) = head {
            part.appended(epoch, tail);
        }
        let confirmed = part.confirm(epoch);
        for done in done {
            let (durable, reply) = match done {
                Done::Durable { durable, reply } => (durable, reply),
                Done::Prove { task, reply } => {
                    part.turns.task(task, reply);
                    continue;
                }
            };
            let (first, last, duplicate) = durable.range();
            let receipt = self.shared.receipt(first, last, duplicate);
            let at_once = matches!(&durable, Durable::Rows { request, .. } if request.concern != WriteConcern::Quorum);
            match &confirmed {
                Err(error) => refuse(reply, error.clone()),
                Ok(()) if at_once => {
                    metrics::counter!("littoral_leader_writes_total").increment(1);
                    // Nobody may be waiting any more.
                    let _ = reply.send(Ok(receipt));
                }
                Ok(()) => part.turns.wait_for(Waiting { last, epoch, receipt, reply }),
            }
        }
        if confirmed.is_err() {
            return true;
        }
        // Those that came to wait after the leadership had ended would wait for ever.
        if part.leads() != Some(epoch) {
            part.turns.give_up(&WriteError::LeaderUnavailable("this member leads no more".to_owned()));
        }
        true
    }

    fn complain(&self, error: &AppendError) {
        let reason = error.to_string();
        if self.shared.trouble.lock().replace(reason.clone()).is_none() {
            tracing::error!(error = reason, "the log refuses writes; reads go on, and every write tries it again");
        }
    }
}

fn refuse_all(reason: &str, done: Vec<Done>) {
    for done in done {
        let (Done::Durable { reply, .. } | Done::Prove { reply, .. }) = done;
        refuse(reply, WriteError::NotDurable(reason.to_owned()));
    }
}

fn refuse(reply: Reply, error: WriteError) {
    metrics::counter!("littoral_leader_writes_refused_total").increment(1);
    // Nobody may be waiting any more.
    let _ = reply.send(Err(error));
}
