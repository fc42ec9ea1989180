//! Random choices from a seed that the caller passes.

use fastrand::Rng;

/// A sequence of random numbers. The same seed yields the same sequence.
#[derive(Clone, Debug)]
pub struct Dice(Rng);

// === impl Dice ===

impl Dice {
    /// Starts the sequence of a seed. Neighbouring seeds yield unlike sequences.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(Rng::with_seed(seed))
    }

    /// Returns the next number.
    pub fn roll(&mut self) -> u64 {
        self.0.u64(..)
    }

    /// Returns the next number as one from 0 to below 1.
    pub fn share(&mut self) -> f64 {
        self.0.f64()
    }
}
