//! What requests say of a door: one that fails too many is ejected for a while, longer each time. A region that is bad as a
//! whole is left in the same way.

use crate::Moment;
use serde::Deserialize;
use std::time::Duration;

/// When a door is ejected, and how it comes back.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Requests that fail in a row until the door is ejected. Failing is: no connection, a connection lost, no answer
    /// in time, the statuses 502 and 504, and any other 5xx without `littoral-error`, as it is not the node that speaks. A
    /// node's own 503 that says that it is overloaded or has no data counts a third. Default 3.
    pub consecutive_failures: u32,
    /// The door is ejected too when less than this share of its requests succeeds within `window_ms`. Default 0.8.
    pub success_share_min: f64,
    /// Over so many milliseconds the share is taken, and over `window_requests_min` requests if those take longer.
    /// Default 10,000.
    pub window_ms: u64,
    /// Fewer requests than this say nothing. Default 20.
    pub window_requests_min: u32,
    /// How long the first ejection lasts, in milliseconds; each further one twice as long. Default 2,000.
    pub ejection_ms: u64,
    /// The longest ejection, in milliseconds. A door that went without one for this long starts again with the
    /// shortest. Default 60,000.
    pub ejection_ms_max: u64,
    /// At most this share of a region's edges is ejected, each for itself. When another one fails too, the region is bad
    /// as a whole and is left for a while, if another region has an edge that may be used. Default 0.5.
    pub ejected_share_max: f64,
    /// How long a door that comes back takes until it has its whole share of requests again, in milliseconds. Default
    /// 10,000.
    pub return_ms: u64,
}

/// What requests count that fail in a row. A node that refuses requests may take the next one, so it takes more of them.
const FAILURE: u32 = 3;
const REFUSAL: u32 = 1;

/// How a request to a door ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was answered, whatever the answer.
    Success,
    /// The door could not be connected to: nothing of the request was sent.
    Unreached,
    /// The connection was lost before the answer was whole.
    Lost,
    /// The door answered that it failed, or did not answer in time.
    Failure,
    /// The node itself refused the request, as it is overloaded or has no data.
    Refused,
}

/// What is known of the outage that a door was ejected for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Outage {
    /// Its connections work and its answers are bad: probes that succeed prove nothing.
    #[default]
    Answers,
    /// Connections were lost. Whether the process was gone is not known.
    Lost,
    /// It could not be connected to: a probe that succeeds proves that this is over.
    Unreachable,
}

/// The record of a door, or of a region as a whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outlier {
    outage: Outage,
    /// Probes that succeeded in a row since the ejection.
    good_probes: u32,
    /// Counted in [`FAILURE`] and [`REFUSAL`].
    failed_in_a_row: u32,
    window_began: Moment,
    succeeded: u32,
    failed: u32,
    /// When it was ejected last.
    since: Moment,
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

    /// How many of a region's edges may be ejected, each for itself.
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
            // Requests that were under way, or that had nowhere else to go, prove nothing new, but that it was unreachable.
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
            Outcome::Refused => self.failed(REFUSAL, Outage::Answers),
        }
        let most = config.consecutive_failures.max(1).saturating_mul(FAILURE);
        let fails = self.failed_in_a_row >= most || self.is_below_share(config);
        let is_over = now.saturating_sub(self.window_began) >= Duration::from_millis(config.window_ms);
        // Where requests are rare, the share is taken over as many as say something, however long they take.
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

    /// Ejects it.
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

    /// Of a region: leaves it, for what this edge of it is ejected for.
    pub(crate) fn leave_for(&mut self, edge: &Self, now: Moment, config: &Config) {
        self.outage = edge.outage;
        self.eject(now, config);
    }

    /// Of a region, one of whose edges is back: ends its ejection if it was for an outage of connections.
    pub(crate) fn ends_with_its_outage(&mut self, now: Moment) -> bool {
        let ends = self.is_ejected(now) && self.outage != Outage::Answers;
        if ends {
            (self.until, self.returned, self.ejections) = (Some(now), true, 0);
        }
        ends
    }

    /// Whether an ejection has ended, and [`Outlier::take_return`] has not said so yet.
    pub(crate) fn is_returning(&self, now: Moment) -> bool {
        self.until.is_some_and(|until| now >= until) && !self.returned
    }

    /// Counts anew.
    pub fn forget(&mut self, now: Moment) {
        self.failed_in_a_row = 0;
        (self.window_began, self.succeeded, self.failed) = (now, 0, 0);
    }

    /// Takes a probe in. True when it ends an ejection whose outage is over: a door that could not be connected to, and can be
    /// again. A door whose connections were lost while its probes succeeded all the while is believed once, and then serves its
    /// ejections to the end.
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

    /// Ends its ejection early.
    pub fn pardon(&mut self, now: Moment) {
        self.until = self.until.map(|until| until.min(now));
    }

    /// When it was ejected last.
    pub(crate) fn since(&self) -> Moment {
        self.since
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
    fn rare_requests_are_judged_by_as_many_as_say_something() {
        let config = Config::default();
        let mut outlier = Outlier::default();
        let ejected = (0..30u32).any(|nth| {
            let outcome = if nth.is_multiple_of(2) { Outcome::Failure } else { Outcome::Success };
            outlier.record(outcome, NOW + Duration::from_secs(nth.into()), &config)
        });
        assert!(ejected, "half of them fail, one a second");
    }

    #[test]
    fn a_refusal_counts_less_than_a_failure() {
        let config = Config::default();
        let mut outlier = Outlier::default();
        let first = (0..40).position(|_| outlier.record(Outcome::Refused, NOW, &config));
        assert_eq!(first, Some(8), "the ninth in a row");
        let mut mostly_well = Outlier::default();
        assert!(!(0..200).any(|nth| {
            let outcome = if nth % 6 == 5 { Outcome::Refused } else { Outcome::Success };
            mostly_well.record(outcome, NOW, &config)
        }));
    }

    #[test]
    fn probes_end_an_ejection_when_they_prove_that_its_outage_is_over() {
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
        assert!(!ends(ejected_for(Outcome::Failure, 0), &[false, true, true, true]), "its answers were bad");
        assert!(ends(ejected_for(Outcome::Lost, 0), &[true, true]), "believed once");
        assert!(!ends(ejected_for(Outcome::Lost, 1), &[true, true, true]), "its probes were good all the while");
        assert!(ends(ejected_for(Outcome::Lost, 1), &[false, true, true]), "its probes have seen the outage");
        let mut asked_in_need = ejected_for(Outcome::Lost, 1);
        assert!(!asked_in_need.record(Outcome::Unreached, NOW, &config));
        assert!(ends(asked_in_need, &[true, true]), "a request has seen it");
        let mut again = ejected_for(Outcome::Unreached, 5);
        assert!(again.probed(true, NOW, 1));
        again.eject(NOW, &config);
        assert_eq!(again.ejected_until(NOW), Some(NOW + Duration::from_secs(2)), "the next outage is another one");
    }

    #[test]
    fn the_last_edge_is_never_ejected() {
        let config = Config { ejected_share_max: 1.0, ..Config::default() };
        assert_eq!([0, 1, 2, 10].map(|edges| config.ejected_max(edges)), [0, 0, 1, 9]);
        let half = Config::default();
        assert_eq!([1, 2, 3, 10].map(|edges| half.ejected_max(edges)), [0, 1, 1, 5]);
    }
}
