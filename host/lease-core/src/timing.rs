//! How long a lease lasts, how often it is renewed and read, and how far clocks may drift.

use crate::claim::TERM_MAX;
use littoral_model::mutation::{Mutation, active};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The shortest term. With a shorter one, a single slow answer of the store would cost the lease.
pub const TERM_MIN: Duration = Duration::from_millis(200);

/// The times of an election.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timing {
    /// How long a claim is valid from the moment at which its holder began to write it.
    pub term: Duration,
    /// The time from the start of one renewal to the start of the next.
    pub renew_every: Duration,
    /// How often processes that do not lead read the store.
    pub poll_every: Duration,
    /// How long to wait for the store's answer before its result counts as unknown.
    pub request_timeout: Duration,
    /// How far any process's clock may run faster or slower than true time, in millionths. A holder stops that much of
    /// a term early, and other processes wait that much longer.
    pub drift_ppm: u32,
}

/// Inconsistent times.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("lease timing: {0}")]
pub struct InvalidTiming(&'static str);

impl Timing {
    /// A new leader within 3 s of the loss of the old one. Tolerates a store that does not answer for a second.
    pub const DEFAULT: Self = Self {
        term: Duration::from_millis(2_000),
        renew_every: Duration::from_millis(500),
        poll_every: Duration::from_millis(250),
        request_timeout: Duration::from_millis(600),
        drift_ppm: 20_000,
    };

    /// A new leader within 1 s. For stores that answer within 100 ms: a store that hangs for half a second costs the
    /// lease.
    pub const AGGRESSIVE: Self = Self {
        term: Duration::from_millis(600),
        renew_every: Duration::from_millis(150),
        poll_every: Duration::from_millis(75),
        request_timeout: Duration::from_millis(200),
        drift_ppm: 20_000,
    };

    /// Checks that the times are consistent.
    ///
    /// # Errors
    /// [`InvalidTiming`] with the violated rule.
    pub fn check(&self) -> Result<(), InvalidTiming> {
        let rules = [
            (self.term >= TERM_MIN, "term must be at least 200 ms"),
            (self.term <= TERM_MAX, "term must be at most 300 s"),
            (self.term.subsec_nanos().is_multiple_of(1_000_000), "term must be whole milliseconds"),
            (!self.renew_every.is_zero(), "renew_every must not be zero"),
            (self.renew_every <= self.term / 3, "renew_every must be at most a third of term"),
            (!self.poll_every.is_zero(), "poll_every must not be zero"),
            (self.poll_every <= self.term, "poll_every must be at most term"),
            (!self.request_timeout.is_zero(), "request_timeout must not be zero"),
            (self.request_timeout <= self.term / 2, "request_timeout must be at most half of term"),
            ((1..=100_000).contains(&self.drift_ppm), "drift_ppm must be from 1 to 100000"),
        ];
        rules.into_iter().find(|(holds, _)| !holds).map_or(Ok(()), |(_, rule)| Err(InvalidTiming(rule)))
    }

    /// Returns how long a holder may act on a claim of this term, by its own clock, from when it began to write it.
    /// Even on a slow clock this is no longer than the term.
    #[must_use]
    pub fn hold(&self, term: Duration) -> Duration {
        term.saturating_sub(self.drift(term))
    }

    /// Returns how long other processes wait, by their own clocks, from when they first saw a claim of this term. Even
    /// on a fast clock this is no shorter than the term.
    #[must_use]
    pub fn wait(&self, term: Duration) -> Duration {
        term.saturating_add(self.drift(term))
    }

    fn drift(&self, term: Duration) -> Duration {
        if active(Mutation::ForgetDriftMargin) {
            return Duration::ZERO;
        }
        let nanos = term.as_nanos().saturating_mul(u128::from(self.drift_ppm)).div_ceil(1_000_000);
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

impl Default for Timing {
    fn default() -> Self {
        Self::DEFAULT
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_profiles_are_consistent() {
        for timing in [Timing::DEFAULT, Timing::AGGRESSIVE] {
            timing.check().unwrap();
        }
    }

    #[test]
    fn the_profiles_elect_a_leader_in_time() {
        // The leader dies just after a renewal, which is seen one poll later; then the term passes, and the claim is
        // written.
        for (timing, within_ms) in [(Timing::DEFAULT, 3_000), (Timing::AGGRESSIVE, 1_000)] {
            let worst = timing.poll_every + timing.wait(timing.term) + timing.request_timeout / 2;
            assert!(worst < Duration::from_millis(within_ms), "{worst:?}");
        }
    }

    #[test]
    fn a_slow_holder_ends_before_a_quick_waiter() {
        for timing in [Timing::DEFAULT, Timing::AGGRESSIVE] {
            // The true time that passes while their clocks count.
            let drift = f64::from(timing.drift_ppm) / 1e6;
            let holds = timing.hold(timing.term).as_secs_f64() / (1.0 - drift);
            let waits = timing.wait(timing.term).as_secs_f64() / (1.0 + drift);
            assert!(holds <= timing.term.as_secs_f64() + 1e-9 && waits >= timing.term.as_secs_f64() - 1e-9);
        }
    }

    #[test]
    fn inconsistent_times_are_rejected() {
        let error = |change: fn(&mut Timing)| {
            let mut timing = Timing::DEFAULT;
            change(&mut timing);
            timing.check().unwrap_err().to_string()
        };
        assert!(error(|t| t.term = Duration::from_millis(100)).contains("term"));
        assert!(error(|t| t.term = Duration::from_secs(301)).contains("300 s"));
        assert!(error(|t| t.term = Duration::from_micros(2_000_500)).contains("whole"));
        assert!(error(|t| t.renew_every = t.term / 2).contains("renew_every"));
        assert!(error(|t| t.poll_every = Duration::ZERO).contains("poll_every"));
        assert!(error(|t| t.request_timeout = t.term).contains("request_timeout"));
        assert!(error(|t| t.drift_ppm = 0).contains("drift_ppm"));
    }
}
