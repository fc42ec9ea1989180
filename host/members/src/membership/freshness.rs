//! How far a member's rows may be behind: behind its own log while it leads, behind the leader's while it follows.

use super::Membership;
use littoral_model::position::Lsn;
use littoral_protocol::staleness::Staleness;
use std::time::{Duration, Instant};

/// How far this member's rows may be behind.
#[derive(Debug)]
pub(super) struct Freshness {
    origin: Instant,
    /// Used while this member follows. Each fetch is a ping, and its reply is the echo.
    staleness: Staleness,
    /// Used while this member leads: the last time at which its whole log was applied.
    level_at: Instant,
}

impl Freshness {
    /// Returns the freshness of a member that has applied `applied` and has not heard a leader yet.
    pub(super) fn as_of(applied: Lsn) -> Self {
        let now = Instant::now();
        let mut staleness = Staleness::default();
        staleness.applied(applied);
        Self { origin: now, staleness, level_at: now }
    }

    /// Discards the pings that the leader did not answer before its connection ended.
    pub(super) fn disconnected(&mut self) {
        self.staleness.disconnected();
    }
}

impl Membership {
    /// Returns how far rows as of `applied` are behind this leader's own log.
    pub(crate) fn behind_own_log(&self, applied: Lsn) -> Duration {
        let is_level = applied >= self.log.bounds().tail;
        if is_level { Duration::ZERO } else { self.freshness.lock().level_at.elapsed() }
    }

    /// Returns how far this member is behind the leader that it follows; `None` when it has not heard from a leader
    /// yet.
    pub(crate) fn staleness(&self) -> Option<Duration> {
        let freshness = self.freshness.lock();
        freshness.staleness.staleness(freshness.origin.elapsed())
    }

    /// Notes that a fetch is sent now. Returns the number of its ping; `None` if too many pings are unanswered.
    pub(crate) fn ping(&self) -> Option<u64> {
        let mut freshness = self.freshness.lock();
        let now = freshness.origin.elapsed();
        freshness.staleness.ping(now)
    }

    /// Notes the reply of a leader whose log ended with `tail`.
    pub(crate) fn echo(&self, seq: u64, tail: Lsn) {
        self.freshness.lock().staleness.echo(seq, tail, Some(Duration::ZERO));
    }

    /// Notes that everything up to `lsn` is applied.
    pub(crate) fn note_applied(&self, lsn: Lsn) {
        let is_level = lsn >= self.log.bounds().tail;
        let mut freshness = self.freshness.lock();
        freshness.staleness.applied(lsn);
        if is_level {
            freshness.level_at = Instant::now();
        }
    }
}
