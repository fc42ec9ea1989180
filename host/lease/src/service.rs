//! Runs an election with a real clock and a real store, as a task of the process.

use crate::{
    authority::{Authority, Fenced},
    claim::{CONTACT_MAX, Claim, Committed, Holder, NAME_MAX},
    clock::Clock,
    election::{Command, Election, EpochStride, Event},
    store::{LeaseStore, StoreError},
    timing::{InvalidTiming, Timing},
};
use littoral_model::position::Epoch;
use parking_lot::Mutex;
use std::sync::Arc;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio_util::sync::CancellationToken;

/// How many requests to the store may be pending. The election waits for at most one; abandoned requests may last until
/// the operating system ends them.
const PENDING_MAX: usize = 8;

/// How many commands may be queued.
const COMMANDS_MAX: usize = 16;

/// How a process takes part in the election.
#[derive(Clone, Debug)]
pub struct Config {
    /// The node's name, for display.
    pub name: String,
    /// The address at which other nodes reach this node when it leads. Part of the claim.
    pub contact: String,
    /// The times.
    pub timing: Timing,
    /// The epochs that this process may begin.
    pub epochs: EpochStride,
}

/// Why a configuration is invalid.
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

/// The state of the lease as this process sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LeaseState {
    /// The epoch in which this process leads. A hint only: [`Handle::confirm`] decides.
    pub leading: Option<Epoch>,
    /// The claim that was last seen in the store, which may be this process's own.
    pub claim: Option<Claim>,
}

/// The state of the lease store as this process sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum StoreState {
    /// It answers, or was not used yet.
    #[default]
    Answers,
    /// It does not answer, or rejects requests; with the reason.
    Unavailable(String),
    /// Another store, or an empty one, answers instead. This process claims nothing there. With the reason.
    Lost(String),
}

/// Controls and observes a running [`Service`].
#[derive(Clone)]
pub struct Handle {
    authority: Arc<Authority>,
    clock: Clock,
    lease: watch::Receiver<LeaseState>,
    store: watch::Receiver<StoreState>,
    committed: Arc<Mutex<Committed>>,
    commands: mpsc::Sender<Event>,
}

/// The task that runs the election.
pub struct Service {
    election: Election,
    store: Arc<dyn LeaseStore>,
    authority: Arc<Authority>,
    clock: Clock,
    timing: Timing,
    lease: watch::Sender<LeaseState>,
    commands: mpsc::Receiver<Event>,
    answers: (mpsc::Sender<Answer>, mpsc::Receiver<Answer>),
    pending: Arc<Semaphore>,
    store_state: watch::Sender<StoreState>,
    /// The newest committed record, for claims.
    committed: Arc<Mutex<Committed>>,
}

/// The result of a request, and the state of the store that follows from it.
struct Answer {
    event: Event,
    state: StoreState,
}

/// Creates a service that only observes until [`Handle::stand`], and the handle to it.
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
    let me = Holder { name: config.name, process: fastrand::u64(..) };
    let authority = Arc::new(Authority::default());
    let (lease, lease_seen) = watch::channel(LeaseState::default());
    let (commands, commands_received) = mpsc::channel(COMMANDS_MAX);
    let (store_state, store_state_seen) = watch::channel(StoreState::default());
    let committed = Arc::<Mutex<Committed>>::default();
    let handle = Handle {
        authority: authority.clone(),
        clock: clock.clone(),
        lease: lease_seen,
        store: store_state_seen,
        committed: committed.clone(),
        commands,
    };
    let service = Service {
        election: Election::new(me, config.contact, config.timing).restricted_to(config.epochs),
        store,
        authority,
        clock,
        timing: config.timing,
        lease,
        commands: commands_received,
        answers: mpsc::channel(PENDING_MAX + 1),
        pending: Arc::new(Semaphore::new(PENDING_MAX)),
        store_state,
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
    /// Returns the epoch in which to append now.
    ///
    /// # Errors
    /// [`Fenced`].
    pub fn epoch(&self) -> Result<Epoch, Fenced> {
        self.authority.epoch((self.clock)())
    }

    /// Checks whether an append in `epoch` may be acknowledged. Call it once the append is durable, before sending the
    /// response.
    ///
    /// # Errors
    /// [`Fenced`].
    pub fn confirm(&self, epoch: Epoch) -> Result<(), Fenced> {
        self.authority.confirm(epoch, (self.clock)())
    }

    /// Returns the state of the lease, now and whenever it changes.
    #[must_use]
    pub fn state(&self) -> watch::Receiver<LeaseState> {
        self.lease.clone()
    }

    /// Returns the state of the store, now and whenever it changes.
    #[must_use]
    pub fn store(&self) -> watch::Receiver<StoreState> {
        self.store.clone()
    }

    /// Notes that the region's log is committed up to this record. The next claim includes it.
    pub fn note_committed(&self, committed: Committed) {
        *self.committed.lock() = committed;
    }

    /// Starts competing for the lease, in an epoch greater than `floor`. Does nothing while the service stops.
    pub async fn stand(&self, floor: Epoch) {
        // Sending fails only if the service has stopped. It does not lead then.
        let _ = self.commands.send(Event::Stand { floor }).await;
    }

    /// Stops competing. A leader stops at once and releases the lease, so that another process can lead without
    /// waiting.
    pub async fn resign(&self) {
        // Sending fails only if the service has stopped. It has resigned then.
        let _ = self.commands.send(Event::Resign).await;
    }
}

impl Service {
    /// Runs until `stop` is cancelled. A leader then releases its lease, if the store answers in time.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut stop_by = None;
        let mut commands = Vec::new();
        self.handle(Event::Timer, &mut commands);
        loop {
            let now = (self.clock)();
            if stop_by.is_some_and(|by| now >= by || !self.election.has_claim_out()) {
                break;
            }
            let wake = self.election.wake_at().saturating_sub(now);
            let event = tokio::select! {
                biased;
                () = stop.cancelled(), if stop_by.is_none() => {
                    stop_by = Some(now + self.timing.request_timeout * 2);
                    Event::Resign
                }
                Some(answer) = self.answers.1.recv() => {
                    self.note_store(answer.state);
                    answer.event
                }
                Some(command) = self.commands.recv(), if stop_by.is_none() => command,
                () = tokio::time::sleep(wake) => Event::Timer,
            };
            self.handle(event, &mut commands);
        }
        self.authority.revoke();
    }

    fn handle(&mut self, event: Event, commands: &mut Vec<Command>) {
        self.election.note_committed(*self.committed.lock());
        self.election.on(event, (self.clock)(), commands);
        for command in commands.drain(..) {
            match command {
                Command::Lead { epoch, until } => {
                    self.authority.grant(epoch, until);
                    self.lead(epoch);
                }
                Command::StepDown { epoch, why } => {
                    self.authority.revoke();
                    tracing::warn!(%epoch, why = why.as_str(), store = self.store.name(), "this node no longer leads the region");
                    metrics::counter!("littoral_lease_step_downs_total", "why" => why.as_str()).increment(1);
                    self.lease.send_modify(|lease| lease.leading = None);
                }
                Command::Follow { claim } => self.follow(claim),
                Command::Read { request } => {
                    let store = self.store.clone();
                    self.request("read", async move { store.read().await }, move |result| Event::Read {
                        request,
                        result,
                    });
                }
                Command::Swap { request, expected, claim } => {
                    let store = self.store.clone();
                    let swap = async move { store.swap(expected.as_ref(), &claim).await };
                    self.request("swap", swap, move |result| Event::Swapped { request, result });
                }
            }
        }
    }

    /// Logs and publishes the state of the store if it has changed.
    fn note_store(&self, state: StoreState) {
        let lost = matches!(state, StoreState::Lost(_));
        self.store_state.send_if_modified(|before| {
            // Log only the first reason until the store answers again.
            let changed = std::mem::discriminant(before) != std::mem::discriminant(&state);
            if changed {
                match &state {
                    StoreState::Answers => tracing::info!(store = self.store.name(), "the lease store answers again"),
                    StoreState::Unavailable(error) => {
                        tracing::warn!(%error, "the lease store does not answer; retrying");
                    }
                    StoreState::Lost(error) => {
                        tracing::error!(%error, "the lease store is lost; this node claims nothing until it is restored");
                    }
                }
                *before = state;
            }
            changed
        });
        metrics::gauge!("littoral_lease_store_lost").set(f64::from(lost));
    }

    /// Publishes that this process leads, if that is new.
    fn lead(&self, epoch: Epoch) {
        metrics::gauge!("littoral_lease_epoch").set(epoch.0 as f64);
        let own = self.election.seen().cloned();
        self.lease.send_if_modified(|lease| {
            let new = lease.leading != Some(epoch);
            if new {
                tracing::info!(%epoch, store = self.store.name(), "this node now leads the region");
                *lease = LeaseState { leading: Some(epoch), claim: own };
            }
            new
        });
    }

    /// Publishes the claim. Wakes observers only if its epoch, its holder or its release has changed, and not at each
    /// renewal.
    fn follow(&self, claim: Option<Claim>) {
        let essence = |claim: &Option<Claim>| claim.as_ref().map(|c| (c.epoch, c.holder.clone(), c.released));
        self.lease.send_if_modified(|lease| {
            let new = essence(&lease.claim) != essence(&claim);
            lease.claim = claim;
            new
        });
    }

    /// Sends a request to the store in a task of its own: it may take longer than the election waits.
    fn request<T: Send + 'static>(
        &self,
        kind: &'static str,
        request: impl Future<Output = Result<T, StoreError>> + Send + 'static,
        answer: impl FnOnce(Option<T>) -> Event + Send + 'static,
    ) {
        let permit = self.pending.clone().try_acquire_owned();
        let (answers, name) = (self.answers.0.clone(), self.store.name().to_owned());
        tokio::spawn(async move {
            let begun = tokio::time::Instant::now();
            let result = match permit {
                Ok(_permit) => request.await,
                Err(_) => {
                    Err(StoreError::Unavailable { at: name, reason: "earlier requests are still pending".into() })
                }
            };
            metrics::histogram!("littoral_lease_request_seconds", "request" => kind)
                .record(begun.elapsed().as_secs_f64());
            if result.is_err() {
                metrics::counter!("littoral_lease_request_errors_total").increment(1);
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
