//! The leader's side of anti-entropy: digests of its views as of one record, and a check that its rows are still what was written.
//!
//! The apply thread takes checkpoints between two batches, so that they are exactly as of its last record. It also starts and finishes
//! the scrub; the scrub thread adds up the rows in between, while writes continue.
//!
//! Invariant: the leader gives out no rows of a view whose rows have changed in memory. The view's sums still describe what was written,
//! so edges that hold that stay as they are, but the leader could only repair them with rows that it cannot trust. It writes no snapshot
//! either: a restart restores the rows from the last snapshot and the log.

use crate::shared::{Job, Shared, Submission};
use littoral_model::{
    catalogue::Catalogue,
    digest::Checkpoints,
    hlc::Hlc,
    position::Lsn,
    view::ViewId,
    write::{WriteError, WriteReceipt},
};
use littoral_replica::{Finding, Scrub};
use parking_lot::Mutex;
use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};
use tokio::sync::{oneshot, watch};

/// The shortest pause of the scrub thread, however often checkpoints are configured.
const SHORTEST_PAUSE: Duration = Duration::from_millis(5);
/// How long the maintenance thread and the scrub thread wait for the apply thread.
const TURN_WAIT_MAX: Duration = Duration::from_secs(30);
/// How often they check for the answer: none of it is urgent.
const TURN_WAIT_STEP: Duration = Duration::from_millis(1);

/// A scrub that goes from thread to thread.
pub(crate) type Slot = Arc<Mutex<Option<Scrub>>>;

/// What the apply thread does between two batches.
#[derive(Debug)]
pub(crate) enum Task {
    /// Takes digests.
    Checkpoint,
    /// Starts to check the rows.
    BeginScrub(Slot),
    /// Judges the sums.
    FinishScrub(Slot),
}

/// The checkpoints, and the views whose rows have changed in memory.
#[derive(Debug, Default)]
pub(crate) struct AntiEntropyState {
    checkpoints: watch::Sender<Checkpoints>,
    suspect: Mutex<BTreeSet<ViewId>>,
    any_suspect: AtomicBool,
}

impl AntiEntropyState {
    /// Returns the newest checkpoints, now and whenever they change.
    pub(crate) fn checkpoints(&self) -> watch::Receiver<Checkpoints> {
        self.checkpoints.subscribe()
    }

    /// Returns whether rows have changed in memory.
    pub(crate) fn is_suspect(&self) -> bool {
        self.any_suspect.load(Relaxed)
    }

    /// Returns whether rows of this view have changed in memory.
    pub(crate) fn suspects(&self, view: ViewId) -> bool {
        self.is_suspect() && self.suspect.lock().contains(&view)
    }
}

/// Carries out a task on the apply thread: everything up to `lsn` is applied.
pub(crate) fn carry_out(shared: &Shared, task: Task, lsn: Lsn, catalogue: &Catalogue) {
    match task {
        Task::Checkpoint => {
            let at = Hlc::new(shared.now_ms(), 0);
            let checkpoint =
                littoral_leader_core::anti_entropy::checkpoint(&shared.table, catalogue, lsn, at, |view| {
                    shared.anti_entropy.suspects(view)
                });
            shared.anti_entropy.checkpoints.send_modify(|checkpoints| checkpoints.push(checkpoint));
            metrics::counter!("littoral_leader_checkpoints_total").increment(1);
        }
        Task::BeginScrub(slot) => *slot.lock() = shared.table.begin_scrub(),
        Task::FinishScrub(slot) => {
            let Some(scrub) = slot.lock().take() else { return };
            for spoilt in scrub.finish(Finding::Keep) {
                shared.anti_entropy.any_suspect.store(true, Relaxed);
                metrics::gauge!("littoral_leader_rows_spoilt").set(1.0);
                if shared.anti_entropy.suspect.lock().insert(spoilt.view) {
                    tracing::error!(
                        view = spoilt.view.0,
                        buckets = ?spoilt.buckets,
                        "rows have changed in this leader's memory without being written: check the host's memory, and restart \
                         this leader, which restores them from its snapshot and its log; until then it gives out no rows of the \
                         view for repairs and writes no snapshot"
                    );
                }
            }
        }
    }
}

/// Takes a checkpoint. Called by the maintenance thread.
pub(crate) fn take_checkpoint(shared: &Shared) {
    // A leader that stops, or is overloaded, skips this one.
    let _ = submit(shared, Job::Task(Task::Checkpoint));
}

/// The scrub thread: checks the rows repeatedly until `stop`, at the pace that the table allows.
pub(crate) fn run(shared: &Shared, stop: &AtomicBool) {
    let every = Duration::from_millis(shared.config.checkpoint_interval_ms);
    let mut next = Instant::now();
    while !stop.load(Relaxed) {
        match next.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
            Some(left) => std::thread::park_timeout(left),
            None if every.is_zero() => std::thread::park(),
            None => {
                next = Instant::now() + every.max(SHORTEST_PAUSE);
                scrub(shared, stop);
            }
        }
    }
}

fn scrub(shared: &Shared, stop: &AtomicBool) {
    let slot = Slot::default();
    let begun = submit(shared, Job::Task(Task::BeginScrub(slot.clone())));
    let Some(mut scrub) = slot.lock().take() else { return };
    if begun.is_err() {
        return;
    }
    let started = Instant::now();
    while let Some(rest) = scrub.slice() {
        let rested = Instant::now() + rest;
        while let Some(left) = rested.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
            if stop.load(Relaxed) {
                return;
            }
            std::thread::park_timeout(left);
        }
    }
    *slot.lock() = Some(scrub);
    if submit(shared, Job::Task(Task::FinishScrub(slot))).is_ok() {
        metrics::histogram!("littoral_leader_scrub_seconds").record(started.elapsed().as_secs_f64());
    }
}

/// Submits a job and waits until it is done, without a runtime.
pub(crate) fn submit(shared: &Shared, job: Job) -> Result<WriteReceipt, WriteError> {
    let (reply, mut answer) = oneshot::channel();
    shared.queue.push(Submission { job, reply }, 0).map_err(|_| WriteError::Overloaded)?;
    let deadline = Instant::now() + TURN_WAIT_MAX;
    loop {
        match answer.try_recv() {
            Ok(done) => return done,
            Err(oneshot::error::TryRecvError::Closed) => {
                return Err(WriteError::NotLeader("it is shutting down".to_owned()));
            }
            Err(oneshot::error::TryRecvError::Empty) if Instant::now() >= deadline => {
                return Err(WriteError::Overloaded);
            }
            Err(oneshot::error::TryRecvError::Empty) => std::thread::sleep(TURN_WAIT_STEP),
        }
    }
}
