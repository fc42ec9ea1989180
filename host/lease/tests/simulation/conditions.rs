//! Which faults occur, and how often: chosen once per run.

use crate::clock::Truth;
use fastrand::Rng;
use littoral_lease::Timing;

/// Nanoseconds in a millisecond.
pub const MS: Truth = 1_000_000;

#[derive(Clone, Debug)]
pub struct Conditions {
    pub timing: Timing,
    pub nodes: usize,
    /// Whether the store lets claims expire by itself.
    pub store_ends_claims: bool,
    /// One in this many requests is lost; none if 0. Similarly for the following fields.
    pub requests_lost: u64,
    pub answers_lost: u64,
    pub repeated: u64,
    pub slow: u64,
    pub stale_reads: u64,
    /// The average pause between two faults, in milliseconds.
    pub fault_every_ms: u64,
}

impl Conditions {
    pub fn draw(rng: &mut Rng) -> Self {
        let rates = [0, 40, 10, 4];
        let mut rate = || rates[rng.usize(..rates.len())];
        let (requests_lost, answers_lost, repeated, slow, stale_reads) = (rate(), rate(), rate(), rate(), rate());
        Self {
            timing: if rng.bool() { Timing::DEFAULT } else { Timing::AGGRESSIVE },
            nodes: rng.usize(2..=4),
            store_ends_claims: rng.bool(),
            requests_lost,
            answers_lost,
            repeated,
            slow,
            stale_reads,
            fault_every_ms: rng.u64(300..3_000),
        }
    }

    /// Ends all faults, except that the clocks still drift.
    pub fn calm(&mut self) {
        (self.requests_lost, self.answers_lost, self.repeated, self.slow, self.stale_reads) = (0, 0, 0, 0, 0);
    }

    /// Returns how long a message takes.
    pub fn delay(&self, rng: &mut Rng) -> Truth {
        if one_in(rng, self.slow) { rng.u64(20 * MS..SLOWEST) } else { rng.u64(MS / 5..15 * MS) }
    }

    /// Returns the rate of a clock: as often at the bound of the allowed drift as within it.
    pub fn drift_ppm(&self, rng: &mut Rng) -> i64 {
        let bound = i64::from(self.timing.drift_ppm);
        match rng.u8(..3) {
            0 => bound,
            1 => -bound,
            _ => rng.i64(-bound..=bound),
        }
    }
}

/// The longest time that a message takes.
pub const SLOWEST: Truth = 2_500 * MS;

pub fn one_in(rng: &mut Rng, n: u64) -> bool {
    n > 0 && rng.u64(..n) == 0
}
