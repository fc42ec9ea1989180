//! The commit thread: makes writes durable in groups. Their versions and numbers, and what is taken back when a group
//! fails, are decided in [`littoral_leader_core::commit`].
//!
//! One batch is built, appended with one fsync, and handed to the apply thread; the next one gathers in the queue during
//! the fsync.

use crate::{
    apply::{Committed, Done},
    members::Waiting,
    shared::{Reply, Shared, Submission, Work},
};
use littoral_leader_core::{Building, Committer as Core, Durable};
use littoral_log::AppendError;
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

/// Batches of this many bytes use buffers again.
const LARGE_BATCH: usize = 32 << 10;

pub(crate) struct Committer {
    pub(crate) shared: Arc<Shared>,
    pub(crate) apply: SyncSender<Committed>,
    pub(crate) maintenance: Thread,
}

impl Committer {
    /// Runs until the queue is closed and empty.
    pub(crate) fn run(self) {
        let mut taken = Vec::new();
        let mut unnoticed = 0;
        let shared = self.shared.clone();
        while let Some(bytes_taken) = shared.queue.take(&mut taken, shared.config.batch_bytes_max) {
            metrics::gauge!("littoral_leader_queue_depth").set(shared.queue.len() as f64);
            let mut core = shared.core.lock();
            if !self.may_append(&core) {
                for Submission { reply, .. } in taken.drain(..) {
                    refuse(reply, WriteError::NotLeader("another member does, or nobody yet".to_owned()));
                }
                continue;
            }
            let bounds = self.shared.log.bounds();
            let large = bytes_taken >= LARGE_BATCH;
            let buffer = if large { self.shared.log.spare_buffer() } else { Vec::new() };
            let mut building = core.begin(buffer, &bounds, bytes_taken + BATCH_SPARE, self.shared.now_ms());
            let mut done = Vec::with_capacity(taken.len());
            for submission in taken.drain(..) {
                self.take(&mut core, &mut building, &mut done, submission);
            }
            let bytes = building.bytes_len() as u64;
            if !self.commit(&mut core, building, done) {
                return;
            }
            unnoticed += bytes;
            if unnoticed >= NUDGE_EVERY {
                unnoticed = 0;
                self.maintenance.unpark();
            }
        }
    }

    /// Whether this node leads, in the epoch that its records would get.
    fn may_append(&self, core: &Core) -> bool {
        let Some(part) = &self.shared.members else { return true };
        part.leads() == Some(core.epoch()) && part.lease.epoch() == Ok(core.epoch())
    }

    fn take(
        &self,
        core: &mut Core,
        building: &mut Building,
        done: &mut Vec<Done>,
        Submission { work, reply }: Submission,
    ) {
        let work = match work {
            Work::Log(work) => work,
            Work::Prove(task) => return done.push(Done::Prove { task, reply }),
        };
        match core.take(building, work) {
            Ok(durable) => done.push(Done::Durable { durable, reply }),
            Err(error) => refuse(reply, error),
        }
    }

    /// Appends, and hands on what is durable. False when the apply thread is gone.
    fn commit(&self, core: &mut Core, building: Building, done: Vec<Done>) -> bool {
        let (batch, pending) = building.finish();
        let epoch = core.epoch();
        if batch.is_empty() {
            return done.is_empty() || self.hand_on(epoch, Committed { head: None, done });
        }
        let (records, bytes) = (batch.len(), batch.bytes_len());
        let begun = Instant::now();
        match self.shared.log.append(batch) {
            Ok(_) => {
                metrics::histogram!("littoral_leader_append_seconds").record(begun.elapsed().as_secs_f64());
                metrics::histogram!("littoral_leader_batch_records").record(records as f64);
                metrics::counter!("littoral_leader_log_bytes_total").increment(bytes as u64);
                self.shared.commits.fetch_add(1, Relaxed);
                self.shared.appended_bytes.fetch_add(bytes as u64, Relaxed);
                core.durable(pending);
                if self.shared.trouble.lock().take().is_some() {
                    tracing::info!("the log takes writes again");
                }
                let bounds = self.shared.log.bounds();
                let head = Some((bounds.tail, bounds.chain, bounds.hlc));
                self.hand_on(epoch, Committed { head, done })
            }
            Err(error) => {
                core.failed(&pending);
                self.refuse_all(&error, done);
                true
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

    fn refuse_all(&self, error: &AppendError, done: Vec<Done>) {
        let reason = error.to_string();
        if self.shared.trouble.lock().replace(reason.clone()).is_none() {
            tracing::error!(error = reason, "the log refuses writes; reads go on, and every write tries it again");
        }
        for done in done {
            let (Done::Durable { reply, .. } | Done::Prove { reply, .. }) = done;
            refuse(reply, WriteError::NotDurable(reason.clone()));
        }
    }
}

fn refuse(reply: Reply, error: WriteError) {
    metrics::counter!("littoral_leader_writes_refused_total").increment(1);
    // Nobody may be waiting any more.
    let _ = reply.send(Err(error));
}
