//! Starting a leader, and its end.

use crate::{
    apply,
    belonging::{self, Standing},
    commit,
    config::{Config, InvalidConfig},
    exchange::{self, Exchange},
    handle::Handle,
    hands::EveryCore,
    maintain,
    members::{self, Part},
    modules::Modules,
    observe,
    proof::{self, Proof},
    queue::Queue,
    shared::{Clock, Shared, draw_life},
    spread::Edges,
};
use arc_swap::ArcSwap;
use littoral_leader_core::{Committer, Ledger, Published, Receipts, belonging::Belongs};
use littoral_log::{
    Log, OpenError,
    embedded::{Embedded, Options},
    storage::{Disk, Storage},
};
use littoral_model::{
    hlc::HlcClock,
    ports::ModuleRuntime,
    position::{Epoch, Lsn},
    record::ChainHash,
};
use littoral_recovery::{Hands, Progress, RecoverError, recover};
use parking_lot::Mutex;
use std::{
    io,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
        mpsc::sync_channel,
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};
use tokio::sync::watch;
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

/// Batches that may wait to be applied while the next is made durable.
const BATCHES_IN_FLIGHT: usize = 4;

/// How often a start that takes long says how far it is.
const TELL_EVERY: Duration = Duration::from_secs(1);

/// Memory for the rows of conflicts, in bytes.
const CONFLICTS_BYTES_MAX: usize = 64 << 20;

/// Starts leaders.
#[derive(Clone, Copy, Debug)]
pub struct Leader;

/// Why a leader cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration cannot work.
    #[error(transparent)]
    Config(#[from] InvalidConfig),
    /// The data directory cannot be used.
    #[error("data_dir {path}: {source}; make it writable or configure another")]
    DataDir {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The log cannot be opened.
    #[error("data_dir {path}: {source}")]
    Log {
        /// The data directory.
        path: PathBuf,
        /// Why.
        source: OpenError,
    },
    /// The state cannot be restored from the log.
    #[error(transparent)]
    Recover(#[from] RecoverError),
    /// The system gives no thread.
    #[error("a thread cannot be started: {0}")]
    Thread(io::Error),
}

/// What a leader runs on. [`Leader::start`] takes the real ones; simulations bring their own.
#[derive(Clone)]
pub struct Ground {
    /// Log and snapshots.
    pub storage: Arc<dyn Storage>,
    /// Components of modules.
    pub modules: Arc<dyn Storage>,
    /// Milliseconds since 1970.
    pub clock: Clock,
    /// A random number.
    pub entropy: u64,
    /// How far the start has come.
    pub progress: Arc<Progress>,
}

impl Ground {
    /// The real one: the configured directory, the host's clock.
    ///
    /// # Errors
    /// [`StartError::DataDir`].
    pub fn of(config: &Config) -> Result<Self, StartError> {
        let path = config.data_dir.clone();
        let at = |path: PathBuf| Disk::at(&path).map_err(|source| StartError::DataDir { path, source });
        Ok(Self {
            storage: Arc::new(at(path.clone())?),
            modules: Arc::new(at(path.join("modules"))?),
            clock: Arc::new(littoral_runtime::clock::wall_ms),
            entropy: fastrand::u64(..),
            progress: Arc::default(),
        })
    }
}

impl Leader {
    /// Starts a leader on its data directory: recovers the log and the state, then takes writes until `stop` is
    /// cancelled. Call it within a tokio runtime; it does not return before the state is whole, which takes as long as
    /// reading the log and the newest snapshot.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn start(
        config: Config,
        runtime: Arc<dyn ModuleRuntime>,
        stop: CancellationToken,
    ) -> Result<Handle, StartError> {
        config.check()?;
        Self::start_on(Ground::of(&config)?, config, runtime, stop).await
    }

    /// Starts a leader on the storage and clock that are given.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn start_on(
        ground: Ground,
        config: Config,
        runtime: Arc<dyn ModuleRuntime>,
        stop: CancellationToken,
    ) -> Result<Handle, StartError> {
        config.check()?;
        let (shared, threads) = open_blocking(ground, config, runtime, None).await?;
        spawn_tasks(&shared, &stop);
        let (done, stopped) = watch::channel(false);
        tokio::spawn({
            let shared = shared.clone();
            async move {
                stop.cancelled().await;
                shared.queue.close();
                // Nobody waits for its result but those who wait for `done`.
                let _ = tokio::task::spawn_blocking(move || threads.join()).await;
                done.send_replace(true);
            }
        });
        Ok(Handle::new(shared, stopped))
    }
}

/// Recovers, and starts the threads. Reading the log would hold up the runtime's workers.
pub(crate) async fn open_blocking(
    ground: Ground,
    config: Config,
    runtime: Arc<dyn ModuleRuntime>,
    part: Option<members::PartOf>,
) -> Result<(Arc<Shared>, Threads), StartError> {
    let tasks = tokio::runtime::Handle::current();
    let telling = AbortOnDropHandle::new(tokio::spawn(tell(ground.progress.clone())));
    let opened =
        tokio::task::spawn_blocking(move || open(ground, config, runtime, part.map(|part| (part, tasks)))).await;
    drop(telling);
    opened.map_err(|error| StartError::Thread(io::Error::other(error)))?
}

/// Logs how far a long start has come.
async fn tell(progress: Arc<Progress>) {
    loop {
        tokio::time::sleep(TELL_EVERY).await;
        tracing::info!(%progress, "starting");
    }
}

/// Starts what follows other regions, which only who leads does, and has modules made ready.
pub(crate) fn spawn_tasks(shared: &Arc<Shared>, stop: &CancellationToken) {
    prepare_modules(shared);
    tokio::spawn(observe::run(shared.clone(), stop.clone()));
    for other in shared.config.regions.clone() {
        let (part, shared) = (shared.members.clone(), shared.clone());
        let follow = move |stop| exchange::run(shared.clone(), other.clone(), stop);
        tokio::spawn(members::while_leading(part, stop.clone(), follow));
    }
}

/// Recovers, and starts the threads.
fn open(
    ground: Ground,
    config: Config,
    runtime: Arc<dyn ModuleRuntime>,
    part: Option<(members::PartOf, tokio::runtime::Handle)>,
) -> Result<(Arc<Shared>, Threads), StartError> {
    let begun = Instant::now();
    let options = Options {
        region: config.region,
        first_epoch: Epoch::FIRST,
        segment_bytes: config.segment_bytes,
        cache_bytes: config.tail_cache_bytes,
        entropy: ground.entropy,
    };
    let log: Arc<dyn Log> = Arc::new(
        Embedded::open(ground.storage.clone(), options)
            .map_err(|source| StartError::Log { path: config.data_dir.clone(), source })?,
    );
    let alone = part.is_none();
    if log.bounds().tail == Lsn::NONE {
        // A new log's first writes should not be its slowest. Later files are made ready beside the writing.
        log.prepare();
    }
    let age_ms = config.idempotency_retention_s.saturating_mul(1_000);
    let keys_max = config.idempotency_keys_max;
    let layout = littoral_replica::Config { shards: config.shards, ..littoral_replica::Config::default() };
    // A member may yet have to give up what it does not know to be committed.
    let through = if alone { log.bounds().tail } else { log.committed() };
    let empty = || (Receipts::new(keys_max, age_ms), Ledger::new(config.conflicts_max, CONFLICTS_BYTES_MAX));
    let how = (&EveryCore as &dyn Hands, &*ground.progress);
    let recovered = recover(&*ground.storage, &*log, layout, through, empty, how)?;
    let (bounds, identity) = (log.bounds(), log.identity());
    tracing::info!(
        region = %identity.region,
        incarnation = %identity.incarnation,
        head = recovered.applied.0,
        rows = recovered.table.len(),
        replayed = recovered.replayed,
        ms = begun.elapsed().as_millis() as u64,
        "log and state recovered"
    );
    for error in &recovered.damaged {
        tracing::warn!(%error, "a snapshot is damaged; the one before it was used");
    }
    let hlc = if alone { recovered.hlc.max(bounds.hlc) } else { recovered.hlc };
    let chain = match recovered.applied {
        lsn if lsn == bounds.tail => bounds.chain,
        Lsn::NONE => ChainHash::GENESIS,
        lsn => log.chain_at(lsn).map_err(RecoverError::from)?.ok_or(RecoverError::NoChain { lsn })?,
    };
    let known = &recovered.known;
    let is_blank = belonging::is_blank(known, &recovered.table);
    let whose = (identity.region, config.catalogue_home);
    let belongs = Belongs::opened(identity.incarnation, whose, config.regions.iter().map(|other| other.name));
    if log.is_new() {
        let path = std::fs::canonicalize(&config.data_dir).unwrap_or_else(|_| config.data_dir.clone());
        tracing::warn!(path = %path.display(), log = %identity.incarnation, region = %identity.region, "there is no log in this directory: a new one begins, which holds nothing");
    }
    let receipts = Arc::new(Mutex::new(recovered.receipts));
    let owner = (identity.region, bounds.epoch);
    let clock = HlcClock::after(hlc.max(bounds.hlc));
    let mut committer = Committer::new(owner, config.limits(), clock, recovered.known.clone())
        .importing(config.imports(identity.incarnation))
        .over(recovered.table.clone())
        .unbegun(alone && !log.is_new());
    let mut as_of = ((recovered.applied, chain, hlc), recovered.known);
    if committer.is_unbegun() {
        let now_ms = (ground.clock)();
        let life = draw_life(&*log, ground.entropy, now_ms);
        match committer.begin_now(&log.bounds(), life, now_ms, |batch| log.append(batch).map(drop)) {
            Ok(_) => {
                let bounds = log.bounds();
                as_of = ((bounds.tail, bounds.chain, bounds.hlc), committer.known().clone());
            }
            // It is tried again: until then reads are answered, and writes refused for the same reason.
            Err(error) => tracing::error!(%error, "the log takes no writes yet"),
        }
    }
    let standing = Standing::new(belongs.blank(is_blank, config.init));
    let published = Published::at(identity, as_of.0, as_of.1);
    let position = published.position;
    let part = part.map(|(part, tasks)| Arc::new(Part::of(&config, part, log.clone(), recovered.applied, tasks)));
    let shared = Arc::new(Shared {
        identity,
        core: Mutex::new(committer),
        members: part,
        log,
        storage: ground.storage,
        modules: Modules::new(ground.modules),
        runtime,
        table: recovered.table,
        published: ArcSwap::from_pointee(published),
        head: watch::Sender::new(position),
        queue: Queue::new(config.queue_requests_max, config.queue_bytes_max),
        receipts,
        ledger: Arc::new(Mutex::new(recovered.ledger)),
        marks: Arc::new(Mutex::new(recovered.marks)),
        clock: ground.clock,
        trouble: Mutex::default(),
        files_gone: Mutex::default(),
        appended_bytes: AtomicU64::new(0),
        commits: AtomicU64::new(0),
        snapshot_lsn: AtomicU64::new(recovered.snapshot_lsn.0),
        proof: Proof::default(),
        edges: Edges::default(),
        entropy: ground.entropy,
        begun_anew_at: Mutex::default(),
        standing,
        exchange: Exchange::new(&config),
        config,
    });
    // What a snapshot would spare the next start, roughly.
    let replayed_bytes = if recovered.replayed > 0 { shared.log.bytes() } else { 0 };
    let threads = Threads::start(&shared, replayed_bytes).map_err(StartError::Thread)?;
    Ok((shared, threads))
}

/// The threads of an open log.
pub(crate) struct Threads {
    commit: JoinHandle<()>,
    disk: JoinHandle<()>,
    apply: JoinHandle<()>,
    maintain: JoinHandle<()>,
    scrub: JoinHandle<()>,
    stop: Arc<AtomicBool>,
}

impl Threads {
    fn start(shared: &Arc<Shared>, replayed_bytes: u64) -> io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let (batches, to_apply) = sync_channel(BATCHES_IN_FLIGHT);
        let maintain = {
            let (shared, stop) = (shared.clone(), stop.clone());
            named("leader-upkeep").spawn(move || maintain::run(&shared, &stop, replayed_bytes))?
        };
        let scrub = {
            let (shared, stop) = (shared.clone(), stop.clone());
            named("leader-scrub").spawn(move || proof::run(&shared, &stop))?
        };
        let apply = {
            let shared = shared.clone();
            named("leader-apply").spawn(move || match shared.members {
                Some(_) => members::apply(&shared),
                None => apply::run(&shared, &to_apply),
            })?
        };
        let (committer, disk) = commit::Committer::new(shared, batches, maintain.thread().clone());
        let disk = named("leader-disk").spawn(move || disk.run())?;
        let commit = named("leader-commit").spawn(move || committer.run())?;
        Ok(Self { commit, disk, apply, maintain, scrub, stop })
    }

    /// Waits until everything that was taken is durable, applied and acknowledged.
    pub(crate) fn join(self) {
        for (name, thread) in [("commit", self.commit), ("disk", self.disk), ("apply", self.apply)] {
            if thread.join().is_err() {
                tracing::error!(name, "a thread of the leader had panicked");
            }
        }
        self.stop.store(true, Relaxed);
        for (name, thread) in [("upkeep", self.maintain), ("scrub", self.scrub)] {
            thread.thread().unpark();
            if thread.join().is_err() {
                tracing::error!(name, "a thread of the leader had panicked");
            }
        }
    }
}

fn named(name: &str) -> thread::Builder {
    thread::Builder::new().name(name.to_owned())
}

/// Has the sandbox prepare what the catalogue names, in the background.
fn prepare_modules(shared: &Arc<Shared>) {
    let shared = shared.clone();
    tokio::spawn(async move {
        let catalogue = shared.published.load().catalogue.clone();
        for module in catalogue.modules() {
            let digest = module.digest;
            if let Err(error) = shared.modules.make_ready(&*shared.runtime, digest).await {
                tracing::error!(module = module.name, %digest, error, "a module cannot be called here; upload it again");
            }
        }
    });
}
