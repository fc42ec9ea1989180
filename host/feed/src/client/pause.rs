//! Pauses between attempts to connect.

use std::time::Duration;

/// Pauses between attempts: doubling, with jitter, so that subscribers do not reconnect all at once.
#[derive(Clone, Debug)]
pub struct Pause {
    min: Duration,
    max: Duration,
    next: Duration,
}

impl Pause {
    /// Returns pauses that start at `min` and grow to `max`.
    #[must_use]
    pub fn new(min: Duration, max: Duration) -> Self {
        Self { min, max, next: min }
    }

    /// Starts over with the shortest pause.
    pub fn reset(&mut self) {
        self.next = self.min;
    }

    /// Returns the next pause: between half of its current length and all of it.
    pub fn next_pause(&mut self) -> Duration {
        let pause = self.next;
        self.next = (pause * 2).min(self.max);
        pause / 2 + (pause / 2).mul_f64(fastrand::f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_their_bound_and_start_over() {
        let mut pause = Pause::new(Duration::from_millis(100), Duration::from_millis(350));
        for ms in [100, 200, 350, 350] {
            let whole = Duration::from_millis(ms);
            let drawn = pause.next_pause();
            assert!(drawn >= whole / 2 && drawn <= whole, "{drawn:?} of {whole:?}");
        }
        pause.reset();
        assert!(pause.next_pause() <= Duration::from_millis(100));
    }
}
