//! What the tasks of an edge and its readers share.

use crate::{
    config::Config, fills::Fills, leader_link::LeaderLink, progress::Progress, proof::Proof, replica::Replica,
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
    /// `None` until the first snapshot, local or the leader's, is complete.
    pub(crate) replica: ArcSwapOption<Replica>,
    /// Whether there is a replica.
    pub(crate) has_data: watch::Sender<bool>,
    /// The catalogue that doors see: the replica's, with modules' new releases held back until they can be called.
    pub(crate) served: ArcSwap<Catalogue>,
    pub(crate) link: LeaderLink,
    pub(crate) relay: Relay,
    /// Where those who follow this edge may get to.
    pub(crate) relay_head: watch::Sender<Position>,
    pub(crate) proof: Proof,
    /// The leader's digests, for those who follow this edge.
    pub(crate) checkpoints: watch::Sender<Checkpoints>,
    pub(crate) fills: Fills,
    /// Applied LSNs.
    pub(crate) applied: Progress,
    /// Nanoseconds of [`Shared::now`] up to which everything is in.
    pub(crate) fresh: Progress,
    /// The log that the leader's address serves, while that is not followed as rows of another are held.
    pub(crate) offered: ArcSwapOption<OfferedLog>,
    /// The regions that the leader's configuration names, as it has said last; none where that is not known.
    pub(crate) configured: ArcSwap<Vec<Region>>,
    /// The log that an operator has asked this edge to adopt, until the follower takes it.
    pub(crate) adopting: Mutex<Option<Incarnation>>,
    pub(crate) adopted: Notify,
    /// The lock of whichever task writes the local snapshot or a tail.
    pub(crate) saving: tokio::sync::Mutex<()>,
    /// The catalogue's modules may have changed.
    pub(crate) modules_changed: Notify,
    /// The origin of times here: nothing but differences of it is used.
    started: Instant,
    /// Nanoseconds; zero for never.
    fresh_at: AtomicU64,
    heard_at: AtomicU64,
    heartbeat_ms: AtomicU64,
    /// What is followed is a relay, and it has lost its way to the leader.
    beyond_lost: AtomicBool,
    /// The leader's clock, as last heard; zero for never.
    leader_clock: AtomicU64,
    head: ArcSwap<Position>,
}

impl Shared {
    pub(crate) fn new(config: Config, runtime: Arc<dyn ModuleRuntime>) -> Self {
        Self {
            fills: Fills::new(config.fills_waiting_max, config.fill_calls_max),
            link: LeaderLink::default(),
            relay: Relay::new(config.relay_bytes_max),
            relay_head: watch::Sender::new(Position::default()),
            proof: Proof::default(),
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

    /// Monotonic time since the start; never zero.
    pub(crate) fn now(&self) -> Duration {
        self.started.elapsed() + Duration::from_nanos(1)
    }

    /// How far behind the leader the replica is at most.
    pub(crate) fn staleness(&self) -> Option<Duration> {
        match self.fresh_at.load(Relaxed) {
            0 => None,
            at => Some(self.now().saturating_sub(Duration::from_nanos(at))),
        }
    }

    /// Publishes the time up to which everything is in; `None` when nothing is known of the log that is followed now.
    pub(crate) fn set_fresh_at(&self, at: Option<Duration>) {
        let nanos = at.map_or(0, |at| at.as_nanos() as u64);
        if self.fresh_at.swap(nanos, Relaxed) != nanos {
            self.fresh.advance(nanos);
        }
    }

    /// Whether everything is here that the leader had at this time, by [`Shared::now`].
    pub(crate) fn is_fresh_since(&self, at: Duration) -> bool {
        self.fresh_at.load(Relaxed) >= at.as_nanos() as u64
    }

    /// Something came from the leader: it lives.
    pub(crate) fn heard(&self) {
        self.heard_at.store(self.now().as_nanos() as u64, Relaxed);
    }

    /// The leader's log goes on at least to here.
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

    /// Whether the relay that is followed has said that the leader is lost to it.
    pub(crate) fn heard_beyond_lost(&self, lost: bool) {
        self.beyond_lost.store(lost, Relaxed);
    }

    /// Whether the leader was silent for too many heartbeats, here or at the relay that is followed.
    pub(crate) fn leader_lost(&self) -> bool {
        if self.beyond_lost.load(Relaxed) {
            return true;
        }
        let heard_at = self.heard_at.load(Relaxed);
        let heartbeats = u64::from(self.config.heartbeats_missed_max.max(1));
        let allowed = Duration::from_millis(self.heartbeat_ms.load(Relaxed).saturating_mul(heartbeats));
        heard_at == 0 || self.now().saturating_sub(Duration::from_nanos(heard_at)) > allowed
    }

    /// Why the answers are less than they should be, when the leader is not followed.
    pub(crate) fn apart(&self) -> Option<Degraded> {
        if self.offered.load().is_some() {
            return Some(Degraded::OtherLog);
        }
        self.leader_lost().then_some(Degraded::LeaderLost)
    }

    /// The newest record that the leader is known to have.
    pub(crate) fn head(&self) -> Position {
        **self.head.load()
    }

    /// Serves another replica: the local snapshot's, or one that a leader's snapshot has made.
    pub(crate) fn swap_replica(&self, replica: Arc<Replica>) {
        let point = replica.point.load_full();
        let catalogue = point.catalogue.clone();
        self.proof.restart(replica.exact_from());
        // A read plans by the catalogue, reads the replica, and then looks whether the catalogue is still the same. So
        // between the rows of two logs, or of two copies of one that went on apart, whose views have other numbers, there is a
        // moment without any; and names are there before the rows are.
        let other_log = |old: &Replica| {
            let one_log = point.lives.is_one_log(old.position(), point.resume.position);
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
