//! A member as doors and the peer listener see it, across the times that its log is opened anew.

use super::{Membership, Part, door::Doorkeeper, service};
use crate::{
    config::{Config, InvalidConfig},
    handle::Handle,
    start::{self, Ground, StartError, Threads},
};
use arc_swap::ArcSwap;
use bytes::Bytes;
use littoral_feed::source::{FeedSource, Standing};
use littoral_lease as lease;
use littoral_log::snapshot;
use littoral_model::{
    catalogue::{Catalogue, CatalogueChange},
    cluster::Belonging,
    conflict::Conflict,
    digest::{BucketRows, Checkpoints},
    lives::RegionLives,
    module::ModuleDigest,
    ports::{
        BoxFuture, FeatureReader, FeatureWriter, FeedReadError, ModulePut, ModuleRuntime, Node, RecordBlock,
        SnapshotSource, Spread, Tails,
    },
    position::{Epoch, Incarnation, Lsn, Position},
    read::{ReadAnswer, ReadError, ReadRequest, RowPage, ViewRead},
    record::ChainHash,
    region::Region,
    status::{NodeStatus, Shortfalls},
    tail::TailPiece,
    token::Watermark,
    view::ViewId,
    write::{WriteError, WriteReceipt, WriteRequest},
};
use littoral_protocol::members::ask::{Ask, Door, NotTold, Told};
use std::{sync::Arc, time::Duration};
use tokio::{sync::watch, time::Instant};
use tokio_util::sync::CancellationToken;

/// How long to wait until a log that did not open is tried again.
const REOPEN_AFTER: Duration = Duration::from_secs(2);

/// How long a write waits for a log that is being opened anew, and how often it looks.
const OPEN_WAIT_MAX: Duration = Duration::from_secs(3);
const OPEN_LOOK_EVERY: Duration = Duration::from_millis(5);

/// What must be done to this member's log before it can take part.
#[derive(Debug)]
pub(crate) enum Reopen {
    /// It is empty, and becomes one of this life of the region's log.
    Adopt(Incarnation),
    /// It begins anew behind a snapshot that is here.
    Install(Incarnation, Box<snapshot::Head>),
}

/// A running member of a region. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Member {
    current: Arc<ArcSwap<Handle>>,
    stopped: watch::Receiver<bool>,
}

impl Member {
    /// Starts a member on its data directory; `config` names all members, this one among them by its own name. It follows
    /// or leads until `stop` is cancelled. Returns when its log and state are there, whoever leads.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn start(
        config: Config,
        membership: Membership,
        runtime: Arc<dyn ModuleRuntime>,
        stop: CancellationToken,
    ) -> Result<Self, StartError> {
        config.check()?;
        Self::start_on(Ground::of(&config)?, config, membership, runtime, stop).await
    }

    /// Starts a member on the storage and clock that are given.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn start_on(
        ground: Ground,
        config: Config,
        membership: Membership,
        runtime: Arc<dyn ModuleRuntime>,
        stop: CancellationToken,
    ) -> Result<Self, StartError> {
        config.check()?;
        let Some(seat) = config.members.iter().find(|seat| seat.name == config.name) else {
            let reason = format!("does not name this member, '{}'", config.name);
            return Err(InvalidConfig { key: "members", reason }.into());
        };
        let mut names: Vec<&str> = config.members.iter().map(|seat| &*seat.name).collect();
        names.sort_unstable();
        let at = names.iter().position(|name| *name == seat.name).unwrap_or_default();
        let turn = lease::Turn { of: names.len() as u64, at: at as u64 };
        let standing =
            lease::Config { name: seat.name.clone(), contact: seat.peer.clone(), timing: membership.timing, turn };
        let (lease, election) = lease::service::new(standing, membership.store, membership.clock)
            .map_err(|error| InvalidConfig { key: "lease", reason: error.to_string() })?;
        let lease_stop = CancellationToken::new();
        let election = tokio::spawn(election.run(lease_stop.clone()));
        let opening = Opening { ground, config, runtime, lease, timing: membership.timing };
        let world = match opening.open(&stop).await {
            Ok(world) => world,
            Err(error) => {
                lease_stop.cancel();
                return Err(error);
            }
        };
        let current = Arc::new(ArcSwap::from_pointee(world.handle.clone()));
        let (done, stopped) = watch::channel(false);
        tokio::spawn({
            let current = current.clone();
            async move {
                opening.live(world, &current, &stop).await;
                // The lease is handed back before the process ends, so that nobody waits for its end.
                lease_stop.cancel();
                // It ends by itself, and panics in it are logged where they happen.
                let _ = election.await;
                done.send_replace(true);
            }
        });
        Ok(Self { current, stopped })
    }

    /// Returns when the member has stopped, after its token was cancelled: what it had taken is durable, its lease is handed
    /// back, its threads have ended.
    pub async fn stopped(&self) {
        // The sender is dropped only after it has said so, or with its runtime.
        let _ = self.stopped.clone().wait_for(|stopped| *stopped).await;
    }

    /// The member's log as soon as it is open, for what would only wait with one that is over.
    async fn open(&self) -> Arc<Handle> {
        let deadline = Instant::now() + OPEN_WAIT_MAX;
        loop {
            let now = self.now();
            if !now.shared().queue.is_closed() || Instant::now() >= deadline {
                return now;
            }
            tokio::time::sleep(OPEN_LOOK_EVERY).await;
        }
    }

    fn now(&self) -> Arc<Handle> {
        self.current.load_full()
    }
}

/// What a member's log and state are opened with, each time.
struct Opening {
    ground: Ground,
    config: Config,
    runtime: Arc<dyn ModuleRuntime>,
    lease: lease::Handle,
    timing: lease::Timing,
}

/// A log and its state, open.
struct World {
    handle: Handle,
    threads: Threads,
    /// Ends what follows other regions.
    stop: CancellationToken,
}

impl Opening {
    async fn open(&self, stop: &CancellationToken) -> Result<World, StartError> {
        let (ground, config, runtime) = (self.ground.clone(), self.config.clone(), self.runtime.clone());
        let part = (self.lease.clone(), self.timing);
        let (shared, threads) = start::open_blocking(ground, config, runtime, Some(part)).await?;
        let stop = stop.child_token();
        start::spawn_tasks(&shared, &stop);
        // A handle's own end is the member's.
        let (_, stopped) = watch::channel(false);
        Ok(World { handle: Handle::new(shared, stopped), threads, stop })
    }

    /// Takes part until `stop`, opening the log anew whenever that is needed.
    async fn live(&self, mut world: World, current: &ArcSwap<Handle>, stop: &CancellationToken) {
        loop {
            let reopen = service::run(world.handle.shared(), stop).await;
            let World { threads, stop: over, .. } = world;
            over.cancel();
            let shared = current.load().shared().clone();
            shared.queue.close();
            if let Some(part) = &shared.members {
                part.turns.close();
            }
            // Nobody waits for its result but this.
            let _ = tokio::task::spawn_blocking(move || threads.join()).await;
            drop(shared);
            let Some(reopen) = reopen else { return };
            world = loop {
                match self.prepare(&reopen).await {
                    Ok(()) => {}
                    Err(error) => tracing::error!(error, "the log cannot be made ready to be opened anew"),
                }
                match self.open(stop).await {
                    Ok(world) => break world,
                    Err(error) => tracing::error!(%error, "the log does not open; it is tried again"),
                }
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = tokio::time::sleep(REOPEN_AFTER) => {}
                }
            };
            current.store(Arc::new(world.handle.clone()));
        }
    }

    async fn prepare(&self, reopen: &Reopen) -> Result<(), String> {
        let (storage, region) = (self.ground.storage.clone(), self.config.region);
        let work: Box<dyn FnOnce() -> Result<(), String> + Send> = match reopen {
            Reopen::Adopt(incarnation) => {
                let incarnation = *incarnation;
                Box::new(move || {
                    littoral_log::begin_as(&*storage, region, incarnation).map_err(|error| error.to_string())
                })
            }
            Reopen::Install(incarnation, head) => {
                let (incarnation, head) = (*incarnation, head.clone());
                Box::new(move || {
                    let detached = littoral_log::begin_after(&*storage, region, incarnation, &head)
                        .map_err(|error| error.to_string())?;
                    if let Some(detached) = detached {
                        tracing::warn!(tail = detached.name, "what only this member's log had is kept aside");
                    }
                    Ok(())
                })
            }
        };
        tokio::task::spawn_blocking(work).await.map_err(|error| error.to_string())?
    }
}

impl Door for Member {
    fn ask(&self, ask: Ask) -> BoxFuture<'_, Result<Told, NotTold>> {
        let doorkeeper = Doorkeeper(self.now().shared().clone());
        Box::pin(async move { doorkeeper.ask(ask).await })
    }
}

impl FeatureReader for Member {
    fn catalogue(&self) -> Arc<Catalogue> {
        self.now().catalogue()
    }

    fn regions(&self) -> Vec<Region> {
        self.current.load().regions()
    }

    fn read_local(&self, request: &ReadRequest, answer: &mut ReadAnswer) -> bool {
        self.current.load().read_local(request, answer)
    }

    fn read<'a>(&'a self, request: &'a ReadRequest) -> BoxFuture<'a, Result<ReadAnswer, ReadError>> {
        Box::pin(async move { self.now().read(request).await })
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
        self.now().status()
    }

    fn shortfalls(&self) -> Shortfalls {
        self.now().shortfalls()
    }

    fn page(&self, view: ViewId, after: Option<&[u8]>, limit: usize) -> Option<RowPage> {
        self.now().page(view, after, limit)
    }

    fn module_spread<'a>(&'a self, put: &'a ModulePut, wait_max: Duration) -> BoxFuture<'a, Spread> {
        Box::pin(async move { self.now().module_spread(put, wait_max).await })
    }

    fn conflicts(&self) -> Option<Vec<Conflict>> {
        self.now().conflicts()
    }

    fn tails(&self) -> Option<Arc<dyn Tails>> {
        self.now().tails()
    }
}

impl FeedSource for Member {
    fn region(&self) -> Region {
        self.now().region()
    }

    fn epoch(&self) -> Epoch {
        self.now().epoch()
    }

    fn head(&self) -> watch::Receiver<Position> {
        self.now().head()
    }

    fn chain_at(&self, lsn: Lsn) -> Option<ChainHash> {
        self.now().chain_at(lsn)
    }

    fn records(&self, from: Lsn, bytes_max: usize) -> BoxFuture<'_, Result<RecordBlock, FeedReadError>> {
        Box::pin(async move { self.now().records(from, bytes_max).await })
    }

    fn snapshot(&self) -> Result<SnapshotSource, FeedReadError> {
        self.now().snapshot()
    }

    fn checkpoints(&self) -> watch::Receiver<Checkpoints> {
        self.now().checkpoints()
    }

    fn checkpoint(&self) -> BoxFuture<'_, Result<Lsn, ReadError>> {
        Box::pin(async move { self.now().checkpoint().await })
    }

    fn bucket(&self, view: ViewId, bucket: u8, after: Option<Bytes>) -> BoxFuture<'_, Result<BucketRows, ReadError>> {
        Box::pin(async move { self.now().bucket(view, bucket, after).await })
    }

    fn held(&self, reads: &[ViewRead]) -> Result<ReadAnswer, ReadError> {
        self.now().held(reads)
    }

    fn resume_point(&self, theirs: &Watermark, lives: &RegionLives) -> Option<Lsn> {
        self.now().resume_point(theirs, lives)
    }

    fn lives(&self) -> RegionLives {
        self.now().lives()
    }

    fn configured(&self) -> Vec<Region> {
        self.now().configured()
    }

    fn belongs(&self) -> Option<Belonging> {
        self.now().belongs()
    }

    fn generation(&self) -> u64 {
        self.now().generation()
    }

    fn shown_ahead(&self) {
        self.now().shown_ahead();
    }

    fn lost_to(&self, region: Region) -> BoxFuture<'_, Result<(), WriteError>> {
        let now = self.now();
        Box::pin(async move { now.lost_to(region).await })
    }

    fn merge(&self, piece: TailPiece) -> BoxFuture<'_, Result<WriteReceipt, WriteError>> {
        Box::pin(async move { self.open().await.merge(piece).await })
    }

    fn watermark(&self) -> Watermark {
        self.now().watermark()
    }

    fn serves_through(&self, subscriber: u64, through: Option<Lsn>) {
        self.now().serves_through(subscriber, through);
    }

    fn taken_by(&self, region: Region, position: Position) {
        self.now().taken_by(region, position);
    }

    fn acknowledged(&self) -> Position {
        self.now().acknowledged()
    }

    fn standing(&self) -> Standing {
        self.now().standing()
    }

    fn component(&self, digest: ModuleDigest) -> BoxFuture<'_, Option<Bytes>> {
        Box::pin(async move { self.now().component(digest).await })
    }
}

/// What of a start is a member's.
pub(crate) type PartOf = (lease::Handle, lease::Timing);

impl Part {
    /// The part of the member that `config` is of.
    pub(crate) fn of(
        config: &Config,
        (lease, timing): PartOf,
        log: Arc<dyn littoral_log::Log>,
        applied: Lsn,
        runtime: tokio::runtime::Handle,
    ) -> Self {
        Self::new((config.name.clone(), config.members.clone()), (lease, timing), log, applied, runtime)
    }
}
