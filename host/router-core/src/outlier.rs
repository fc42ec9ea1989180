//! Ejection by the results of requests: a door with too many failures is ejected for a while, longer each time. A
//! region that fails as a whole is ejected in the same way.

use crate::Moment;
use serde::Deserialize;
use std::time::Duration;

/// When a door is ejected, and how it returns.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Failed requests in a row after which the door is ejected. Failures are: no connection, a lost connection, no
    /// answer in time, the statuses 502 and 504, and any other 5xx without `littoral-error`, because the node itself
    /// did not send it. A node's own 503 for overload or missing data counts a third. Default 3.
    pub consecutive_failures: u32,
    /// The door is also ejected if less than this share of its requests succeeds within `window_ms`. Default 0.8.
    pub success_share_min: f64,
    /// The window of the share, in milliseconds. It is extended until it contains `window_requests_min` requests.
    /// Default 10,000.
    pub window_ms: u64,
    /// The fewest requests from which the share is computed. Default 20.
    pub window_requests_min: u32,
    /// The duration of the first ejection, in milliseconds; it doubles with each further one. Default 2,000.
    pub ejection_ms: u64,
    /// The longest ejection, in milliseconds. After this long without an ejection, the next one is the shortest again.
    /// Default 60,000.
    pub ejection_ms_max: u64,
    /// The largest share of a region's edges that is ejected individually. When another one fails too, the whole region
    /// is ejected for a while, if another region has a usable edge. Default 0.5.
    pub ejected_share_max: f64,
    /// The time over which a returning door regains its whole share of requests, in milliseconds. Default 10,000.
    pub return_ms: u64,
}

/// The weights of failed requests in a row. A node that rejects requests may accept the next one, so more rejections
/// are needed.
const FAILURE: u32 = 3;
const REJECTION: u32 = 1;

/// How a request to a door ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The door answered.
    Success,
    /// The door could not be connected to: nothing of the request was sent.
    Unreached,
    /// The connection was lost before the answer was complete.
    Lost,
    /// The door answered with a failure, or not in time.
    Failure,
    /// The node itself rejected the request, because it is overloaded or has no data.
    Rejected,
}

/// The kind of outage for which a door was ejected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Outage {
    /// Connections work, but answers are failures: successful probes prove nothing.
    #[default]
    Answers,
    /// Connections were lost. Whether the process had exited is not known.
    Lost,
    /// The door could not be connected to: a successful probe proves that the outage has ended.
    Unreachable,
}

/// The failure record of a door, or of a region as a whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outlier {
    outage: Outage,
    /// Successful probes in a row since the ejection.
    good_probes: u32,
    /// The sum of [`FAILURE`] and [`REJECTION`] weights.
    failed_in_a_row: u32,
    window_began: Moment,
    succeeded: u32,
    failed: u32,
    /// The start of the last ejection.
    since: Moment,
    /// The end of the last ejection; kept afterwards.
    until: Option<Moment>,
    /// Whether `take_return` has reported the end of the last ejection.
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
    /// Returns [`Config::return_ms`] as a duration.
    #[must_use]
    pub fn return_time(&self) -> Duration {
        Duration::from_millis(self.return_ms)
    }

    /// Returns how many of a region's edges may be ejected individually.
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
    /// Records the end of a request. Returns true if the door should be ejected; the fleet decides whether it may be.
    #[must_use]
    pub fn record(&mut self, outcome: Outcome, now: Moment, config: &Config) -> bool {
        if self.is_ejected(now) {
            // Requests that were in flight, or that had no other door, prove nothing new, except that the door was
            // unreachable.
            if outcome == Outcome::Unreached && self.outage == Outage::Lost {
                self.outage = Outage::Unreachable;
            }
            return false;
        }
        match outcome {
            Outcome::Success => {
                self.failed_in_a_row = 0;
                self.succeeded = self.succeeded.saturating_add(1);
            }
            Outcome::Unreached => self.failed(FAILURE, Outage::Unreachable),
            Outcome::Lost => self.failed(FAILURE, Outage::Lost),
            Outcome::Failure => self.failed(FAILURE, Outage::Answers),
            Outcome::Rejected => self.failed(REJECTION, Outage::Answers),
        }
        let most = config.consecutive_failures.max(1).saturating_mul(FAILURE);
        let fails = self.failed_in_a_row >= most || self.is_below_share(config);
        let is_over = now.saturating_sub(self.window_began) >= Duration::from_millis(config.window_ms);
        // With few requests, the window is extended until it has enough of them.
        if is_over && self.succeeded.saturating_add(self.failed) >= config.window_requests_min.max(1) {
            (self.window_began, self.succeeded, self.failed) = (now, 0, 0);
        }
        fails
    }

    fn failed(&mut self, counts: u32, outage: Outage) {
        self.failed = self.failed.saturating_add(1);
        self.failed_in_a_row = self.failed_in_a_row.saturating_add(counts);
        self.outage = outage;
    }

    fn is_below_share(&self, config: &Config) -> bool {
        let all = self.succeeded.saturating_add(self.failed);
        all >= config.window_requests_min.max(1)
            && f64::from(self.succeeded) < f64::from(all) * config.success_share_min.clamp(0.0, 1.0)
    }

    /// Ejects the door or region.
    pub fn eject(&mut self, now: Moment, config: &Config) {
        let long_ago = Duration::from_millis(config.ejection_ms_max);
        if self.until.is_some_and(|until| now.saturating_sub(until) >= long_ago) {
            self.ejections = 0;
        }
        self.since = now;
        self.until = Some(now + config.ejection(self.ejections));
        self.returned = false;
        self.ejections = self.ejections.saturating_add(1);
        self.good_probes = 0;
        self.forget(now);
    }

    /// Ejects a region for the outage of its edge `edge`.
    pub(crate) fn eject_for(&mut self, edge: &Self, now: Moment, config: &Config) {
        self.outage = edge.outage;
        self.eject(now, config);
    }

    /// Ends a region's ejection when one of its edges has returned, if the ejection was for an outage of connections.
    /// Returns whether it did.
    pub(crate) fn end_with_outage(&mut self, now: Moment) -> bool {
        let ends = self.is_ejected(now) && self.outage != Outage::Answers;
        if ends {
            (self.until, self.returned, self.ejections) = (Some(now), true, 0);
        }
        ends
    }

    /// Returns whether an ejection has ended and [`Outlier::take_return`] has not reported it yet.
    pub(crate) fn is_returning(&self, now: Moment) -> bool {
        self.until.is_some_and(|until| now >= until) && !self.returned
    }

    /// Resets the counts.
    pub fn forget(&mut self, now: Moment) {
        self.failed_in_a_row = 0;
        (self.window_began, self.succeeded, self.failed) = (now, 0, 0);
    }

    /// Records a probe. Returns true if it ends an ejection whose outage has ended: the door could not be connected to,
    /// and now can be. A door whose connections were lost while all of its probes succeeded is returned early once;
    /// later it serves its ejections to the end.
    pub fn probed(&mut self, answered: bool, now: Moment, probes_min: u32) -> bool {
        if !self.is_ejected(now) || self.outage == Outage::Answers {
            return false;
        }
        if !answered {
            (self.outage, self.good_probes) = (Outage::Unreachable, 0);
            return false;
        }
        self.good_probes = self.good_probes.saturating_add(1);
        let is_proven = self.outage == Outage::Unreachable;
        let is_over = self.good_probes >= probes_min.max(1) && (is_proven || self.ejections == 1);
        if is_over {
            self.until = Some(now);
            self.returned = true;
            if is_proven {
                self.ejections = 0;
            }
        }
        is_over
    }

    /// Ends the ejection early.
    pub fn pardon(&mut self, now: Moment) {
        self.until = self.until.map(|until| until.min(now));
    }

    /// Returns the start of the last ejection.
    pub(crate) fn since(&self) -> Moment {
        self.since
    }

    /// Returns whether the door or region is ejected.
    #[must_use]
    pub fn is_ejected(&self, now: Moment) -> bool {
        self.until.is_some_and(|until| now < until)
    }

    /// Returns the end of the ejection, if there is one.
    #[must_use]
    pub fn ejected_until(&self, now: Moment) -> Option<Moment> {
        self.until.filter(|until| now < *until)
    }

    /// Returns true once after the end of each ejection.
    #[must_use]
    pub fn take_return(&mut self, now: Moment) -> bool {
        let ended = self.is_returning(now);
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
    fn rare_requests_are_evaluated_over_a_longer_window() {
        let config = Config::default();
        let mut outlier = Outlier::default();
        let ejected = (0..30u32).any(|nth| {
            let outcome = if nth.is_multiple_of(2) { Outcome::Failure } else { Outcome::Success };
            outlier.record(outcome, NOW + Duration::from_secs(nth.into()), &config)
        });
        assert!(ejected, "half of them fail, one per second");
    }

    #[test]
    fn a_rejection_counts_less_than_a_failure() {
        let config = Config::default();
        let mut outlier = Outlier::default();
        let first = (0..40).position(|_| outlier.record(Outcome::Rejected, NOW, &config));
        assert_eq!(first, Some(8), "the ninth in a row");
        let mut mostly_well = Outlier::default();
        assert!(!(0..200).any(|nth| {
            let outcome = if nth % 6 == 5 { Outcome::Rejected } else { Outcome::Success };
            mostly_well.record(outcome, NOW, &config)
        }));
    }

    #[test]
    fn probes_end_an_ejection_when_they_prove_that_its_outage_has_ended() {
        let config = Config::default();
        let ejected_for = |outcome, before: u32| {
            let mut outlier = Outlier { ejections: before, ..Outlier::default() };
            while !outlier.record(outcome, NOW, &config) {}
            outlier.eject(NOW, &config);
            outlier
        };
        let ends = |mut outlier: Outlier, probes: &[bool]| {
            probes.iter().any(|answered| outlier.probed(*answered, NOW, 2)) && !outlier.is_ejected(NOW)
        };
        assert!(ends(ejected_for(Outcome::Unreached, 5), &[true, true]));
        assert!(!ends(ejected_for(Outcome::Unreached, 0), &[true, false, true]), "not twice in a row");
        assert!(!ends(ejected_for(Outcome::Failure, 0), &[false, true, true, true]), "its answers were failures");
        assert!(ends(ejected_for(Outcome::Lost, 0), &[true, true]), "returned early once");
        assert!(!ends(ejected_for(Outcome::Lost, 1), &[true, true, true]), "its probes succeeded throughout");
        assert!(ends(ejected_for(Outcome::Lost, 1), &[false, true, true]), "its probes have failed too");
        let mut last_resort = ejected_for(Outcome::Lost, 1);
        assert!(!last_resort.record(Outcome::Unreached, NOW, &config));
        assert!(ends(last_resort, &[true, true]), "a request has failed to connect");
        let mut again = ejected_for(Outcome::Unreached, 5);
        assert!(again.probed(true, NOW, 1));
        again.eject(NOW, &config);
        assert_eq!(again.ejected_until(NOW), Some(NOW + Duration::from_secs(2)), "the next outage is a new one");
    }

    #[test]
    fn the_last_edge_is_never_ejected() {
        let config = Config { ejected_share_max: 1.0, ..Config::default() };
        assert_eq!([0, 1, 2, 10].map(|edges| config.ejected_max(edges)), [0, 0, 1, 9]);
        let half = Config::default();
        assert_eq!([1, 2, 3, 10].map(|edges| half.ejected_max(edges)), [0, 1, 1, 5]);
    }
}
