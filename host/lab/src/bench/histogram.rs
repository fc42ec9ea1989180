//! The latencies of one run.

use hdrhistogram::Histogram;
use std::time::Duration;

/// The greatest latency that is recorded as it is: a minute.
const MAX_NS: u64 = 60_000_000_000;

/// A histogram in nanoseconds with three digits.
#[derive(Clone, Debug)]
pub struct Latencies(Histogram<u64>);

impl Default for Latencies {
    fn default() -> Self {
        // The bounds are constants that the histogram accepts; its fallback has its own bounds.
        Self(Histogram::new_with_max(MAX_NS, 3).unwrap_or_else(|_| unreachable!("3 digits up to a minute")))
    }
}

impl Latencies {
    /// Records a latency.
    pub fn record(&mut self, latency: Duration) {
        self.0.saturating_record(u64::try_from(latency.as_nanos()).unwrap_or(MAX_NS));
    }

    /// Returns a quantile in microseconds.
    pub fn quantile_us(&self, quantile: f64) -> f64 {
        self.0.value_at_quantile(quantile) as f64 / 1_000.0
    }

    /// Adds other latencies.
    pub fn add(&mut self, others: &Self) {
        // Both have the same bounds, so nothing can be lost.
        let _ = self.0.add(&others.0);
    }

    /// Returns how many were recorded.
    pub fn len(&self) -> u64 {
        self.0.len()
    }
}
