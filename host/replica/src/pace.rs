//! How fast rows are added up again: a share of one core, whatever the table's size.
//!
//! A scrub of a small table takes no time that anybody would notice, and one of a large table would take a core for seconds, again
//! and again. So scrubs earn time as it passes, and rest when they have used it up. Whoever waits for a scrub may hurry it.

use std::{
    sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    time::{Duration, Instant},
};

/// Of a hundred parts of one core: what scrubs may take. With what else an idle node does it stays below five.
pub(crate) const SHARE_PERCENT: u32 = 3;

/// What a scrub may take at once after long rest.
const CREDIT_MAX: Duration = Duration::from_millis(200);

/// How long a scrub works before it looks at its pace.
pub(crate) const SLICE: Duration = Duration::from_millis(4);

/// What scrubs of one table may take.
#[derive(Debug)]
pub(crate) struct Pace {
    credit: Duration,
    at: Instant,
}

/// Who waits for a scrub.
#[derive(Debug, Default)]
pub(crate) struct Hurry {
    waiting: AtomicUsize,
    /// The scrub that is under way, or else the next one, is waited for.
    once: AtomicBool,
}

impl Pace {
    pub(crate) fn new(now: Instant) -> Self {
        Self { credit: CREDIT_MAX, at: now }
    }

    /// A slice took this long and ended now. Returns for how long to rest before the next one.
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
                // It is earned by the resting itself.
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
    fn work_is_a_share_of_the_time_whatever_there_is_to_do() {
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
        assert!(share >= f64::from(SHARE_PERCENT) / 100.0 * 0.8, "{share}: it is no slower than it must be");
    }

    #[test]
    fn little_work_after_a_rest_is_done_at_once() {
        let begun = Instant::now();
        let mut pace = Pace::new(begun);
        for round in 1..100 {
            let now = begun + Duration::from_secs(10) * round;
            assert_eq!(pace.rest_after(Duration::from_millis(150), now), Duration::ZERO);
        }
    }
}
