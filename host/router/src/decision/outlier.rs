//! What requests say of a door: one that fails too many is ejected for a while, longer each time.

use crate::decision::Moment;
use serde::Deserialize;
use std::time::Duration;

/// When a door is ejected, and how it comes back.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Requests that fail in a row until the door is ejected. Failing is: no connection, a connection lost, no answer
    /// in time, and the statuses 502 and 504; a 503 is not, as it is the node that speaks. Default 3.
    pub consecutive_failures: u32,
    /// The door is ejected too when less than this share of its requests succeeds within `window_ms`. Default 0.8.
    pub success_share_min: f64,
    /// Over so many milliseconds the share is taken. Default 10,000.
    pub window_ms: u64,
    /// Fewer requests than this within the window say nothing. Default 20.
    pub window_requests_min: u32,
    /// How long the first ejection lasts, in milliseconds; each further one twice as long. Default 2,000.
    pub ejection_ms: u64,
    /// The longest ejection, in milliseconds. A door that went without one for this long starts again with the
    /// shortest. Default 60,000.
    pub ejection_ms_max: u64,
    /// At most this share of all edges is ejected at once; the last one never is. Default 0.5.
    pub ejected_share_max: f64,
    /// How long a door that comes back takes until it has its whole share of requests again, in milliseconds. Default
    /// 10,000.
    pub return_ms: u64,
}

/// How a request to a door ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was answered, whatever the answer.
    Success,
    /// The door failed it.
    Failure,
}

/// A door's record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outlier {
    failed_in_a_row: u32,
    window_began: Moment,
    succeeded: u32,
    failed: u32,
    /// Until when it is ejected; kept after, to know when it was last.
    until: Option<Moment>,
    /// Whether the end of the last ejection was seen.
    returned: bool,
    ejections: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            consecutive_failures: 3,
            success_share_min: 0.8,
            window_ms: 10_000,
            window_requests_min: 20,
            ejection_ms: 2_000,
            ejection_ms_max: 60_000,
            ejected_share_max: 0.5,
            return_ms: 10_000,
        }
    }
}

// === impl Config ===

impl Config {
    /// [`Config::return_ms`].
    #[must_use]
    pub fn return_time(&self) -> Duration {
        Duration::from_millis(self.return_ms)
    }

    /// How many of so many edges may be ejected at once.
    #[must_use]
    pub fn ejected_max(&self, edges: usize) -> usize {
        let share = (edges as f64 * self.ejected_share_max.clamp(0.0, 1.0)).floor() as usize;
        share.max(1).min(edges.saturating_sub(1))
    }

    fn ejection(&self, nth: u32) -> Duration {
        let doubled = self.ejection_ms.saturating_mul(1u64.checked_shl(nth.min(32)).unwrap_or(u64::MAX));
        Duration::from_millis(doubled.min(self.ejection_ms_max.max(self.ejection_ms)))
    }
}

// === impl Outlier ===

impl Outlier {
    /// Takes a request's end in. True when the door should be ejected, which is for the fleet to allow.
    #[must_use]
    pub fn record(&mut self, outcome: Outcome, now: Moment, config: &Config) -> bool {
        if self.is_ejected(now) {
            // Requests that were under way, or that had nowhere else to go, prove nothing new.
            return false;
        }
        if now.saturating_sub(self.window_began) >= Duration::from_millis(config.window_ms) {
            (self.window_began, self.succeeded, self.failed) = (now, 0, 0);
        }
        match outcome {
            Outcome::Success => {
                self.failed_in_a_row = 0;
                self.succeeded = self.succeeded.saturating_add(1);
                false
            }
            Outcome::Failure => {
                self.failed_in_a_row = self.failed_in_a_row.saturating_add(1);
                self.failed = self.failed.saturating_add(1);
                self.failed_in_a_row >= config.consecutive_failures.max(1) || self.is_below_share(config)
            }
        }
    }

    fn is_below_share(&self, config: &Config) -> bool {
        let all = self.succeeded.saturating_add(self.failed);
        all >= config.window_requests_min.max(1)
            && f64::from(self.succeeded) < f64::from(all) * config.success_share_min.clamp(0.0, 1.0)
    }

    /// Ejects it.
    pub fn eject(&mut self, now: Moment, config: &Config) {
        let long_ago = Duration::from_millis(config.ejection_ms_max);
        if self.until.is_some_and(|until| now.saturating_sub(until) >= long_ago) {
            self.ejections = 0;
        }
        self.until = Some(now + config.ejection(self.ejections));
        self.returned = false;
        self.ejections = self.ejections.saturating_add(1);
        self.failed_in_a_row = 0;
        (self.window_began, self.succeeded, self.failed) = (now, 0, 0);
    }

    /// Ends its ejection early.
    pub fn pardon(&mut self, now: Moment) {
        self.until = self.until.map(|until| until.min(now));
    }

    /// Whether it is ejected.
    #[must_use]
    pub fn is_ejected(&self, now: Moment) -> bool {
        self.until.is_some_and(|until| now < until)
    }

    /// Until when it is ejected, if it is.
    #[must_use]
    pub fn ejected_until(&self, now: Moment) -> Option<Moment> {
        self.until.filter(|until| now < *until)
    }

    /// True once after each ejection's end.
    #[must_use]
    pub fn take_return(&mut self, now: Moment) -> bool {
        let ended = self.until.is_some_and(|until| now >= until) && !self.returned;
        self.returned |= ended;
        ended
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Moment = Moment::from_secs(1_000);

    #[test]
    fn failures_in_a_row_or_too_large_a_share_of_them_eject() {
        let config = Config::default();
        let mut outlier = Outlier::default();
        assert!(!outlier.record(Outcome::Failure, NOW, &config));
        assert!(!outlier.record(Outcome::Failure, NOW, &config));
        assert!(!outlier.record(Outcome::Success, NOW, &config));
        assert!(!outlier.record(Outcome::Failure, NOW, &config));
        assert!(!outlier.record(Outcome::Failure, NOW, &config));
        assert!(outlier.record(Outcome::Failure, NOW, &config));

        let mut every_third = Outlier::default();
        let ejected = (0..60).any(|nth| {
            let outcome = if nth % 3 == 0 { Outcome::Failure } else { Outcome::Success };
            every_third.record(outcome, NOW, &config)
        });
        assert!(ejected, "a third fails");
    }

    #[test]
    fn each_ejection_is_twice_as_long_up_to_the_longest() {
        let config = Config::default();
        let mut outlier = Outlier::default();
        let mut now = NOW;
        let mut lengths = Vec::new();
        for _ in 0..7 {
            outlier.eject(now, &config);
            let until = outlier.ejected_until(now).unwrap();
            lengths.push((until - now).as_secs());
            now = until;
            assert!(!outlier.is_ejected(now));
            assert!(outlier.take_return(now) && !outlier.take_return(now));
        }
        assert_eq!(lengths, [2, 4, 8, 16, 32, 60, 60]);
        now += Duration::from_secs(60);
        outlier.eject(now, &config);
        assert_eq!(outlier.ejected_until(now), Some(now + Duration::from_secs(2)));
    }

    #[test]
    fn the_last_edge_is_never_ejected() {
        let config = Config { ejected_share_max: 1.0, ..Config::default() };
        assert_eq!([0, 1, 2, 10].map(|edges| config.ejected_max(edges)), [0, 0, 1, 9]);
        let half = Config::default();
        assert_eq!([1, 2, 3, 10].map(|edges| half.ejected_max(edges)), [0, 1, 1, 5]);
    }
}
