//! Slow return: a returning door regains its share of requests gradually, because its caches are cold and its recovery
//! is not proven yet.

use crate::Moment;
use std::time::Duration;

/// The share at the beginning.
pub(crate) const FIRST: f64 = 0.1;

/// The moment at which a door returned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SlowReturn(Option<Moment>);

// === impl SlowReturn ===

impl SlowReturn {
    /// Records that the door has returned now.
    pub fn begin(&mut self, now: Moment) {
        self.0 = Some(now);
    }

    /// Returns the share of its usual weight, which grows linearly from a tenth to one.
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
        assert_eq!(back.share(at(0), ten), 1.0, "it was never ejected");
        back.begin(at(100));
        assert_eq!(back.share(at(100), ten), 0.1);
        assert!((back.share(at(105), ten) - 0.55).abs() < 1e-9);
        assert_eq!(back.share(at(110), ten), 1.0);
        assert_eq!(back.share(at(100), Duration::ZERO), 1.0);
    }
}
