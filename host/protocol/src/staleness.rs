//! Staleness: how far a replica is behind the leader, without trust in any wall clock.
//!
//! The replica sends pings with ascending numbers and records when it sent each. The leader echoes
//! the last number that it has received, with its head read after that. Once that head is applied,
//! the replica includes everything that was committed before the ping was sent. So the staleness
//! is the time since that ping, which is never too small. A relay's echo also states how far the
//! relay may be behind the leader, and that is added.

use littoral_model::{
    mutation::{Mutation, active},
    position::Lsn,
};
use std::{collections::VecDeque, time::Duration};

/// The maximum number of unanswered pings, and of echoes whose head is not applied. Further ones
/// are dropped, which only loosens the bound.
const OPEN_MAX: usize = 1_024;

/// Tracks pings, echoes and applied records. Times are readings of one monotonic clock with any
/// origin.
#[derive(Clone, Debug, Default)]
pub struct Staleness {
    last_seq: u64,
    sent: VecDeque<(u64, Duration)>,
    echoed: VecDeque<(Lsn, Duration)>,
    applied: Lsn,
    /// The followed log is not the served one yet, so its heads cannot be compared with what is
    /// applied.
    awaits_snapshot: bool,
    fresh_at: Option<Duration>,
}

impl Staleness {
    /// Notes that a ping is sent now. Returns its number; `None` if too many pings are unanswered.
    pub fn ping(&mut self, now: Duration) -> Option<u64> {
        if self.sent.len() >= OPEN_MAX {
            return None;
        }
        self.last_seq += 1;
        self.sent.push_back((self.last_seq, now));
        Some(self.last_seq)
    }

    /// Handles an echo: the publisher had received ping `seq` when its head was `head`, and was
    /// then at most `behind` behind the leader. With `None` the echo shows nothing. Numbers that
    /// were never sent are ignored.
    pub fn echo(&mut self, seq: u64, head: Lsn, behind: Option<Duration>) {
        let behind = if active(Mutation::IgnoreRelayLag) { Some(Duration::ZERO) } else { behind };
        let mut sent_at = None;
        if seq > self.last_seq {
            return;
        }
        let seq = if active(Mutation::FreshFromNewestPing) { self.last_seq } else { seq };
        while let Some((_, at)) = self.sent.pop_front_if(|(sent, _)| *sent <= seq) {
            sent_at = Some(at);
        }
        // A time before the clock's origin is unknown, and not zero.
        if let (Some(sent_at), Some(behind)) = (sent_at, behind)
            && let Some(at) = sent_at.checked_sub(behind)
            && self.echoed.len() < OPEN_MAX
        {
            self.echoed.push_back((head, at));
            self.advance();
        }
    }

    /// Notes that everything up to `lsn` is applied.
    pub fn applied(&mut self, lsn: Lsn) {
        (self.applied, self.awaits_snapshot) = (lsn, false);
        self.advance();
    }

    /// Notes that a snapshot was requested. Until it is applied, the served log is not the
    /// stream's, or does not lead to the stream's head. Echoes count from then on.
    pub fn awaits_snapshot(&mut self) {
        self.awaits_snapshot = true;
    }

    /// Notes that the stream has ended, so pending pings will not be answered. The staleness
    /// reached so far remains valid.
    pub fn disconnected(&mut self) {
        self.sent.clear();
        self.echoed.clear();
    }

    /// Notes that the staleness reached so far is not valid. Pending pings are: this stream's publisher answers them.
    pub fn void(&mut self) {
        self.fresh_at = None;
    }

    /// Notes that the replica now follows another life of the log, whose staleness is unknown.
    pub fn forget(&mut self) {
        self.disconnected();
        if active(Mutation::FreshAcrossLogs) {
            return;
        }
        self.fresh_at = None;
        self.applied = Lsn::NONE;
    }

    /// Returns the time such that everything committed by then is in the replica; `None` if no
    /// leader has ever been heard from.
    #[must_use]
    pub fn fresh_at(&self) -> Option<Duration> {
        self.fresh_at
    }

    /// Returns an upper bound of how far the replica is behind; `None` if no leader has ever been
    /// heard from.
    #[must_use]
    pub fn staleness(&self, now: Duration) -> Option<Duration> {
        self.fresh_at.map(|at| now.saturating_sub(at))
    }

    fn advance(&mut self) {
        let applied = self.applied;
        if self.awaits_snapshot && !active(Mutation::FreshFromOtherLog) {
            return;
        }
        while let Some((_, at)) =
            self.echoed.pop_front_if(|(head, _)| *head <= applied || active(Mutation::FreshBeforeApplied))
        {
            self.fresh_at = self.fresh_at.max(Some(at));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// A leader is not behind itself.
    const LEADER: Option<Duration> = Some(Duration::ZERO);

    #[test]
    fn a_relays_own_lag_is_added() {
        let mut tracker = Staleness::default();
        let seq = tracker.ping(ms(100)).expect("room");
        tracker.echo(seq, Lsn(0), Some(ms(30)));
        assert_eq!(tracker.staleness(ms(110)), Some(ms(40)));
        let seq = tracker.ping(ms(120)).expect("room");
        tracker.echo(seq, Lsn(0), None);
        assert_eq!(tracker.staleness(ms(120)), Some(ms(50)), "a relay that does not know its lag shows nothing");
        let seq = tracker.ping(ms(130)).expect("room");
        tracker.echo(seq, Lsn(0), Some(ms(500)));
        assert_eq!(tracker.staleness(ms(130)), Some(ms(60)), "an earlier bound remains valid");
        let mut begun = Staleness::default();
        let seq = begun.ping(ms(10)).expect("room");
        begun.echo(seq, Lsn(0), Some(ms(11)));
        assert_eq!(begun.staleness(ms(12)), None, "before the origin of the clock");
    }

    #[test]
    fn staleness_counts_from_the_ping_whose_head_is_applied() {
        let mut tracker = Staleness::default();
        tracker.applied(Lsn(10));
        assert_eq!(tracker.staleness(ms(5)), None);
        let one = tracker.ping(ms(10)).expect("room");
        let two = tracker.ping(ms(20)).expect("room");
        tracker.echo(one, Lsn(10), LEADER);
        assert_eq!(tracker.staleness(ms(30)), Some(ms(20)));
        tracker.echo(two, Lsn(12), LEADER);
        assert_eq!(tracker.staleness(ms(40)), Some(ms(30)), "records 11 and 12 are missing");
        tracker.applied(Lsn(11));
        assert_eq!(tracker.staleness(ms(50)), Some(ms(40)));
        tracker.applied(Lsn(12));
        assert_eq!(tracker.staleness(ms(60)), Some(ms(40)), "now everything from before 20 ms is applied");
    }

    #[test]
    fn echoes_of_a_log_that_is_not_served_yet_wait_for_its_snapshot() {
        let mut tracker = Staleness::default();
        tracker.applied(Lsn(50));
        tracker.awaits_snapshot();
        let seq = tracker.ping(ms(10)).expect("room");
        tracker.echo(seq, Lsn(20), LEADER);
        assert_eq!(tracker.staleness(ms(15)), None, "record 20 of another log");
        let mut cut = tracker.clone();
        tracker.applied(Lsn(20));
        assert_eq!(tracker.staleness(ms(15)), Some(ms(5)));
        cut.disconnected();
        cut.applied(Lsn(50));
        assert_eq!(cut.staleness(ms(15)), None);
    }

    #[test]
    fn one_echo_answers_every_ping_before_it() {
        let mut tracker = Staleness::default();
        tracker.ping(ms(1));
        tracker.ping(ms(2));
        let three = tracker.ping(ms(3)).expect("room");
        tracker.echo(three, Lsn(0), LEADER);
        assert_eq!(tracker.staleness(ms(3)), Some(ms(0)));
        tracker.echo(three, Lsn(0), LEADER);
        tracker.echo(99, Lsn(0), LEADER);
        assert_eq!(tracker.staleness(ms(9)), Some(ms(6)), "unsolicited echoes change nothing");
    }

    #[test]
    fn after_a_lost_stream_staleness_only_grows() {
        let mut tracker = Staleness::default();
        let seq = tracker.ping(ms(1)).expect("room");
        tracker.echo(seq, Lsn(0), LEADER);
        tracker.ping(ms(5));
        tracker.disconnected();
        tracker.echo(seq + 1, Lsn(0), LEADER);
        assert_eq!(tracker.staleness(ms(101)), Some(ms(100)));
        tracker.forget();
        assert_eq!(tracker.staleness(ms(101)), None);
    }

    #[test]
    fn a_silent_leader_costs_bounded_memory() {
        let mut tracker = Staleness::default();
        let answered = (0..10_000).filter(|n| tracker.ping(ms(*n)).is_some()).count();
        assert_eq!(answered, OPEN_MAX);
    }
}
