//! The election over a real clock and a real store, as a task of the process.

use crate::{
    authority::{Authority, Fenced},
    claim::{CONTACT_MAX, Claim, Committed, Holder, NAME_MAX},
    clock::Clock,
    election::{Effect, Election, Event, Turn},
    store::{LeaseStore, StoreError},
    timing::{InvalidTiming, Timing},
};
use littoral_model::position::Epoch;
use parking_lot::Mutex;
use std::sync::Arc;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio_util::sync::CancellationToken;

/// Requests to the store that may hang at a time. The election waits for one at most; those that it has given up may take
/// until the system gives them up as well.
const HANGING_MAX: usize = 8;

/// Wishes that may wait.
const COMMANDS_MAX: usize = 16;

/// How one process stands for a lease.
#[derive(Clone, Debug)]
pub struct Config {
    /// The node's name, for people.
    pub name: String,
    /// Where others reach this node when it leads. Told to those that look.
    pub contact: String,
    /// The times.
    pub timing: Timing,
    /// Which epochs it may begin.
    pub turn: Turn,
}

/// What cannot work.
#[derive(Debug, thiserror::Error)]
pub enum InvalidConfig {
    /// The times.
    #[error(transparent)]
    Timing(#[from] InvalidTiming),
    /// The name.
    #[error("a lease holder's name must have from 1 to {NAME_MAX} bytes")]
    Name,
    /// The contact.
    #[error("a lease holder's contact must have at most {CONTACT_MAX} bytes")]
    Contact,
}

/// How things stand, for whoever follows them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LeaseState {
    /// The epoch in which this process leads. A hint only: [`Handle::confirm`] decides.
    pub leading: Option<Epoch>,
    /// The claim that was last seen in the store, this process's own included.
    pub claim: Option<Claim>,
}

/// How the store of the lease answers this process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum StoreState {
    /// It answers, or has not been asked yet.
    #[default]
    Answers,
    /// It does not answer, or refuses; why.
    Unavailable(String),
    /// Another store, or an empty one, answers in its place. This process claims nothing there.
    Lost(String),
}

/// Talks to a running [`Service`].
#[derive(Clone)]
pub struct Handle {
    authority: Arc<Authority>,
    clock: Clock,
    lease: watch::Receiver<LeaseState>,
    store: watch::Receiver<StoreState>,
    committed: Arc<Mutex<Committed>>,
    commands: mpsc::Sender<Event>,
}

/// The task.
pub struct Service {
    election: Election,
    store: Arc<dyn LeaseStore>,
    authority: Arc<Authority>,
    clock: Clock,
    timing: Timing,
    lease: watch::Sender<LeaseState>,
    commands: mpsc::Receiver<Event>,
    answers: (mpsc::Sender<Answer>, mpsc::Receiver<Answer>),
    hanging: Arc<Semaphore>,
    state: watch::Sender<StoreState>,
    /// What is known to be committed, for the claims.
    committed: Arc<Mutex<Committed>>,
}

/// What the store answered, and how it is by that.
struct Answer {
    event: Event,
    state: StoreState,
}

/// A process that looks on until [`Handle::stand`], and the handle to it.
///
/// # Errors
/// [`InvalidConfig`].
pub fn new(config: Config, store: Arc<dyn LeaseStore>, clock: Clock) -> Result<(Handle, Service), InvalidConfig> {
    config.timing.check()?;
    if config.name.is_empty() || config.name.len() > NAME_MAX {
        return Err(InvalidConfig::Name);
    }
    if config.contact.len() > CONTACT_MAX {
        return Err(InvalidConfig::Contact);
    }
    let me = Holder { name: config.name, life: fastrand::u64(..) };
    let authority = Arc::new(Authority::default());
    let (lease, lease_seen) = watch::channel(LeaseState::default());
    let (commands, commands_taken) = mpsc::channel(COMMANDS_MAX);
    let (state, state_seen) = watch::channel(StoreState::default());
    let committed = Arc::<Mutex<Committed>>::default();
    let handle = Handle {
        authority: authority.clone(),
        clock: clock.clone(),
        lease: lease_seen,
        store: state_seen,
        committed: committed.clone(),
        commands,
    };
    let service = Service {
        election: Election::new(me, config.contact, config.timing).in_turn(config.turn),
        store,
        authority,
        clock,
        timing: config.timing,
        lease,
        commands: commands_taken,
        answers: mpsc::channel(HANGING_MAX + 1),
        hanging: Arc::new(Semaphore::new(HANGING_MAX)),
        state,
        committed,
    };
    Ok((handle, service))
}

impl std::fmt::Debug for Handle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Handle").field("lease", &*self.lease.borrow()).finish_non_exhaustive()
    }
}

impl Handle {
    /// The epoch in which to append now.
    ///
    /// # Errors
    /// [`Fenced`].
    pub fn epoch(&self) -> Result<Epoch, Fenced> {
        self.authority.epoch((self.clock)())
    }

    /// Whether what was appended in `epoch` may be acknowledged. To be asked once it is durable, and before the answer
    /// leaves.
    ///
    /// # Errors
    /// [`Fenced`].
    pub fn confirm(&self, epoch: Epoch) -> Result<(), Fenced> {
        self.authority.confirm(epoch, (self.clock)())
    }

    /// How things stand, and how they change.
    #[must_use]
    pub fn state(&self) -> watch::Receiver<LeaseState> {
        self.lease.clone()
    }

    /// How the store answers, and how that changes.
    #[must_use]
    pub fn store(&self) -> watch::Receiver<StoreState> {
        self.store.clone()
    }

    /// Everything up to here is committed in the region's log: the next claim says so.
    pub fn know_committed(&self, committed: Committed) {
        *self.committed.lock() = committed;
    }

    /// Wants to lead, in an epoch greater than `floor`. Nothing happens when the service is stopping.
    pub async fn stand(&self, floor: Epoch) {
        // Who stops does not lead.
        let _ = self.commands.send(Event::Stand { floor }).await;
    }

    /// Wants to lead no more. A leader stops at once and hands the lease back, so that another can lead without waiting.
    pub async fn resign(&self) {
        // Who stops has resigned.
        let _ = self.commands.send(Event::Resign).await;
    }
}

impl Service {
    /// Runs until `stop` is cancelled; a leader then hands its lease back, if the store answers soon.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut stop_by = None;
        let mut effects = Vec::new();
        self.handle(Event::Timer, &mut effects);
        loop {
            let now = (self.clock)();
            if stop_by.is_some_and(|by| now >= by || !self.election.has_claim_out()) {
                break;
            }
            let wake = self.election.wake_at().saturating_sub(now);
            let event = tokio::select! {
                biased;
                () = stop.cancelled(), if stop_by.is_none() => {
                    stop_by = Some(now + self.timing.patience * 2);
                    Event::Resign
                }
                Some(answer) = self.answers.1.recv() => {
                    self.hear(answer.state);
                    answer.event
                }
                Some(command) = self.commands.recv(), if stop_by.is_none() => command,
                () = tokio::time::sleep(wake) => Event::Timer,
            };
            self.handle(event, &mut effects);
        }
        self.authority.revoke();
    }

    fn handle(&mut self, event: Event, effects: &mut Vec<Effect>) {
        self.election.know_committed(*self.committed.lock());
        self.election.on(event, (self.clock)(), effects);
        for effect in effects.drain(..) {
            match effect {
                Effect::Lead { epoch, until } => {
                    self.authority.grant(epoch, until);
                    self.lead(epoch);
                }
                Effect::StepDown { epoch, why } => {
                    self.authority.revoke();
                    tracing::warn!(%epoch, why = why.as_str(), store = self.store.name(), "leads no more");
                    metrics::counter!("littoral_lease_step_downs_total", "why" => why.as_str()).increment(1);
                    self.lease.send_modify(|lease| lease.leading = None);
                }
                Effect::Follow { claim } => self.follow(claim),
                Effect::Read { request } => {
                    let store = self.store.clone();
                    self.ask("read", async move { store.read().await }, move |result| Event::Read { request, result });
                }
                Effect::Swap { request, expected, claim } => {
                    let store = self.store.clone();
                    let swap = async move { store.swap(expected.as_ref(), &claim).await };
                    self.ask("swap", swap, move |result| Event::Swapped { request, result });
                }
            }
        }
    }

    /// Logs and shows how the store is, when that has changed.
    fn hear(&self, state: StoreState) {
        let lost = matches!(state, StoreState::Lost(_));
        self.state.send_if_modified(|before| {
            // One reason is logged; those that follow it, until the store is well again, are not.
            let changed = std::mem::discriminant(before) != std::mem::discriminant(&state);
            if changed {
                match &state {
                    StoreState::Answers => tracing::info!(store = self.store.name(), "the lease's store answers again"),
                    StoreState::Unavailable(error) => {
                        tracing::warn!(%error, "the lease's store does not answer; it is asked again");
                    }
                    StoreState::Lost(error) => {
                        tracing::error!(%error, "the lease's store is lost; this node claims nothing until it is back");
                    }
                }
                *before = state;
            }
            changed
        });
        metrics::gauge!("littoral_lease_store_lost").set(f64::from(u8::from(lost)));
    }

    fn lead(&self, epoch: Epoch) {
        metrics::gauge!("littoral_lease_epoch").set(epoch.0 as f64);
        let own = self.election.seen().cloned();
        self.lease.send_if_modified(|lease| {
            let new = lease.leading != Some(epoch);
            if new {
                tracing::info!(%epoch, store = self.store.name(), "leads");
                *lease = LeaseState { leading: Some(epoch), claim: own };
            }
            new
        });
    }

    fn follow(&self, claim: Option<Claim>) {
        let essence = |claim: &Option<Claim>| claim.as_ref().map(|c| (c.epoch, c.holder.clone(), c.released));
        self.lease.send_if_modified(|lease| {
            let new = essence(&lease.claim) != essence(&claim);
            lease.claim = claim;
            new
        });
    }

    /// Asks the store beside this task: it may hang for longer than the election waits.
    fn ask<T: Send + 'static>(
        &self,
        what: &'static str,
        asked: impl Future<Output = Result<T, StoreError>> + Send + 'static,
        answer: impl FnOnce(Option<T>) -> Event + Send + 'static,
    ) {
        let permit = self.hanging.clone().try_acquire_owned();
        let (answers, name) = (self.answers.0.clone(), self.store.name().to_owned());
        tokio::spawn(async move {
            let begun = tokio::time::Instant::now();
            let result = match permit {
                Ok(_permit) => asked.await,
                Err(_) => Err(StoreError::Unavailable { at: name, reason: "earlier requests still hang".into() }),
            };
            metrics::histogram!("littoral_lease_store_seconds", "request" => what)
                .record(begun.elapsed().as_secs_f64());
            if result.is_err() {
                metrics::counter!("littoral_lease_store_errors_total").increment(1);
            }
            let (result, state) = match result {
                Ok(result) => (Some(result), StoreState::Answers),
                Err(error @ StoreError::Lost { .. }) => (None, StoreState::Lost(error.to_string())),
                Err(error) => (None, StoreState::Unavailable(error.to_string())),
            };
            // The service may have stopped.
            let _ = answers.send(Answer { event: answer(result), state }).await;
        });
    }
}
