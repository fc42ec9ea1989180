//! The interface of a member for doors and the peer listener. It stays the same when the log is reopened.

mod feed;

use crate::{
    Election,
    membership::{self, Membership},
    peer_service,
    peers::Links,
    roles,
    tails::MemberTails,
};
use arc_swap::ArcSwap;
use bytes::Bytes;
use littoral_leader::{Config, Environment, Handle, InvalidConfig, LocalLog, Opened, StartError, Writers};
use littoral_lease as lease;
use littoral_log::snapshot;
use littoral_model::{
    catalogue::{Catalogue, CatalogueChange},
    conflict::Conflict,
    format::ProtocolVersion,
    ports::{BoxFuture, FeatureReader, FeatureWriter, ModulePut, ModuleRuntime, Node, Rollout, Tails},
    position::Incarnation,
    project::Receiver,
    read::{ReadAnswer, ReadError, ReadRequest, RowPage},
    region::Region,
    status::{NodeStatus, Shortfalls},
    view::ViewId,
    write::{WriteError, WriteReceipt, WriteRequest},
};
use littoral_protocol::members::rpc::{PeerService, Rejection, Reply, Request};
use std::{sync::Arc, time::Duration};
use tokio::{sync::watch, time::Instant};
use tokio_util::sync::CancellationToken;

/// How long to wait before a log that did not open is opened again.
const REOPEN_DELAY: Duration = Duration::from_secs(2);

/// How long a write waits for a log that is being reopened, and how often it checks.
const OPEN_WAIT_MAX: Duration = Duration::from_secs(3);
const OPEN_CHECK_INTERVAL: Duration = Duration::from_millis(5);

/// How this member's log must be reopened before the member can follow.
#[derive(Debug)]
pub(crate) enum Reopen {
    /// As an empty log with this name, which is the region's.
    AsEmpty(Incarnation),
    /// As a log with this name that continues after a snapshot, which is already stored here.
    AfterSnapshot(Incarnation, Box<snapshot::Head>),
}

/// A running member of a region. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Member {
    current: Arc<ArcSwap<Current>>,
    stopped: watch::Receiver<bool>,
}

/// The log that is open now.
#[derive(Debug)]
struct Current {
    handle: Handle,
    local: LocalLog,
    membership: Arc<Membership>,
    /// How many times the log was opened. Streams end when it changes: a snapshot may have replaced every record.
    openings: u64,
}

impl Member {
    /// Starts a member on its data directory; `config` names all members, including this one. It follows or leads until
    /// `stop` is cancelled. Returns when its log and state are restored, with or without a leader.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn start(
        config: Config,
        election: Election,
        runtime: Arc<dyn ModuleRuntime>,
        stop: CancellationToken,
    ) -> Result<Self, StartError> {
        config.check()?;
        Self::start_on(Environment::of(&config)?, config, election, runtime, stop).await
    }

    /// Starts a member on the given storage and clock.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn start_on(
        environment: Environment,
        config: Config,
        election: Election,
        runtime: Arc<dyn ModuleRuntime>,
        stop: CancellationToken,
    ) -> Result<Self, StartError> {
        config.check()?;
        let Some(own) = config.members.iter().find(|member| member.name == config.name) else {
            let reason = format!("does not name this member, '{}'", config.name);
            return Err(InvalidConfig { key: "members", reason }.into());
        };
        let mut names: Vec<&str> = config.members.iter().map(|member| &*member.name).collect();
        names.sort_unstable();
        let at = names.iter().position(|name| *name == own.name).unwrap_or_default();
        let epochs = lease::EpochStride { stride: names.len() as u64, offset: at as u64 };
        let settings =
            lease::Config { name: own.name.clone(), contact: own.peer.clone(), timing: election.timing, epochs };
        let (lease, service) = lease::service::new(settings, election.store, election.clock)
            .map_err(|error| InvalidConfig { key: "lease", reason: error.to_string() })?;
        let lease_stop = CancellationToken::new();
        let service = tokio::spawn(service.run(lease_stop.clone()));
        let timing = election.timing;
        let mut opener = Opener { environment, config, runtime, lease, timing, openings: 0 };
        let open = match opener.open(&stop).await {
            Ok(open) => open,
            Err(error) => {
                lease_stop.cancel();
                return Err(error);
            }
        };
        let current = Arc::new(ArcSwap::from_pointee(open.current(opener.openings)));
        let (done, stopped) = watch::channel(false);
        tokio::spawn({
            let current = current.clone();
            async move {
                opener.run(open, &current, &stop).await;
                // Releases the lease before the process ends, so that the other members need not wait until it expires.
                lease_stop.cancel();
                // The service ends now. A panic in it is logged where it happens.
                let _ = service.await;
                done.send_replace(true);
            }
        });
        Ok(Self { current, stopped })
    }

    /// Returns when the member has stopped, after its token was cancelled: accepted writes are durable, the lease is
    /// released, and the threads have ended.
    pub async fn stopped(&self) {
        // The sender is dropped only after it has sent true, or with its runtime.
        let _ = self.stopped.clone().wait_for(|stopped| *stopped).await;
    }

    /// Returns the handle of the member's log once the log is open, for calls that would otherwise reach a closed one.
    /// After [`OPEN_WAIT_MAX`] it returns the handle in any case.
    async fn open(&self) -> Handle {
        let deadline = Instant::now() + OPEN_WAIT_MAX;
        loop {
            let current = self.current.load_full();
            if !current.local.is_closed() || Instant::now() >= deadline {
                return current.handle.clone();
            }
            drop(current);
            tokio::time::sleep(OPEN_CHECK_INTERVAL).await;
        }
    }

    /// Returns the handle of the member's log, open or not.
    fn handle(&self) -> Handle {
        self.current.load().handle.clone()
    }
}

/// Opens a member's log and state, repeatedly.
struct Opener {
    environment: Environment,
    config: Config,
    runtime: Arc<dyn ModuleRuntime>,
    lease: lease::Handle,
    timing: lease::Timing,
    openings: u64,
}

/// An open log and its state.
struct OpenLog {
    opened: Opened<Membership>,
    /// Ends the log's tasks, for example those that follow other regions.
    stop: CancellationToken,
}

impl OpenLog {
    fn current(&self, openings: u64) -> Current {
        let handle = self.opened.handle();
        let membership = self.opened.replication.clone();
        Current { local: handle.local_log(), handle, membership, openings }
    }
}

impl Opener {
    async fn open(&mut self, stop: &CancellationToken) -> Result<OpenLog, StartError> {
        let (environment, config, runtime) = (self.environment.clone(), self.config.clone(), self.runtime.clone());
        let identity = membership::Identity {
            me: config.name.clone(),
            members: config.members.clone(),
            lease: self.lease.clone(),
            timing: self.timing,
            links: Links { tls: environment.tls.clone(), version: config.protocol_version },
        };
        let join = move |fresh| Arc::new(Membership::new(identity, fresh));
        let opened = littoral_leader::open(environment, config, runtime, Writers::OneAtATime, join).await?;
        self.openings += 1;
        let stop = stop.child_token();
        opened.spawn_tasks(&stop);
        Ok(OpenLog { opened, stop })
    }

    /// Runs the member's roles until `stop`, and reopens the log whenever that is necessary.
    async fn run(&mut self, mut open: OpenLog, current: &ArcSwap<Current>, stop: &CancellationToken) {
        loop {
            let OpenLog { opened, stop: tasks } = open;
            let local = opened.handle().local_log();
            let reopen = roles::run(&local, &opened.replication, stop).await;
            tasks.cancel();
            opened.close().await;
            drop(local);
            let Some(reopen) = reopen else { return };
            open = loop {
                match self.prepare(&reopen).await {
                    Ok(()) => {}
                    Err(error) => {
                        tracing::error!(error, "the log cannot be prepared for reopening; opening it as it is")
                    }
                }
                match self.open(stop).await {
                    Ok(open) => break open,
                    Err(error) => tracing::error!(%error, "the log cannot be opened; retrying"),
                }
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = tokio::time::sleep(REOPEN_DELAY) => {}
                }
            };
            current.store(Arc::new(open.current(self.openings)));
        }
    }

    /// Changes the files of the closed log as `reopen` requires.
    async fn prepare(&self, reopen: &Reopen) -> Result<(), String> {
        let (storage, region) = (self.environment.storage.clone(), self.config.region);
        let work: Box<dyn FnOnce() -> Result<(), String> + Send> = match reopen {
            Reopen::AsEmpty(incarnation) => {
                let incarnation = *incarnation;
                Box::new(move || {
                    littoral_log::begin_as(&*storage, region, incarnation).map_err(|error| error.to_string())
                })
            }
            Reopen::AfterSnapshot(incarnation, head) => {
                let (incarnation, head) = (*incarnation, head.clone());
                Box::new(move || {
                    let detached = littoral_log::begin_after(&*storage, region, incarnation, &head)
                        .map_err(|error| error.to_string())?;
                    if let Some(detached) = detached {
                        tracing::warn!(
                            tail = detached.name,
                            "records that only this member's log had were kept as a detached tail"
                        );
                    }
                    Ok(())
                })
            }
        };
        tokio::task::spawn_blocking(work).await.map_err(|error| error.to_string())?
    }
}

impl PeerService for Member {
    fn call(&self, request: Request, version: ProtocolVersion) -> BoxFuture<'_, Result<Reply, Rejection>> {
        let current = self.current.load();
        Box::pin(peer_service::reply(current.local.clone(), current.membership.clone(), request, version))
    }
}

impl FeatureReader for Member {
    fn catalogue(&self) -> Arc<Catalogue> {
        self.handle().catalogue()
    }

    fn is_catalogue(&self, known: &Arc<Catalogue>) -> bool {
        self.current.load().handle.is_catalogue(known)
    }

    fn regions(&self) -> Vec<Region> {
        self.current.load().handle.regions()
    }

    fn read_local(&self, request: &ReadRequest, answer: &mut ReadAnswer) -> bool {
        self.current.load().handle.read_local(request, answer)
    }

    fn read<'a>(&'a self, request: &'a ReadRequest) -> BoxFuture<'a, Result<ReadAnswer, ReadError>> {
        Box::pin(async move { self.handle().read(request).await })
    }
}

impl FeatureWriter for Member {
    fn write(&self, request: WriteRequest) -> BoxFuture<'_, Result<WriteReceipt, WriteError>> {
        Box::pin(async move { self.open().await.write(request).await })
    }

    fn change(&self, change: CatalogueChange) -> BoxFuture<'_, Result<WriteReceipt, WriteError>> {
        Box::pin(async move { self.open().await.change(change).await })
    }

    fn put_module(
        &self,
        name: String,
        version: String,
        component: Bytes,
    ) -> BoxFuture<'_, Result<ModulePut, WriteError>> {
        Box::pin(async move { self.open().await.put_module(name, version, component).await })
    }
}

impl Node for Member {
    fn status(&self) -> NodeStatus {
        self.handle().status()
    }

    fn shortfalls(&self) -> Shortfalls {
        self.handle().shortfalls()
    }

    fn page(&self, view: ViewId, after: Option<&[u8]>, limit: usize) -> Option<RowPage> {
        self.handle().page(view, after, limit)
    }

    fn rollout<'a>(&'a self, put: &'a ModulePut, wait_max: Duration) -> BoxFuture<'a, Rollout> {
        Box::pin(async move { self.handle().rollout(put, wait_max).await })
    }

    fn conflicts(&self) -> Option<Vec<Conflict>> {
        self.handle().conflicts()
    }

    fn held_in(&self) -> Receiver {
        self.handle().held_in()
    }

    fn tails(&self) -> Option<Arc<dyn Tails>> {
        let current = self.current.load();
        let (local, membership) = (current.local.clone(), current.membership.clone());
        Some(Arc::new(MemberTails { local, membership }))
    }
}
