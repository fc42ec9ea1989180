//! How long a door takes to answer, smoothed.

use std::time::Duration;

/// How much of a slower measurement is believed at once: a door that gets slow should be left soon.
const RISE: f64 = 0.5;

/// How much of a faster one: a door that got fast should show it for a while.
const FALL: f64 = 0.2;

/// A moving average that rises faster than it falls.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Latency(Option<f64>);

// === impl Latency ===

impl Latency {
    /// Takes a measurement in.
    pub fn observe(&mut self, took: Duration) {
        let took = took.as_secs_f64() * 1e3;
        self.0 = Some(match self.0 {
            None => took,
            Some(old) => old + (took - old) * if took > old { RISE } else { FALL },
        });
    }

    /// In milliseconds; `None` before the first measurement.
    #[must_use]
    pub fn ms(&self) -> Option<f64> {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_rises_faster_than_it_falls() {
        let mut latency = Latency::default();
        latency.observe(Duration::from_millis(10));
        latency.observe(Duration::from_millis(110));
        assert_eq!(latency.ms(), Some(60.0));
        latency.observe(Duration::from_millis(10));
        assert_eq!(latency.ms(), Some(50.0));
    }
}
