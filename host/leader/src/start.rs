//! Opens a log with its threads, and closes it.

use crate::{
    affiliation::{self, AffiliationState},
    anti_entropy::AntiEntropyState,
    applied::{AppliedState, RegionalState},
    commit_waiters::CommitWaiters,
    config::{Config, InvalidConfig},
    cross_region::{self, CrossRegion},
    handle::Handle,
    maintain::Snapshots,
    modules::Modules,
    observe,
    queue::Queue,
    replication::{Alone, Replication, Role, Writers},
    restore_workers::AllCores,
    rollback::NewLives,
    rollout::Edges,
    shared::{Clock, Shared},
    threads::Threads,
    write_path::WritePath,
};
use littoral_leader_core::{Head, Ledger, Owner, Published, Receipts, Sequencer, affiliation::AffiliationCheck};
use littoral_log::{
    Identity, Log, OpenError,
    embedded::{Embedded, Options},
    storage::{Disk, Storage},
};
use littoral_model::{
    hlc::HlcClock,
    ports::ModuleRuntime,
    position::{Epoch, Lsn},
    record::ChainHash,
};
use littoral_recovery::{Progress, RecoverError, Recovered, RestoreWorkers, recover};
use littoral_tls::Tls;
use std::{
    io,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{sync::watch, task::spawn_blocking};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

/// How often a start that takes long logs its progress.
const REPORT_INTERVAL: Duration = Duration::from_secs(1);

/// Memory for the rows of conflicts, in bytes.
const CONFLICTS_BYTES_MAX: usize = 64 << 20;

/// Why a leader cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration is invalid.
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
    /// The system refuses to start a thread.
    #[error("a thread cannot be started: {0}")]
    Thread(io::Error),
}

/// The storage and the clock of a leader. [`start`] uses the real ones; tests supply their own.
#[derive(Clone)]
pub struct Environment {
    /// Stores the log and its snapshots.
    pub storage: Arc<dyn Storage>,
    /// Stores the components of modules.
    pub modules: Arc<dyn Storage>,
    /// Milliseconds since 1970.
    pub clock: Clock,
    /// A random number.
    pub entropy: u64,
    /// The progress of the start.
    pub progress: Arc<Progress>,
    /// The TLS of connections to other leaders. Without it they are plain.
    pub tls: Option<Tls>,
}

impl Environment {
    /// Returns the configured directory and the host's clock.
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
            tls: None,
        })
    }
}

/// Starts a leader that keeps its log alone: recovers the log and the state, then accepts writes until `stop` is
/// cancelled. Call it within a tokio runtime. It returns once the state is restored, which takes as long as reading the
/// newest snapshot and the log.
///
/// # Errors
/// [`StartError`].
pub async fn start(
    config: Config,
    runtime: Arc<dyn ModuleRuntime>,
    stop: CancellationToken,
) -> Result<Handle, StartError> {
    config.check()?;
    start_on(Environment::of(&config)?, config, runtime, stop).await
}

/// Starts a leader that keeps its log alone, on the given storage and clock.
///
/// # Errors
/// [`StartError`].
pub async fn start_on(
    environment: Environment,
    config: Config,
    runtime: Arc<dyn ModuleRuntime>,
    stop: CancellationToken,
) -> Result<Handle, StartError> {
    config.check()?;
    let alone = |fresh: FreshLog| Arc::new(Alone::new(fresh.log.bounds().epoch));
    let (done, stopped) = watch::channel(false);
    let opened = open(environment, config, runtime, Writers::ThisNode, alone).await?;
    opened.spawn_tasks(&stop);
    let handle = Handle::new(opened.shared.clone(), stopped);
    tokio::spawn(async move {
        stop.cancelled().await;
        opened.close().await;
        done.send_replace(true);
    });
    Ok(handle)
}

/// A log that was just opened, for the replication that will keep it.
#[derive(Debug)]
pub struct FreshLog {
    /// The log.
    pub log: Arc<dyn Log>,
    /// The last record that is applied; it is committed.
    pub applied: Lsn,
    /// Where the replication reports what is committed.
    pub commits: Arc<CommitWaiters>,
}

/// An open log with its state and threads.
pub struct Opened<R> {
    /// Makes the log the log of the region.
    pub replication: Arc<R>,
    pub(crate) shared: Arc<Shared>,
    threads: Threads,
}

impl<R> std::fmt::Debug for Opened<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Opened").field("name", &self.shared.config.name).finish_non_exhaustive()
    }
}

impl<R> Opened<R> {
    /// Returns a handle to the node. Its [`Handle::stopped`] returns at once: [`Opened::close`] waits for the end.
    #[must_use]
    pub fn handle(&self) -> Handle {
        Handle::new(self.shared.clone(), watch::channel(false).1)
    }

    /// Starts the tasks that set gauges and, while this node leads, follow other regions; prepares the catalogue's
    /// modules.
    pub fn spawn_tasks(&self, stop: &CancellationToken) {
        let shared = &self.shared;
        shared.modules.make_ready(&shared.applied.load().catalogue);
        tokio::spawn(observe::run(shared.clone(), stop.clone()));
        for other in shared.config.regions.clone() {
            let (role, shared) = (shared.replication.role(), shared.clone());
            let follow = move |stop| cross_region::run(shared.clone(), other.clone(), stop);
            tokio::spawn(while_leading(role, stop.clone(), follow));
        }
    }

    /// Accepts no more writes, and returns once every accepted write is durable and answered and the threads have
    /// ended.
    pub async fn close(self) {
        self.shared.writes.queue.close();
        let Self { threads, shared, .. } = self;
        // A panic of a thread is logged where it happens.
        let _ = spawn_blocking(move || threads.join(&shared.commits)).await;
    }
}

/// Runs `run` whenever this node leads, for as long as it does.
async fn while_leading<F: Future<Output = ()>>(
    mut role: watch::Receiver<Role>,
    stop: CancellationToken,
    run: impl Fn(CancellationToken) -> F,
) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            leads = role.wait_for(|role| role.leading().is_some()) => if leads.is_err() { return },
        }
        let token = stop.child_token();
        let ended = async {
            // The replication outlives this task's node.
            let _ = role.wait_for(|role| role.leading().is_none()).await;
        };
        tokio::select! {
            () = run(token.clone()) => return,
            () = ended => token.cancel(),
        }
    }
}

/// Opens a log: recovers its state and starts its threads. `start` creates the replication.
///
/// # Errors
/// [`StartError`].
pub async fn open<R: Replication>(
    environment: Environment,
    config: Config,
    runtime: Arc<dyn ModuleRuntime>,
    writers: Writers,
    start: impl FnOnce(FreshLog) -> Arc<R> + Send + 'static,
) -> Result<Opened<R>, StartError> {
    let modules = Modules::new(environment.modules.clone(), runtime, tokio::runtime::Handle::current());
    let reporting = AbortOnDropHandle::new(tokio::spawn(report(environment.progress.clone())));
    // Reading the log would block the runtime's workers.
    let opened = spawn_blocking(move || open_blocking(environment, config, modules, writers, start)).await;
    drop(reporting);
    opened.map_err(|error| StartError::Thread(io::Error::other(error)))?
}

/// Logs the progress of a long start.
async fn report(progress: Arc<Progress>) {
    loop {
        tokio::time::sleep(REPORT_INTERVAL).await;
        tracing::info!(%progress, "starting");
    }
}

fn open_blocking<R: Replication>(
    environment: Environment,
    config: Config,
    modules: Modules,
    writers: Writers,
    start: impl FnOnce(FreshLog) -> Arc<R>,
) -> Result<Opened<R>, StartError> {
    let log = open_log(&environment, &config)?;
    let recovered = recover_state(&environment, &config, &*log, writers)?;
    let (bounds, identity) = (log.bounds(), log.identity());
    let exclusive = writers == Writers::ThisNode;
    let hlc = if exclusive { recovered.hlc.max(bounds.hlc) } else { recovered.hlc };
    let chain = match recovered.applied {
        lsn if lsn == bounds.tail => bounds.chain,
        Lsn::NONE => ChainHash::GENESIS,
        lsn => log.chain_at(lsn).map_err(RecoverError::from)?.ok_or(RecoverError::NoChain { lsn })?,
    };
    let is_blank = affiliation::is_blank(&recovered.known, &recovered.table);
    let owner = Owner { region: identity.region, epoch: bounds.epoch };
    let clock = HlcClock::after(hlc.max(bounds.hlc));
    let limits = config.limits();
    let mut sequencer = Sequencer::new(owner, limits, clock, recovered.known.clone())
        .logging(config.protocol_version)
        .importing(config.imports(identity.incarnation))
        .over(recovered.table.clone())
        .unbegun(exclusive && !log.is_new());
    let new_lives = NewLives::new(environment.entropy);
    let mut head = Head { lsn: recovered.applied, chain, hlc };
    let mut known = recovered.known;
    if sequencer.is_unbegun() {
        let now_ms = (environment.clock)();
        let life = new_lives.generate(&*log, now_ms);
        match sequencer.begin_now(&log.bounds(), life, now_ms, |batch| log.append(batch).map(drop)) {
            Ok(_) => {
                let bounds = log.bounds();
                head = Head { lsn: bounds.tail, chain: bounds.chain, hlc: bounds.hlc };
                known = sequencer.known().clone();
            }
            // The maintenance thread retries it. Until then reads are answered, and writes are rejected with this
            // error.
            Err(error) => tracing::error!(%error, "the log does not accept writes yet"),
        }
    }
    let affiliation = affiliation(&config, identity, is_blank);
    let published = Published::at(identity, head, known);
    let commits = Arc::new(CommitWaiters::new(head.lsn, config.queue_requests_max));
    let applied = recovered.applied;
    let replication = start(FreshLog { log: log.clone(), applied, commits: commits.clone() });
    let queue = Queue::new(config.queue_requests_max, config.queue_bytes_max);
    let regional = RegionalState { ledger: recovered.ledger, rehoming: recovered.rehoming };
    let shared = Arc::new(Shared {
        clock: environment.clock,
        identity,
        log,
        writers,
        replication: replication.clone(),
        writes: WritePath::new(queue, sequencer, recovered.receipts),
        commits,
        applied: AppliedState::new(recovered.table, published, regional),
        snapshots: Snapshots::new(environment.storage, recovered.snapshot_lsn),
        new_lives,
        modules,
        tls: environment.tls,
        anti_entropy: AntiEntropyState::default(),
        edges: Edges::default(),
        affiliation,
        cross_region: CrossRegion::new(&config),
        limits,
        config,
    });
    // Bytes that this start replayed count towards the next snapshot. The size of the log approximates them.
    let replayed_bytes = if recovered.replayed > 0 { shared.log.bytes() } else { 0 };
    let threads = Threads::start(&shared, replayed_bytes).map_err(StartError::Thread)?;
    Ok(Opened { replication, shared, threads })
}

fn open_log(environment: &Environment, config: &Config) -> Result<Arc<dyn Log>, StartError> {
    let options = Options {
        region: config.region,
        first_epoch: Epoch::FIRST,
        segment_bytes: config.segment_bytes,
        cache_bytes: config.tail_cache_bytes,
        entropy: environment.entropy,
    };
    let log: Arc<dyn Log> = Arc::new(
        Embedded::open(environment.storage.clone(), options)
            .map_err(|source| StartError::Log { path: config.data_dir.clone(), source })?,
    );
    if log.bounds().tail == Lsn::NONE {
        // Prepare a file now, because otherwise the first writes of a new log would be its slowest. Later files are
        // prepared in the background.
        log.prepare();
    }
    Ok(log)
}

fn recover_state(
    environment: &Environment,
    config: &Config,
    log: &dyn Log,
    writers: Writers,
) -> Result<Recovered, StartError> {
    let begun = Instant::now();
    let age_ms = config.idempotency_retention_s.saturating_mul(1_000);
    let layout = littoral_replica::Config { shards: config.shards, ..littoral_replica::Config::default() };
    let through = match writers {
        Writers::ThisNode => log.bounds().tail,
        // A record that is not known to be committed may still be discarded.
        Writers::OneAtATime => log.committed(),
    };
    let empty = || {
        let receipts = Receipts::new(config.idempotency_keys_max, age_ms);
        (receipts, Ledger::new(config.conflicts_max, CONFLICTS_BYTES_MAX))
    };
    let how = (&AllCores as &dyn RestoreWorkers, &*environment.progress);
    let recovered = recover(&*environment.storage, log, layout, through, empty, how)?;
    let identity = log.identity();
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
    if log.is_new() {
        let path = std::fs::canonicalize(&config.data_dir).unwrap_or_else(|_| config.data_dir.clone());
        tracing::warn!(path = %path.display(), log = %identity.incarnation, region = %identity.region, "there is no log in this directory; starting a new, empty one");
    }
    Ok(recovered)
}

fn affiliation(config: &Config, identity: Identity, is_blank: bool) -> AffiliationState {
    let whose = (identity.region, config.catalogue_home);
    let check = AffiliationCheck::opened(identity.incarnation, whose, config.regions.iter().map(|other| other.name));
    AffiliationState::new(check.blank(is_blank, config.init))
}
