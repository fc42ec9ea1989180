//! The local clock of a simulated process: it has its own origin and a rate that may change.

use std::time::Duration;

/// True time, in nanoseconds since the start of the simulation.
pub type Truth = u64;

#[derive(Clone, Copy, Debug)]
pub struct LocalClock {
    local: u64,
    since: Truth,
    /// How many nanoseconds it counts in a million of true time.
    rate: u64,
}

impl LocalClock {
    pub fn new(origin: u64, since: Truth, drift_ppm: i64) -> Self {
        Self { local: origin, since, rate: rate(drift_ppm) }
    }

    /// Changes the rate from now on.
    pub fn change(&mut self, now: Truth, drift_ppm: i64) {
        *self = Self { local: self.read(now).as_nanos() as u64, since: now, rate: rate(drift_ppm) };
    }

    pub fn read(&self, now: Truth) -> Duration {
        Duration::from_nanos(self.local + muldiv(now - self.since, self.rate, 1_000_000))
    }

    /// Returns the first true time at which it reads `local` or more.
    pub fn when(&self, local: Duration) -> Truth {
        let ahead = (local.as_nanos() as u64).saturating_sub(self.local);
        self.since + muldiv(ahead, 1_000_000, self.rate) + 1
    }
}

fn rate(drift_ppm: i64) -> u64 {
    u64::try_from(1_000_000 + drift_ppm).unwrap()
}

fn muldiv(a: u64, b: u64, c: u64) -> u64 {
    (u128::from(a) * u128::from(b) / u128::from(c)) as u64
}
