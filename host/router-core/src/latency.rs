//! The smoothed latency of a door.

use std::time::Duration;

/// The weight of a slower measurement: a door that becomes slow should be avoided soon.
const RISE: f64 = 0.5;

/// The weight of a faster measurement: a door that becomes fast should prove it for a while.
const FALL: f64 = 0.2;

/// A moving average that rises faster than it falls.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Latency(Option<f64>);

// === impl Latency ===

impl Latency {
    /// Records a measurement.
    pub fn observe(&mut self, took: Duration) {
        let took = took.as_secs_f64() * 1e3;
        self.0 = Some(match self.0 {
            None => took,
            Some(old) => old + (took - old) * if took > old { RISE } else { FALL },
        });
    }

    /// Returns the latency in milliseconds; `None` before the first measurement.
    #[must_use]
    pub fn ms(&self) -> Option<f64> {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latency_rises_faster_than_it_falls() {
        let mut latency = Latency::default();
        latency.observe(Duration::from_millis(10));
        latency.observe(Duration::from_millis(110));
        assert_eq!(latency.ms(), Some(60.0));
        latency.observe(Duration::from_millis(10));
        assert_eq!(latency.ms(), Some(50.0));
    }
}
