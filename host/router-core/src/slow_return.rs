//! Slow return: a door that comes back gets its share of requests bit by bit, as its caches are cold and its recovery
//! is not yet proven.

use crate::Moment;
use std::time::Duration;

/// The share that a door begins with.
pub(crate) const FIRST: f64 = 0.1;

/// Since when a door is back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SlowReturn(Option<Moment>);

// === impl SlowReturn ===

impl SlowReturn {
    /// It came back now.
    pub fn begin(&mut self, now: Moment) {
        self.0 = Some(now);
    }

    /// The share of its usual weight that it gets, from a tenth to one, growing in a straight line.
    #[must_use]
    pub fn share(&self, now: Moment, lasts: Duration) -> f64 {
        let Some(since) = self.0 else { return 1.0 };
        let passed = now.saturating_sub(since);
        if passed >= lasts {
            return 1.0;
        }
        FIRST + (1.0 - FIRST) * passed.as_secs_f64() / lasts.as_secs_f64()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_grows_from_a_tenth_to_all() {
        let mut back = SlowReturn::default();
        let (ten, at) = (Duration::from_secs(10), Moment::from_secs);
        assert_eq!(back.share(at(0), ten), 1.0, "it was never away");
        back.begin(at(100));
        assert_eq!(back.share(at(100), ten), 0.1);
        assert!((back.share(at(105), ten) - 0.55).abs() < 1e-9);
        assert_eq!(back.share(at(110), ten), 1.0);
        assert_eq!(back.share(at(100), Duration::ZERO), 1.0);
    }
}
