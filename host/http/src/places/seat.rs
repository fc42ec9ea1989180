//! A connection as its listener sees it: idle, running requests, or giving way.

use super::Group;
use littoral_runtime::shares::{Load, Loads};
use std::{
    sync::{
        Arc,
        atomic::{
            AtomicBool, AtomicU64, AtomicUsize,
            Ordering::{AcqRel, Acquire, Relaxed},
        },
    },
    time::{Duration, Instant},
};
use tokio::sync::Notify;

/// The bit of [`Seat::running`] that marks a connection that gives way.
const GIVES_WAY: usize = 1 << (usize::BITS - 1);

/// How long a connection counts as used after a request. Most clients keep an idle connection no longer.
const RECENT: Duration = Duration::from_secs(60);

/// A connection. It is idle while no request runs and its client reads what it is sent: also before its first request,
/// while a head is incomplete, and during its TLS handshake.
#[derive(Debug)]
pub(crate) struct Seat {
    pub(crate) group: Group,
    /// What its client's address uses of the bounds that clients share. None if bounds per address do not apply.
    loads: Loads,
    /// The number of running requests, and [`GIVES_WAY`].
    running: AtomicUsize,
    created: Instant,
    /// When its last request ended, in milliseconds after `created`. 0 without one.
    used_ms: AtomicU64,
    /// Whether a part of an answer waits to be written.
    writes: AtomicBool,
    cut: Notify,
}

/// A request that runs, until its answer was sent.
#[derive(Debug)]
pub(crate) struct Running(Arc<Seat>);

impl Seat {
    /// Creates a connection. Without a load, bounds per address do not apply to its client.
    pub(crate) fn new(group: Group, load: Option<Arc<Load>>) -> Self {
        let (loads, created) = (Loads::new(load, None), Instant::now());
        let (running, used_ms) = (AtomicUsize::new(0), AtomicU64::new(0));
        Self { group, loads, running, created, used_ms, writes: AtomicBool::new(false), cut: Notify::new() }
    }

    /// Returns whether bounds per address do not apply to its client.
    pub(crate) fn is_exempt(&self) -> bool {
        self.loads.address().is_none()
    }

    /// Returns what its requests count towards, apart from the identity of their sender.
    pub(crate) fn loads(&self) -> &Loads {
        &self.loads
    }

    /// Begins a request. Returns `None` if the connection gives way, so that it never carries out a request whose
    /// answer it cannot send.
    pub(crate) fn begin(self: &Arc<Self>) -> Option<Running> {
        let running = Running(self.clone());
        let before = self.running.fetch_add(1, AcqRel);
        (before & GIVES_WAY == 0).then_some(running)
    }

    /// Sets whether a part of an answer waits to be written.
    pub(crate) fn set_writes(&self, writes: bool) {
        self.writes.store(writes, Relaxed);
    }

    /// Makes the connection give way if it is idle. Returns whether it does.
    pub(crate) fn give_way_if_idle(&self) -> bool {
        let is_idle =
            !self.writes.load(Relaxed) && self.running.compare_exchange(0, GIVES_WAY, AcqRel, Acquire).is_ok();
        if is_idle {
            self.cut.notify_one();
        }
        is_idle
    }

    /// Makes the connection give way.
    pub(crate) fn give_way(&self) {
        self.running.fetch_or(GIVES_WAY, AcqRel);
        self.cut.notify_one();
    }

    /// Returns once the connection must end.
    pub(crate) async fn gives_way(&self) {
        self.cut.notified().await;
    }

    /// Returns whether a request has ended.
    pub(crate) fn has_served(&self) -> bool {
        self.used_ms.load(Relaxed) > 0
    }

    /// Returns whether its last request ended less than [`RECENT`] before `now`.
    pub(crate) fn was_used_recently(&self, now: Instant) -> bool {
        let used_ms = self.used_ms.load(Relaxed);
        used_ms > 0 && now.saturating_duration_since(self.created + Duration::from_millis(used_ms)) < RECENT
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let used_ms = u64::try_from(self.0.created.elapsed().as_millis()).unwrap_or(0);
        self.0.used_ms.store(used_ms.max(1), Relaxed);
        self.0.running.fetch_sub(1, AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt as _;

    #[test]
    fn a_connection_gives_way_only_while_no_request_runs_and_then_runs_none() {
        let seat = Arc::new(Seat::new(Group::of([192, 0, 2, 1].into()), None));
        let (one, other) = (seat.begin().unwrap(), seat.begin().unwrap());
        drop(one);
        assert!(!seat.give_way_if_idle() && seat.gives_way().now_or_never().is_none(), "a request runs");
        drop(other);
        assert!(seat.was_used_recently(Instant::now()) && !seat.was_used_recently(Instant::now() + 2 * RECENT));
        assert!(seat.give_way_if_idle() && seat.gives_way().now_or_never().is_some());
        assert!(seat.begin().is_none() && !seat.give_way_if_idle(), "it gives way once");
    }
}
