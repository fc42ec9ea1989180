//! Pauses between attempts to connect.

use std::{
    hash::{BuildHasher as _, RandomState},
    time::Duration,
};

/// Pauses between attempts: doubling, with jitter, so that subscribers do not come back all at once.
#[derive(Clone, Debug)]
pub struct Pause {
    min: Duration,
    max: Duration,
    next: Duration,
    random: RandomState,
    drawn: u64,
}

impl Pause {
    /// Pauses that begin with `min` and grow to `max`.
    #[must_use]
    pub fn new(min: Duration, max: Duration) -> Self {
        Self { min, max, next: min, random: RandomState::new(), drawn: 0 }
    }

    /// Begins with the shortest again.
    pub fn reset(&mut self) {
        self.next = self.min;
    }

    /// The next pause: between a half and the whole of what it has grown to.
    pub fn next_pause(&mut self) -> Duration {
        let pause = self.next;
        self.next = (pause * 2).min(self.max);
        self.drawn += 1;
        let share = self.random.hash_one(self.drawn) as u32;
        pause / 2 + (pause / 2).mul_f64(f64::from(share) / f64::from(u32::MAX))
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
