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
};
use littoral_leader_core::{Building, Committer as Core, Durable, commit::Pending};
use littoral_log::{AppendError, Batch};
use littoral_model::{
    position::Epoch,
    write::{WriteConcern, WriteError},
};
use std::{
    sync::{
        Arc,
        atomic::Ordering::Relaxed,
        mpsc::{Receiver, SyncSender, TryRecvError},
    },
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
pub(crate) struct Appender {
    pub(crate) shared: Arc<Shared>,
    pub(crate) apply: SyncSender<Committed>,
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
    maintenance: Thread,
    disk: SyncSender<Sent>,
    outcomes: Receiver<Outcome>,
    /// Of the batch that the disk thread has.
    under_way: Option<Pending>,
    unnoticed: u64,
}

/// A batch in the making, and what it is to be answered with.
struct Next {
    building: Building,
    done: Vec<Done>,
    /// Bytes of the writes in it, about.
    bytes: usize,
}

impl Committer {
    /// A committer, and the disk thread's part.
    pub(crate) fn new(shared: &Arc<Shared>, apply: SyncSender<Committed>, maintenance: Thread) -> (Self, Disk) {
        let appender = || Appender { shared: shared.clone(), apply: apply.clone() };
        let (disk, sent) = std::sync::mpsc::sync_channel(1);
        let (outcome, outcomes) = std::sync::mpsc::sync_channel(1);
        let committer = Self { appender: appender(), maintenance, disk, outcomes, under_way: None, unnoticed: 0 };
        (committer, Disk { appender: appender(), sent, outcome })
    }

    /// Runs until the queue is closed and empty, or nobody applies any more.
    pub(crate) fn run(mut self) {
        // An error says that another thread has ended before its time, which whoever joins it reports.
        let _ = self.commit_all();
    }

    fn commit_all(&mut self) -> Result<(), Ended> {
        let mut taken = Vec::new();
        let mut next: Option<Next> = None;
        let shared = self.appender.shared.clone();
        loop {
            let room = shared.config.batch_bytes_max.saturating_sub(next.as_ref().map_or(0, |next| next.bytes));
            let came = shared.queue.next(&mut taken, room);
            // Until the batch is appended, or on its way: members that begin to lead or to follow append too.
            let mut core = shared.core.lock();
            match came {
                Came::Items(bytes) => {
                    metrics::gauge!("littoral_leader_queue_depth").set(shared.queue.len() as f64);
                    if !may_append(&shared, &core) {
                        for Submission { reply, .. } in taken.drain(..) {
                            refuse(reply, WriteError::NotLeader("another member does, or nobody yet".to_owned()));
                        }
                        continue;
                    }
                    let next = next.get_or_insert_with(|| self.begin(&core, bytes));
                    next.bytes += bytes;
                    taken.drain(..).for_each(|submission| take(&mut core, next, submission));
                }
                Came::Nudge => self.look_at_the_disk(&mut core)?,
                Came::End if self.under_way.is_none() => return Ok(()),
                // What is on its way is waited for.
                Came::End => {
                    let outcome = self.outcomes.recv().map_err(|_| Ended)?;
                    self.arrived(&mut core, outcome)?;
                }
            }
            if self.under_way.is_none()
                && let Some(next) = next.take()
            {
                self.commit(&mut core, next)?;
            }
        }
    }

    fn shared(&self) -> &Shared {
        &self.appender.shared
    }

    fn begin(&self, core: &Core, bytes: usize) -> Next {
        let shared = self.shared();
        let large = bytes >= LARGE_BATCH;
        let buffer = if large { shared.log.spare_buffer() } else { Vec::new() };
        let building = core.begin(buffer, &shared.log.bounds(), bytes + BATCH_SPARE, shared.now_ms());
        Next { building, done: Vec::new(), bytes: 0 }
    }

    /// Appends a batch, or sends it on its way.
    fn commit(&mut self, core: &mut Core, Next { building, done, .. }: Next) -> Result<(), Ended> {
        self.unnoticed += building.bytes_len() as u64;
        if self.unnoticed >= NUDGE_EVERY {
            self.unnoticed = 0;
            self.maintenance.unpark();
        }
        let Some((batch, pending)) = core.finish(building) else {
            refuse_all("the batch before it could not be made durable", done);
            return Ok(());
        };
        if batch.is_empty() {
            let handed_on = done.is_empty() || self.appender.hand_on(core.epoch(), Committed { head: None, done });
            return if handed_on { Ok(()) } else { Err(Ended) };
        }
        // A member must not lose its lead while something of it is on its way.
        let large = batch.bytes_len() >= LARGE_BATCH && self.shared().members.is_none();
        self.under_way = Some(pending);
        if large {
            return self.disk.send(Sent { batch, done }).map_err(|_| Ended);
        }
        let outcome = self.appender.append(batch, done);
        self.arrived(core, outcome)
    }

    fn look_at_the_disk(&mut self, core: &mut Core) -> Result<(), Ended> {
        match self.outcomes.try_recv() {
            Ok(outcome) => self.arrived(core, outcome),
            Err(TryRecvError::Empty) => Ok(()),
            Err(TryRecvError::Disconnected) => Err(Ended),
        }
    }

    fn arrived(&mut self, core: &mut Core, outcome: Outcome) -> Result<(), Ended> {
        let Some(pending) = self.under_way.take() else { return Ok(()) };
        match outcome {
            Outcome::Durable => core.durable(pending),
            Outcome::Failed { reason, done } => {
                core.failed(&pending);
                refuse_all(&reason, done);
            }
            Outcome::NobodyApplies => return Err(Ended),
        }
        Ok(())
    }
}

/// Whether this node leads, in the epoch that its records would get.
fn may_append(shared: &Shared, core: &Core) -> bool {
    let Some(part) = &shared.members else { return true };
    part.leads() == Some(core.epoch()) && part.lease.epoch() == Ok(core.epoch())
}

fn take(core: &mut Core, next: &mut Next, Submission { work, reply }: Submission) {
    let work = match work {
        Work::Log(work) => work,
        Work::Prove(task) => return next.done.push(Done::Prove { task, reply }),
    };
    match core.take(&mut next.building, work) {
        Ok(durable) => next.done.push(Done::Durable { durable, reply }),
        Err(error) => refuse(reply, error),
    }
}

/// A thread that this one cannot go on without has ended.
struct Ended;

impl Appender {
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
                self.shared.appended_bytes.fetch_add(bytes as u64, Relaxed);
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
