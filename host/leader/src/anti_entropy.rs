//! The leader's side of anti-entropy: checkpoints, and the scrub.
//!
//! The apply thread takes checkpoints between two batches, so that they are exact as of its last record. It also starts
//! and finishes the scrub; the scrub thread adds up the hashes of the rows in between, while writes continue.
//!
//! Invariant: the leader sends no rows of a view whose rows have changed in memory. The view's digest still describes
//! what was written, so an intact edge still compares as equal; but a repair would copy rows that cannot be trusted.
//! The leader writes no snapshot either, so that a restart restores the rows from the last intact snapshot and the log.

use crate::{
    shared::Shared,
    write_path::{Job, WriteResult},
};
use arc_swap::ArcSwap;
use littoral_model::{
    catalogue::Catalogue, digest::Checkpoints, hlc::Hlc, position::Lsn, view::ViewId, write::WriteError,
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
use tokio::sync::{oneshot::error::TryRecvError, watch};

/// The shortest pause of the scrub thread, however often checkpoints are configured.
const PAUSE_MIN: Duration = Duration::from_millis(5);
/// How long the maintenance thread and the scrub thread wait for the apply thread.
const RESULT_WAIT_MAX: Duration = Duration::from_secs(30);
/// How often they check for the result: none of it is urgent.
const RESULT_CHECK_INTERVAL: Duration = Duration::from_millis(1);

/// Passes a scrub between threads.
pub(crate) type Slot = Arc<Mutex<Option<Scrub>>>;

/// What the apply thread does between two batches.
#[derive(Debug)]
pub(crate) enum Task {
    /// Takes a checkpoint.
    Checkpoint,
    /// Starts a scrub.
    BeginScrub(Slot),
    /// Compares the sums of a scrub.
    FinishScrub(Slot),
}

/// The checkpoints, and the views whose rows have changed in memory.
#[derive(Debug, Default)]
pub(crate) struct AntiEntropyState {
    checkpoints: watch::Sender<Checkpoints>,
    suspect: ArcSwap<BTreeSet<ViewId>>,
}

impl AntiEntropyState {
    /// Returns the newest checkpoints, now and whenever they change.
    pub(crate) fn checkpoints(&self) -> watch::Receiver<Checkpoints> {
        self.checkpoints.subscribe()
    }

    /// Returns whether rows have changed in memory.
    pub(crate) fn is_suspect(&self) -> bool {
        !self.suspect.load().is_empty()
    }

    /// Returns whether rows of this view have changed in memory.
    pub(crate) fn suspects(&self, view: ViewId) -> bool {
        self.suspect.load().contains(&view)
    }

    /// Marks a view as suspect. Returns whether it was not before.
    fn add_suspect(&self, view: ViewId) -> bool {
        let mut is_new = false;
        self.suspect.rcu(|suspect| {
            let mut suspect = BTreeSet::clone(suspect);
            is_new = suspect.insert(view);
            suspect
        });
        is_new
    }
}

/// Carries out a task on the apply thread, which has applied every record up to `lsn`.
pub(crate) fn carry_out(shared: &Shared, task: Task, lsn: Lsn, catalogue: &Catalogue) {
    let (state, table) = (&shared.anti_entropy, &shared.applied.table);
    match task {
        Task::Checkpoint => {
            let at = Hlc::new(shared.now_ms(), 0);
            // Rows that this region may not hold are at edges of other regions.
            let excludes = |view| state.suspects(view) || !catalogue.may_hold(view, shared.identity.region);
            let checkpoint = littoral_leader_core::anti_entropy::checkpoint(table, catalogue, lsn, at, excludes);
            state.checkpoints.send_modify(|checkpoints| checkpoints.push(checkpoint));
            metrics::counter!("littoral_leader_checkpoints_total").increment(1);
        }
        Task::BeginScrub(slot) => *slot.lock() = table.begin_scrub(),
        Task::FinishScrub(slot) => {
            let Some(scrub) = slot.lock().take() else { return };
            for corrupted in scrub.finish(Finding::Keep) {
                metrics::gauge!("littoral_leader_rows_corrupted").set(1.0);
                if state.add_suspect(corrupted.view) {
                    tracing::error!(
                        view = corrupted.view.0,
                        buckets = ?corrupted.buckets,
                        "rows have changed in this leader's memory without being written: check the host's memory, and restart \
                         this leader, which restores them from its snapshot and its log; until then it sends no rows of the view \
                         for repairs and writes no snapshot"
                    );
                }
            }
        }
    }
}

/// Takes a checkpoint. Called by the maintenance thread.
pub(crate) fn take_checkpoint(shared: &Shared) {
    // A leader that stops, or is overloaded, skips this one.
    let _ = run_blocking(shared, Job::Task(Task::Checkpoint));
}

/// Runs the scrub thread: scrubs repeatedly until `stop`, at the pace that the table allows.
pub(crate) fn run(shared: &Shared, stop: &AtomicBool) {
    let interval = Duration::from_millis(shared.config.checkpoint_interval_ms);
    let mut next = Instant::now();
    while !stop.load(Relaxed) {
        match next.checked_duration_since(Instant::now()).filter(|rest| !rest.is_zero()) {
            Some(rest) => std::thread::park_timeout(rest),
            None if interval.is_zero() => std::thread::park(),
            None => {
                next = Instant::now() + interval.max(PAUSE_MIN);
                scrub(shared, stop);
            }
        }
    }
}

fn scrub(shared: &Shared, stop: &AtomicBool) {
    let slot = Slot::default();
    let begun = run_blocking(shared, Job::Task(Task::BeginScrub(slot.clone())));
    let Some(mut scrub) = slot.lock().take() else { return };
    if begun.is_err() {
        return;
    }
    let started = Instant::now();
    while let Some(rest) = scrub.slice() {
        let resumes_at = Instant::now() + rest;
        while let Some(rest) = resumes_at.checked_duration_since(Instant::now()).filter(|rest| !rest.is_zero()) {
            if stop.load(Relaxed) {
                return;
            }
            std::thread::park_timeout(rest);
        }
    }
    *slot.lock() = Some(scrub);
    if run_blocking(shared, Job::Task(Task::FinishScrub(slot))).is_ok() {
        metrics::histogram!("littoral_leader_scrub_seconds").record(started.elapsed().as_secs_f64());
    }
}

/// Submits a job and waits for its result, without a runtime.
pub(crate) fn run_blocking(shared: &Shared, job: Job) -> WriteResult {
    let mut response = shared.writes.submit(job, 0)?;
    let deadline = Instant::now() + RESULT_WAIT_MAX;
    loop {
        match response.try_recv() {
            Err(TryRecvError::Empty) if Instant::now() >= deadline => return Err(WriteError::Overloaded),
            Err(TryRecvError::Empty) => std::thread::sleep(RESULT_CHECK_INTERVAL),
            Err(TryRecvError::Closed) => return Err(WriteError::NotLeader("it is shutting down".to_owned())),
            Ok(done) => return done,
        }
    }
}
