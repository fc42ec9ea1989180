//! The pace of scrubs: a share of one core, whatever the table's size.
//!
//! A scrub of a small table takes negligible time, but one of a large table would occupy a core
//! for seconds, repeatedly. So scrubs earn running time as time passes, and pause when it is used
//! up. A caller that waits for a scrub can make it run without pauses.

use std::{
    sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    time::{Duration, Instant},
};

/// The share of one core that scrubs may use, in percent. Together with everything else, an idle
/// node stays below five percent.
pub(crate) const SHARE_PERCENT: u32 = 3;

/// The maximum running time that a scrub can accumulate.
const CREDIT_MAX: Duration = Duration::from_millis(200);

/// How long a scrub runs before it checks its pace.
pub(crate) const SLICE: Duration = Duration::from_millis(4);

/// The running time available to the scrubs of one table.
#[derive(Debug)]
pub(crate) struct Pace {
    credit: Duration,
    at: Instant,
}

/// Whether callers wait for a scrub.
#[derive(Debug, Default)]
pub(crate) struct Hurry {
    waiting: AtomicUsize,
    /// Whether the current scrub, or else the next one, must not pause.
    once: AtomicBool,
}

impl Pace {
    pub(crate) fn new(now: Instant) -> Self {
        Self { credit: CREDIT_MAX, at: now }
    }

    /// Notes a slice that took `took` and ended at `now`. Returns how long to pause before the
    /// next one.
    pub(crate) fn rest_after(&mut self, took: Duration, now: Instant) -> Duration {
        let earned = now.saturating_duration_since(self.at) * SHARE_PERCENT / 100;
        self.at = now;
        self.credit = (self.credit + earned).min(CREDIT_MAX);
        match self.credit.checked_sub(took) {
            Some(left) => {
                self.credit = left;
                Duration::ZERO
            }
            None => {
                let lacking = took - self.credit;
                self.credit = Duration::ZERO;
                let rest = lacking * 100 / SHARE_PERCENT;
                // The pause itself earns this time.
                self.at = now + rest;
                rest
            }
        }
    }
}

impl Hurry {
    pub(crate) fn is_on(&self) -> bool {
        self.once.load(Relaxed) || self.waiting.load(Relaxed) > 0
    }

    pub(crate) fn once(&self) {
        self.once.store(true, Relaxed);
    }

    pub(crate) fn wait(&self) {
        self.waiting.fetch_add(1, Relaxed);
    }

    pub(crate) fn waited(&self) {
        self.waiting.fetch_sub(1, Relaxed);
    }

    pub(crate) fn scrub_ended(&self) {
        self.once.store(false, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scrubs_use_their_share_of_the_time_whatever_the_work() {
        let begun = Instant::now();
        let (mut pace, mut now, mut worked) = (Pace::new(begun), begun, Duration::ZERO);
        for round in 0..5_000_u64 {
            let took = Duration::from_micros(500 + round % 7_000);
            worked += took;
            now += took;
            now += pace.rest_after(took, now);
        }
        let share = (worked - CREDIT_MAX).as_secs_f64() / (now - begun).as_secs_f64();
        assert!(share <= f64::from(SHARE_PERCENT) / 100.0 * 1.05, "{share}");
        assert!(share >= f64::from(SHARE_PERCENT) / 100.0 * 0.8, "{share}: slower than necessary");
    }

    #[test]
    fn little_work_after_a_pause_needs_no_further_pause() {
        let begun = Instant::now();
        let mut pace = Pace::new(begun);
        for round in 1..100 {
            let now = begun + Duration::from_secs(10) * round;
            assert_eq!(pace.rest_after(Duration::from_millis(150), now), Duration::ZERO);
        }
    }
}
