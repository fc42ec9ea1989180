//! The state shared by an edge's tasks and its readers.

use crate::{
    anti_entropy::AntiEntropyState, config::Config, fills::FillQueue, leader_link::LeaderLink, progress::Progress,
    replica::Replica,
};
use arc_swap::{ArcSwap, ArcSwapOption};
use littoral_edge_core::relay::Relay;
use littoral_model::{
    adoption::OfferedLog,
    catalogue::Catalogue,
    digest::Checkpoints,
    freshness::Degraded,
    hlc::Hlc,
    ports::ModuleRuntime,
    position::{Incarnation, Position},
    project::Receiver,
    region::Region,
};
use parking_lot::Mutex;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};
use tokio::sync::{Notify, watch};

pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) runtime: Arc<dyn ModuleRuntime>,
    /// `None` until the first snapshot, local or from the leader, is complete.
    pub(crate) replica: ArcSwapOption<Replica>,
    /// Whether there is a replica.
    pub(crate) has_data: watch::Sender<bool>,
    /// The catalogue that doors see: the replica's, with modules' new releases held back until they can be called.
    pub(crate) served: ArcSwap<Catalogue>,
    pub(crate) link: LeaderLink,
    pub(crate) relay: Relay,
    /// The position up to which this relay's subscribers may read.
    pub(crate) relay_head: watch::Sender<Position>,
    pub(crate) anti_entropy: AntiEntropyState,
    /// The leader's digests, for this relay's subscribers.
    pub(crate) checkpoints: watch::Sender<Checkpoints>,
    pub(crate) fills: FillQueue,
    /// Waiters for applied LSNs.
    pub(crate) applied: Progress,
    /// Waiters for times, in nanoseconds of [`Shared::now`], up to which everything is applied.
    pub(crate) fresh: Progress,
    /// The log that the leader's address serves, if it is rejected because rows of another log are
    /// held.
    pub(crate) offered: ArcSwapOption<OfferedLog>,
    /// The regions in the leader's configuration, as it stated last; empty if unknown.
    pub(crate) configured: ArcSwap<Vec<Region>>,
    /// The log that an operator wants this edge to adopt, until the follower handles the request.
    pub(crate) adopting: Mutex<Option<Incarnation>>,
    /// Notified when an operator requests an adoption, so that the follower reconnects at once.
    pub(crate) adopted: Notify,
    /// Held by the task that writes the local snapshot or a detached tail.
    pub(crate) saving: tokio::sync::Mutex<()>,
    /// Held while a detached tail is removed or encrypted again, so that a removed one does not return. No async code
    /// takes it.
    pub(crate) tail_files: Mutex<()>,
    /// Notified when the catalogue's modules may have changed.
    pub(crate) modules_changed: Notify,
    /// The origin of times. Only differences from it are used.
    started: Instant,
    /// The time up to which everything is applied, in nanoseconds of [`Shared::now`]; zero if unknown.
    fresh_at: AtomicU64,
    /// When the leader was last heard, in nanoseconds of [`Shared::now`]; zero for never.
    heard_at: AtomicU64,
    heartbeat_ms: AtomicU64,
    /// Whether the followed publisher is a relay that has lost its connection to the leader.
    beyond_lost: AtomicBool,
    /// The leader's latest clock reading; zero for none.
    leader_clock: AtomicU64,
    /// The leader's newest known record.
    head: ArcSwap<Position>,
}

impl Shared {
    pub(crate) fn new(config: Config, runtime: Arc<dyn ModuleRuntime>) -> Self {
        Self {
            fills: FillQueue::new(config.fills_waiting_max, config.fill_calls_max),
            link: LeaderLink::default(),
            relay: Relay::new(config.relay_bytes_max),
            relay_head: watch::Sender::new(Position::default()),
            anti_entropy: AntiEntropyState::default(),
            checkpoints: watch::Sender::default(),
            config,
            runtime,
            replica: ArcSwapOption::empty(),
            has_data: watch::Sender::new(false),
            served: ArcSwap::default(),
            applied: Progress::default(),
            fresh: Progress::default(),
            offered: ArcSwapOption::empty(),
            configured: ArcSwap::default(),
            adopting: Mutex::default(),
            adopted: Notify::new(),
            saving: tokio::sync::Mutex::default(),
            tail_files: Mutex::default(),
            modules_changed: Notify::new(),
            started: Instant::now(),
            fresh_at: AtomicU64::new(0),
            heard_at: AtomicU64::new(0),
            heartbeat_ms: AtomicU64::new(100),
            beyond_lost: AtomicBool::new(false),
            leader_clock: AtomicU64::new(0),
            head: ArcSwap::default(),
        }
    }

    /// Returns the monotonic time since the start, never zero.
    pub(crate) fn now(&self) -> Duration {
        self.started.elapsed() + Duration::from_nanos(1)
    }

    /// Returns an upper bound of how far the replica is behind the leader.
    pub(crate) fn staleness(&self) -> Option<Duration> {
        match self.fresh_at.load(Relaxed) {
            0 => None,
            at => Some(self.now().saturating_sub(Duration::from_nanos(at))),
        }
    }

    /// Publishes the time up to which everything is applied; `None` if nothing is known about the
    /// log that is followed now.
    pub(crate) fn set_fresh_at(&self, at: Option<Duration>) {
        let nanos = at.map_or(0, |at| at.as_nanos() as u64);
        if self.fresh_at.swap(nanos, Relaxed) != nanos {
            self.fresh.advance(nanos);
        }
    }

    /// Returns whether everything that the leader had at this time, by [`Shared::now`], is
    /// applied.
    pub(crate) fn is_fresh_since(&self, at: Duration) -> bool {
        self.fresh_at.load(Relaxed) >= at.as_nanos() as u64
    }

    /// Notes a sign of life from the leader.
    pub(crate) fn heard(&self) {
        self.heard_at.store(self.now().as_nanos() as u64, Relaxed);
    }

    /// Notes that the leader's log extends at least to this position.
    pub(crate) fn heard_head(&self, head: Position) {
        let known = self.head.load();
        if known.incarnation != head.incarnation || known.lsn < head.lsn {
            self.head.store(Arc::new(head));
        }
    }

    pub(crate) fn heard_clock(&self, clock: Hlc) {
        self.leader_clock.fetch_max(clock.0, Relaxed);
    }

    pub(crate) fn leader_clock(&self) -> Hlc {
        Hlc(self.leader_clock.load(Relaxed))
    }

    pub(crate) fn set_heartbeat_ms(&self, ms: u32) {
        self.heartbeat_ms.store(u64::from(ms.max(1)), Relaxed);
    }

    /// Notes whether the followed relay reports that it has lost the leader.
    pub(crate) fn heard_beyond_lost(&self, lost: bool) {
        self.beyond_lost.store(lost, Relaxed);
    }

    /// Returns where the rows are held, for the residency rules of projects.
    pub(crate) fn held_in(&self) -> Receiver {
        self.config.held_in(self.replica.load().as_ref().map(|replica| replica.point.load().region))
    }

    /// Returns whether the leader has missed too many heartbeats, here or at the followed relay.
    pub(crate) fn leader_lost(&self) -> bool {
        if self.beyond_lost.load(Relaxed) {
            return true;
        }
        let heard_at = self.heard_at.load(Relaxed);
        let heartbeats = u64::from(self.config.heartbeats_missed_max.max(1));
        let allowed = Duration::from_millis(self.heartbeat_ms.load(Relaxed).saturating_mul(heartbeats));
        heard_at == 0 || self.now().saturating_sub(Duration::from_nanos(heard_at)) > allowed
    }

    /// Returns why answers are degraded, if the leader is not followed.
    pub(crate) fn apart(&self) -> Option<Degraded> {
        if self.offered.load().is_some() {
            return Some(Degraded::OtherLog);
        }
        self.leader_lost().then_some(Degraded::LeaderLost)
    }

    /// Returns the leader's newest known record.
    pub(crate) fn head(&self) -> Position {
        **self.head.load()
    }

    /// Serves another replica, from the local snapshot or a snapshot of the leader.
    pub(crate) fn swap_replica(&self, replica: Arc<Replica>) {
        let point = replica.point.load_full();
        let catalogue = point.catalogue.clone();
        self.anti_entropy.restart(replica.exact_from());
        // A read plans with the catalogue, reads the replica, and then checks that the catalogue
        // is still the same. View IDs differ between two logs, and between two copies of a log
        // that continued separately. So between the rows of the two there must be a moment without
        // any, and the catalogue is published before the rows.
        let other_log = |old: &Replica| {
            let one_log = point.lineages.is_one_log(old.position(), point.resume.position);
            !one_log && !Arc::ptr_eq(&old.table, &replica.table)
        };
        if self.replica.load().as_deref().is_some_and(other_log) {
            self.replica.store(None);
            self.has_data.send_replace(false);
        }
        self.serve_catalogue(&catalogue);
        self.replica.store(Some(replica));
        self.has_data.send_replace(true);
        self.checkpoints.send_modify(Checkpoints::clear);
        self.relay.restart(point.resume);
        self.relay_head.send_replace(point.resume.position);
        self.applied.wake_all();
        self.fresh.wake_all();
    }
}
