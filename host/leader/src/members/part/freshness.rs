//! How far a member may be behind: what it acknowledged and has not applied while it leads, its fetches while it follows.

use super::Part;
use littoral_leader_core::Published;
use littoral_model::{freshness::Source, position::Lsn};
use littoral_protocol::staleness::Staleness;
use std::time::{Duration, Instant};

/// How far this member may be behind.
#[derive(Debug)]
pub(super) struct Freshness {
    origin: Instant,
    /// While it follows: each fetch is a ping, its answer the echo.
    staleness: Staleness,
    /// While it leads: when everything that it had acknowledged was applied.
    level_at: Instant,
}

impl Freshness {
    /// Of a member that has applied this much and has heard of nobody yet.
    pub(super) fn as_of(applied: Lsn) -> Self {
        let now = Instant::now();
        let mut staleness = Staleness::default();
        staleness.applied(applied);
        Self { origin: now, staleness, level_at: now }
    }

    /// What was asked of a leader that is followed no more will not be answered.
    pub(super) fn parted(&mut self) {
        self.staleness.disconnected();
    }
}

impl Part {
    /// How far rows as of `published` may be behind, and who answers with them.
    pub(crate) fn freshness(&self, published: &Published) -> (Option<Duration>, Source) {
        if self.leads_surely() {
            let level = published.position.lsn >= self.log.bounds().tail;
            let behind = if level { Duration::ZERO } else { self.freshness.lock().level_at.elapsed() };
            return (Some(behind), Source::Leader);
        }
        (self.staleness(), Source::Replica)
    }

    /// How far this member is behind the leader that it follows; `None` when it never heard of one.
    pub(crate) fn staleness(&self) -> Option<Duration> {
        let freshness = self.freshness.lock();
        freshness.staleness.staleness(freshness.origin.elapsed())
    }

    /// A fetch leaves now.
    pub(crate) fn ping(&self) -> Option<u64> {
        let mut freshness = self.freshness.lock();
        let now = freshness.origin.elapsed();
        freshness.staleness.ping(now)
    }

    /// It was answered by a leader whose log then ended with `tail`.
    pub(crate) fn echo(&self, seq: u64, tail: Lsn) {
        self.freshness.lock().staleness.echo(seq, tail, Some(Duration::ZERO));
    }

    /// Everything up to here is applied.
    pub(crate) fn applied(&self, lsn: Lsn) {
        let level = lsn >= self.log.bounds().tail;
        let mut freshness = self.freshness.lock();
        freshness.staleness.applied(lsn);
        if level {
            freshness.level_at = Instant::now();
        }
    }
}
