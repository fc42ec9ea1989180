//! This replica against its leader's digests: compared when a checkpoint comes, added up beside reading and applying,
//! mended bucket by bucket. What is decided is decided in [`littoral_protocol::proof`] and [`littoral_edge_core::proving`].

use crate::{replica::Replica, shared::Shared};
use littoral_edge_core::proving::{self, Compared, MendedBucket, Mending, Reach, Wanted};
use littoral_model::{
    digest::Checkpoint,
    position::{Lsn, Position},
};
use littoral_protocol::proof::{Prover, Step};
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

/// How long a repair waits until what the leader read is applied here.
const APPLIED_WAIT_MAX: Duration = Duration::from_secs(30);
/// How soon a scrub that rests sees that somebody waits for it.
const HURRY_SEEN_WITHIN: Duration = Duration::from_millis(50);
/// What is done beside following and told back: one scrub or one repair at a time.
const EVENTS_MAX: usize = 4;

/// What status and verification see of the proof.
#[derive(Debug, Default)]
pub(crate) struct Proof {
    pub(crate) prover: Mutex<Prover>,
    /// When every view that could be compared was last found equal, in nanoseconds of the edge's clock; zero for never.
    equal_at: AtomicU64,
    /// As of which record.
    equal_lsn: AtomicU64,
}

impl Proof {
    /// As of which record everything was last found equal, and how long ago that was.
    pub(crate) fn proven(&self, now: Duration) -> Option<(Lsn, Duration)> {
        let at = self.equal_at.load(Relaxed);
        (at > 0).then(|| (Lsn(self.equal_lsn.load(Relaxed)), now.saturating_sub(Duration::from_nanos(at))))
    }

    /// Another replica is served.
    pub(crate) fn restart(&self, exact_from: Lsn) {
        self.prover.lock().restart(exact_from);
        self.equal_at.store(0, Relaxed);
    }
}

/// What was done beside following, of which replica and in which round of its proof.
pub(crate) enum Event {
    /// The rows are added up.
    Scrubbed(Arc<Replica>, u64, Scrub),
    /// Buckets are mended, with rows as new as this.
    Repaired(Arc<Replica>, u64, Lsn),
    /// They could not be.
    NotRepaired(Arc<Replica>, u64, String),
}

/// Proving, as the task that follows the leader drives it: it alone applies, so that between two of its steps the kept
/// sums are as of one record.
pub(crate) struct Driver {
    shared: Arc<Shared>,
    sender: mpsc::Sender<Event>,
    events: mpsc::Receiver<Event>,
}

/// The replica is not to be mended: it must be made anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct GivenUp;

impl Driver {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        let (sender, events) = mpsc::channel(EVENTS_MAX);
        Self { shared, sender, events }
    }

    /// The next thing that was done; waits. Safe to cancel.
    pub(crate) async fn next(&mut self) -> Event {
        match self.events.recv().await {
            Some(event) => event,
            // We hold a sender ourselves.
            None => std::future::pending().await,
        }
    }

    /// Compares the replica, which stands at the checkpoint's record.
    pub(crate) fn compare(&mut self, replica: &Arc<Replica>, checkpoint: &Arc<Checkpoint>) -> Result<(), GivenUp> {
        let shared = &self.shared;
        let mut differs = false;
        shared.checkpoints.send_modify(|checkpoints| checkpoints.push(Checkpoint::clone(checkpoint)));
        let step = {
            let mut prover = shared.proof.prover.lock();
            let (compared, step) = proving::compare(&mut prover, &replica.table, checkpoint);
            match compared {
                Compared::Equal => {
                    shared.proof.equal_lsn.store(checkpoint.lsn.0, Relaxed);
                    shared.proof.equal_at.store(shared.now().as_nanos() as u64, Relaxed);
                    metrics::gauge!("littoral_edge_proven_lsn").set(checkpoint.lsn.0 as f64);
                }
                Compared::Nothing => {}
                Compared::Differs => {
                    differs = true;
                    metrics::counter!("littoral_edge_digest_mismatch_total").increment(1);
                    tracing::warn!(lsn = checkpoint.lsn.0, "rows here are not the leader's; what differs is mended");
                }
            }
            step
        };
        let carried_out = self.carry_out(replica, step);
        if differs {
            // It is mended when the rows are added up.
            replica.table.hurry_this_scrub();
        }
        carried_out
    }

    /// Goes on after something was done.
    pub(crate) fn take(&mut self, event: Event) -> Result<(), GivenUp> {
        let serving = self.shared.replica.load_full();
        let is_served = |replica: &Arc<Replica>| serving.as_ref().is_some_and(|serving| Arc::ptr_eq(serving, replica));
        match event {
            Event::Scrubbed(replica, round, scrub) if is_served(&replica) => {
                let (buckets, step) = proving::scrubbed(&mut self.shared.proof.prover.lock(), round, scrub);
                if !buckets.is_empty() {
                    metrics::counter!("littoral_edge_buckets_spoilt_total").increment(buckets.len() as u64);
                    tracing::error!(
                        ?buckets,
                        "rows have changed in this edge's memory without being written: check the host's memory"
                    );
                    self.shared.proof.equal_at.store(0, Relaxed);
                }
                self.carry_out(&replica, step)
            }
            Event::Repaired(replica, round, exact_from) if is_served(&replica) => {
                self.shared.proof.prover.lock().repaired(round, exact_from);
                Ok(())
            }
            Event::NotRepaired(replica, round, reason) if is_served(&replica) => {
                tracing::warn!(reason, "buckets could not be mended; the next checkpoint tries again");
                self.shared.proof.prover.lock().not_repaired(round);
                Ok(())
            }
            // Of a replica that is served no more.
            Event::Scrubbed(..) | Event::Repaired(..) | Event::NotRepaired(..) => Ok(()),
        }
    }

    fn carry_out(&self, replica: &Arc<Replica>, step: Option<Step>) -> Result<(), GivenUp> {
        match step {
            None => Ok(()),
            Some(Step::Snapshot) => Err(GivenUp),
            Some(Step::Scrub { round }) => {
                let Some(scrub) = replica.table.begin_scrub() else {
                    self.shared.proof.prover.lock().not_scrubbed(round);
                    return Ok(());
                };
                let (replica, sender) = (replica.clone(), self.sender.clone());
                tokio::spawn(async move {
                    if let Some(scrub) = add_up(scrub).await {
                        // Nobody listens when the edge stops.
                        let _ = sender.send(Event::Scrubbed(replica, round, scrub)).await;
                    }
                });
                Ok(())
            }
            Some(Step::Repair { round, buckets }) => {
                let (shared, replica, sender) = (self.shared.clone(), replica.clone(), self.sender.clone());
                tokio::spawn(async move {
                    let event = match repair(&shared, &replica, Mending::new(round, buckets)).await {
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

/// Adds up the rows, resting in between as the table's pace says. `None` when the runtime stops meanwhile.
async fn add_up(mut scrub: Scrub) -> Option<Scrub> {
    let begun = Instant::now();
    loop {
        // A slice would hold up a worker.
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
            tokio::time::sleep(rested.saturating_duration_since(Instant::now()).min(HURRY_SEEN_WITHIN)).await;
        }
    }
    metrics::histogram!("littoral_edge_scrub_seconds").record(begun.elapsed().as_secs_f64());
    Some(scrub)
}

/// Makes the buckets what the leader has. Returns the newest record that a row put in comes from.
async fn repair(shared: &Shared, replica: &Arc<Replica>, mut mending: Mending) -> Result<Lsn, String> {
    while let Some(Wanted { view, bucket, after }) = mending.wants() {
        let calls = shared.link.calls()?;
        let read = calls.bucket(view, bucket, after).await.map_err(|error| error.to_string())?;
        reach(shared, replica, read.as_of).await?;
        if !proving::may_put_in(replica, &read) {
            return Err("the leader's log was put back to an older copy".to_owned());
        }
        let Some(part) = mending.part(read) else { break };
        let (table, numbering) = (replica.table.clone(), replica.numbering);
        // It goes through the whole table.
        let mended = tokio::task::spawn_blocking(move || table.mend_by(numbering, &part))
            .await
            .map_err(|error| error.to_string())?;
        replica.holds(mended.exact_from);
        if let Some(MendedBucket { put, removed, .. }) = mending.mended(mended) {
            metrics::counter!("littoral_edge_buckets_repaired_total").increment(1);
            tracing::warn!(view = view.0, bucket, put, removed, "a bucket was mended from the leader's rows");
        }
    }
    Ok(mending.exact_from())
}

/// Waits until everything that the leader had read is applied here.
pub(crate) async fn reach(shared: &Shared, replica: &Replica, position: Position) -> Result<(), String> {
    let deadline = tokio::time::Instant::now() + APPLIED_WAIT_MAX;
    loop {
        // The place comes before the look: what is reached in between wakes it.
        let place = shared.applied.wait_for(position.lsn.0, usize::MAX);
        match proving::reach(&replica.point.load(), position) {
            Reach::OtherLog => return Err("the leader's log was begun anew".to_owned()),
            Reach::Reached => return Ok(()),
            Reach::Behind => {}
        }
        let late = || format!("record {} was not applied within {} s", position.lsn, APPLIED_WAIT_MAX.as_secs());
        let Some(mut place) = place else { return Err(late()) };
        tokio::time::timeout_at(deadline, place.woken()).await.map_err(|_| late())?;
    }
}
