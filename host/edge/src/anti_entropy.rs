//! Anti-entropy at an edge. Digests are compared when a checkpoint arrives; scrubs and repairs run
//! concurrently with reading and applying. [`littoral_protocol::anti_entropy`] and
//! [`littoral_edge_core::anti_entropy`] make the decisions.

use crate::{replica::Replica, shared::Shared};
use littoral_edge_core::anti_entropy::{self, Compared, Reach, Repair, RepairedBucket, Wanted};
use littoral_model::{
    digest::Checkpoint,
    position::{Lsn, Position},
};
use littoral_protocol::anti_entropy::{AntiEntropy, Step};
use littoral_replica::Scrub;
use parking_lot::Mutex;
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};
use tokio::sync::mpsc;

/// The maximum time that a repair waits until what the leader read is applied here.
const APPLIED_WAIT_MAX: Duration = Duration::from_secs(30);
/// The interval at which a pausing scrub checks whether a caller waits for it.
const HURRY_CHECK_INTERVAL: Duration = Duration::from_millis(50);
/// The capacity of the channel for results of scrubs and repairs, of which at most one runs at a
/// time.
const EVENTS_MAX: usize = 4;

/// The anti-entropy state that status and verification read.
#[derive(Debug, Default)]
pub(crate) struct AntiEntropyState {
    pub(crate) rounds: Mutex<AntiEntropy>,
    /// When all comparable views were last found equal, in nanoseconds of the edge's clock; zero
    /// for never.
    equal_at: AtomicU64,
    /// The record of that comparison.
    equal_lsn: AtomicU64,
}

impl AntiEntropyState {
    /// Returns the record at which everything was last found equal, and how long ago that was.
    pub(crate) fn verified(&self, now: Duration) -> Option<(Lsn, Duration)> {
        let at = self.equal_at.load(Relaxed);
        (at > 0).then(|| (Lsn(self.equal_lsn.load(Relaxed)), now.saturating_sub(Duration::from_nanos(at))))
    }

    /// Resets the state for another replica.
    pub(crate) fn restart(&self, exact_from: Lsn) {
        self.rounds.lock().restart(exact_from);
        self.equal_at.store(0, Relaxed);
    }
}

/// The result of a scrub or repair, with its replica and its anti-entropy round.
pub(crate) enum Event {
    /// The scrub is complete.
    Scrubbed(Arc<Replica>, u64, Scrub),
    /// The buckets are repaired, with rows as new as this record.
    Repaired(Arc<Replica>, u64, Lsn),
    /// The buckets could not be repaired.
    NotRepaired(Arc<Replica>, u64, String),
}

/// Drives anti-entropy from the task that follows the leader. Only that task applies records, so
/// between two of its steps the kept sums are as of one record.
pub(crate) struct Driver {
    shared: Arc<Shared>,
    sender: mpsc::Sender<Event>,
    events: mpsc::Receiver<Event>,
}

/// The error for a replica that must be replaced by a snapshot instead of repaired.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RepairFailed;

impl Driver {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        let (sender, events) = mpsc::channel(EVENTS_MAX);
        Self { shared, sender, events }
    }

    /// Waits for the next result. Cancel-safe.
    pub(crate) async fn next(&mut self) -> Event {
        match self.events.recv().await {
            Some(event) => event,
            // Unreachable: this driver holds a sender.
            None => std::future::pending().await,
        }
    }

    /// Compares the replica, which is at the checkpoint's record.
    pub(crate) fn compare(&mut self, replica: &Arc<Replica>, checkpoint: &Arc<Checkpoint>) -> Result<(), RepairFailed> {
        let shared = &self.shared;
        let mut differs = false;
        shared.checkpoints.send_modify(|checkpoints| checkpoints.push(Checkpoint::clone(checkpoint)));
        let step = {
            let mut rounds = shared.anti_entropy.rounds.lock();
            let (compared, step) = anti_entropy::compare(&mut rounds, &replica.table, checkpoint);
            match compared {
                Compared::Equal => {
                    shared.anti_entropy.equal_lsn.store(checkpoint.lsn.0, Relaxed);
                    shared.anti_entropy.equal_at.store(shared.now().as_nanos() as u64, Relaxed);
                    metrics::gauge!("littoral_edge_verified_lsn").set(checkpoint.lsn.0 as f64);
                }
                Compared::Nothing => {}
                Compared::Differs => {
                    differs = true;
                    metrics::counter!("littoral_edge_digest_mismatches_total").increment(1);
                    tracing::warn!(lsn = checkpoint.lsn.0, "rows differ from the leader's; they will be repaired");
                }
            }
            step
        };
        let carried_out = self.carry_out(replica, step);
        if differs {
            // The repair starts when the scrub is complete.
            replica.table.hurry_this_scrub();
        }
        carried_out
    }

    /// Handles a result.
    pub(crate) fn handle(&mut self, event: Event) -> Result<(), RepairFailed> {
        let serving = self.shared.replica.load_full();
        let is_served = |replica: &Arc<Replica>| serving.as_ref().is_some_and(|serving| Arc::ptr_eq(serving, replica));
        match event {
            Event::Scrubbed(replica, round, scrub) if is_served(&replica) => {
                let (buckets, step) = anti_entropy::scrubbed(&mut self.shared.anti_entropy.rounds.lock(), round, scrub);
                if !buckets.is_empty() {
                    metrics::counter!("littoral_edge_buckets_corrupted_total").increment(buckets.len() as u64);
                    tracing::error!(
                        ?buckets,
                        "rows changed in this edge's memory without a write: check the host's memory"
                    );
                    self.shared.anti_entropy.equal_at.store(0, Relaxed);
                }
                self.carry_out(&replica, step)
            }
            Event::Repaired(replica, round, exact_from) if is_served(&replica) => {
                self.shared.anti_entropy.rounds.lock().repaired(round, exact_from);
                Ok(())
            }
            Event::NotRepaired(replica, round, reason) if is_served(&replica) => {
                tracing::warn!(reason, "buckets could not be repaired; the next checkpoint will retry");
                self.shared.anti_entropy.rounds.lock().not_repaired(round);
                Ok(())
            }
            // The replica is no longer served.
            Event::Scrubbed(..) | Event::Repaired(..) | Event::NotRepaired(..) => Ok(()),
        }
    }

    fn carry_out(&self, replica: &Arc<Replica>, step: Option<Step>) -> Result<(), RepairFailed> {
        match step {
            None => Ok(()),
            Some(Step::Snapshot) => Err(RepairFailed),
            Some(Step::Scrub { round }) => {
                let Some(scrub) = replica.table.begin_scrub() else {
                    self.shared.anti_entropy.rounds.lock().not_scrubbed(round);
                    return Ok(());
                };
                let (replica, sender) = (replica.clone(), self.sender.clone());
                tokio::spawn(async move {
                    if let Some(scrub) = run_scrub(scrub).await {
                        // The receiver is gone when the edge stops.
                        let _ = sender.send(Event::Scrubbed(replica, round, scrub)).await;
                    }
                });
                Ok(())
            }
            Some(Step::Repair { round, buckets }) => {
                let (shared, replica, sender) = (self.shared.clone(), replica.clone(), self.sender.clone());
                tokio::spawn(async move {
                    let event = match run_repair(&shared, &replica, Repair::new(round, buckets)).await {
                        Ok(exact_from) => Event::Repaired(replica, round, exact_from),
                        Err(reason) => Event::NotRepaired(replica, round, reason),
                    };
                    let _ = sender.send(event).await;
                });
                Ok(())
            }
        }
    }
}

/// Runs the scrub, with pauses at the table's pace. Returns `None` if the runtime stops.
async fn run_scrub(mut scrub: Scrub) -> Option<Scrub> {
    let begun = Instant::now();
    loop {
        // A slice would block a worker thread.
        let (back, rest) = tokio::task::spawn_blocking(move || {
            let rest = scrub.slice();
            (scrub, rest)
        })
        .await
        .ok()?;
        scrub = back;
        let Some(rest) = rest else { break };
        let rested = Instant::now() + rest;
        while !scrub.is_hurried() && Instant::now() < rested {
            tokio::time::sleep(rested.saturating_duration_since(Instant::now()).min(HURRY_CHECK_INTERVAL)).await;
        }
    }
    metrics::histogram!("littoral_edge_scrub_seconds").record(begun.elapsed().as_secs_f64());
    Some(scrub)
}

/// Makes the buckets equal to the leader's. Returns the newest record of an inserted row.
async fn run_repair(shared: &Shared, replica: &Arc<Replica>, mut repair: Repair) -> Result<Lsn, String> {
    while let Some(Wanted { view, bucket, after }) = repair.wants() {
        let calls = shared.link.calls()?;
        let read = calls.bucket(view, bucket, after).await.map_err(|error| error.to_string())?;
        reach(shared, replica, read.as_of).await?;
        if !anti_entropy::may_insert_bucket(replica, &read) {
            return Err("the leader's log was rolled back".to_owned());
        }
        let Some(chunk) = repair.chunk(read) else { break };
        let (table, generation) = (replica.table.clone(), replica.generation);
        // It scans the whole table.
        let repaired = tokio::task::spawn_blocking(move || table.repair_in(generation, &chunk))
            .await
            .map_err(|error| error.to_string())?;
        replica.holds(repaired.exact_from);
        if let Some(RepairedBucket { put, removed, .. }) = repair.repaired(repaired) {
            metrics::counter!("littoral_edge_buckets_repaired_total").increment(1);
            tracing::warn!(view = view.0, bucket, put, removed, "repaired a bucket with the leader's rows");
        }
    }
    Ok(repair.exact_from())
}

/// Waits until everything that the leader had read is applied here.
pub(crate) async fn reach(shared: &Shared, replica: &Replica, position: Position) -> Result<(), String> {
    let deadline = tokio::time::Instant::now() + APPLIED_WAIT_MAX;
    loop {
        // Register before the check, so that progress in between wakes the waiter.
        let waiter = shared.applied.wait_for(position.lsn.0, usize::MAX);
        match anti_entropy::reach(&replica.point.load(), position) {
            Reach::OtherLog => return Err("the leader now serves another log".to_owned()),
            Reach::Reached => return Ok(()),
            Reach::Behind => {}
        }
        let late = || format!("record {} was not applied within {} s", position.lsn, APPLIED_WAIT_MAX.as_secs());
        let Some(mut waiter) = waiter else { return Err(late()) };
        tokio::time::timeout_at(deadline, waiter.woken()).await.map_err(|_| late())?;
    }
}
