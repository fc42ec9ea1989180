//! The commit thread: makes writes durable in groups. Their versions and numbers, and what is taken back when a group
//! fails, are decided in [`littoral_leader_core::commit`].
//!
//! One batch is built, appended with one fsync, and handed to the apply thread; the next one gathers in the queue during
//! the fsync.

use crate::{
    apply::{Committed, Done},
    shared::{Reply, Shared, Submission, Work},
};
use littoral_leader_core::Building;
use littoral_log::AppendError;
use littoral_model::write::WriteError;
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
    pub(crate) core: littoral_leader_core::Committer,
    pub(crate) apply: SyncSender<Committed>,
    pub(crate) maintenance: Thread,
}

impl Committer {
    /// Runs until the queue is closed and empty.
    pub(crate) fn run(mut self) {
        let mut taken = Vec::new();
        let mut unnoticed = 0;
        while let Some(bytes_taken) = self.shared.queue.take(&mut taken, self.shared.config.batch_bytes_max) {
            metrics::gauge!("littoral_leader_queue_depth").set(self.shared.queue.len() as f64);
            let bounds = self.shared.log.bounds();
            let large = bytes_taken >= LARGE_BATCH;
            let buffer = if large { self.shared.log.spare_buffer() } else { Vec::new() };
            let mut building = self.core.begin(buffer, &bounds, bytes_taken + BATCH_SPARE, self.shared.now_ms());
            let mut done = Vec::with_capacity(taken.len());
            for submission in taken.drain(..) {
                self.take(&mut building, &mut done, submission);
            }
            let bytes = building.bytes_len() as u64;
            if !self.commit(building, done) {
                return;
            }
            unnoticed += bytes;
            if unnoticed >= NUDGE_EVERY {
                unnoticed = 0;
                self.maintenance.unpark();
            }
        }
    }

    fn take(&mut self, building: &mut Building, done: &mut Vec<Done>, Submission { work, reply }: Submission) {
        let work = match work {
            Work::Log(work) => work,
            Work::Prove(task) => return done.push(Done::Prove { task, reply }),
        };
        match self.core.take(building, work) {
            Ok(durable) => done.push(Done::Durable { durable, reply }),
            Err(error) => refuse(reply, error),
        }
    }

    /// Appends, and hands on what is durable. False when the apply thread is gone.
    fn commit(&mut self, building: Building, done: Vec<Done>) -> bool {
        let (batch, pending) = building.finish();
        if batch.is_empty() {
            return done.is_empty() || self.apply.send(Committed { head: None, done }).is_ok();
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
                self.core.durable(pending);
                if self.shared.trouble.lock().take().is_some() {
                    tracing::info!("the log takes writes again");
                }
                let bounds = self.shared.log.bounds();
                let head = Some((bounds.tail, bounds.chain, bounds.hlc));
                self.apply.send(Committed { head, done }).is_ok()
            }
            Err(error) => {
                self.core.failed(&pending);
                self.refuse_all(&error, done);
                true
            }
        }
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
