//! Hedging: sends a slow read to the next door as well, and uses the first answer.

use crate::budget;
use serde::Deserialize;
use std::time::Duration;

/// When a second request is sent.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// A read that takes longer than this share of the previous reads is slow. 1 disables hedging. Default 0.98.
    pub quantile: f64,
    /// A read that has taken less than this is never hedged, in milliseconds. Default 10.
    pub delay_ms_min: u64,
    /// The limit of hedges, as a share of the reads. Default 0.05.
    pub share: f64,
    /// The hedges that may be made at once after a time without. A count. Default 20.
    pub burst: u32,
}

/// The durations of reads, in buckets whose bounds grow by a fifth. After a number of reads, all counts are halved.
#[derive(Clone, Debug)]
pub struct Durations {
    buckets: [u32; BUCKETS],
    count: u32,
    since_forgetting: u32,
}

const BUCKETS: usize = 100;

/// The bound of the first bucket, in microseconds.
const FIRST_US: f64 = 50.0;

const GROWTH: f64 = 1.2;

/// The number of reads after which earlier ones count half.
const FORGET_AFTER: u32 = 4_096;

/// The fewest reads from which a quantile is estimated.
const COUNT_MIN: u32 = 50;

impl Default for Config {
    fn default() -> Self {
        Self { quantile: 0.98, delay_ms_min: 10, share: 0.05, burst: 20 }
    }
}

// === impl Config ===

impl Config {
    /// Returns the settings of the hedging budget.
    #[must_use]
    pub fn budget(&self) -> budget::Config {
        budget::Config { share: self.share, burst: self.burst }
    }

    /// Returns the duration after which a read is slow; `None` if it is not known yet, or if hedging is disabled.
    #[must_use]
    pub fn delay(&self, durations: &Durations) -> Option<Duration> {
        if self.quantile >= 1.0 {
            return None;
        }
        Some(durations.quantile(self.quantile)?.max(Duration::from_millis(self.delay_ms_min)))
    }
}

// === impl Durations ===

impl Default for Durations {
    fn default() -> Self {
        Self { buckets: [0; BUCKETS], count: 0, since_forgetting: 0 }
    }
}

impl Durations {
    /// Records a read's duration.
    pub fn observe(&mut self, took: Duration) {
        let us = took.as_secs_f64() * 1e6;
        let index = if us <= FIRST_US { 0 } else { ((us / FIRST_US).ln() / GROWTH.ln()).ceil() as usize };
        self.buckets[index.min(BUCKETS - 1)] += 1;
        self.count += 1;
        self.since_forgetting += 1;
        if self.since_forgetting >= FORGET_AFTER {
            self.since_forgetting = 0;
            self.buckets.iter_mut().for_each(|count| *count /= 2);
            self.count = self.buckets.iter().sum();
        }
    }

    /// Returns the upper bound of this share of the durations; `None` if there are too few reads.
    #[must_use]
    pub fn quantile(&self, share: f64) -> Option<Duration> {
        if self.count < COUNT_MIN {
            return None;
        }
        let wanted = (f64::from(self.count) * share.clamp(0.0, 1.0)).ceil() as u32;
        let mut seen = 0;
        let reaches = |count: &u32| {
            seen += count;
            seen >= wanted
        };
        let index = self.buckets.iter().position(reaches).unwrap_or(BUCKETS - 1);
        Some(Duration::from_secs_f64(FIRST_US * GROWTH.powi(index as i32) / 1e6))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_accurate_to_a_fifth() {
        let mut durations = Durations::default();
        assert_eq!(durations.quantile(0.5), None, "too few");
        (1..=1_000).for_each(|ms| durations.observe(Duration::from_millis(ms)));
        for (share, ms) in [(0.5, 500.0), (0.98, 980.0)] {
            let found = durations.quantile(share).unwrap().as_secs_f64() * 1e3;
            assert!(found >= ms && found <= ms * 1.25, "{share}: {found}");
        }
        let config = Config::default();
        assert!(config.delay(&durations).unwrap() >= Duration::from_millis(980));
        assert_eq!(Config { quantile: 1.0, ..config }.delay(&durations), None);
    }

    #[test]
    fn old_reads_lose_their_weight() {
        let mut durations = Durations::default();
        (0..1_000).for_each(|_| durations.observe(Duration::from_secs(1)));
        (0..100_000).for_each(|_| durations.observe(Duration::from_millis(1)));
        assert!(durations.quantile(0.98).unwrap() < Duration::from_millis(2));
        durations.observe(Duration::MAX);
    }
}
