//! Hybrid logical clocks: Kulkarni, Demirbas et al., "Logical Physical Clocks" (OPODIS 2014).

use crate::mutation::{Mutation, active};
use serde::{Deserialize, Serialize};

/// A reading of a hybrid logical clock: 48 bits of milliseconds since 1970, then a 16-bit counter
/// for events within one millisecond. Readings order by their numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Hlc(pub u64);

impl Hlc {
    /// Combines milliseconds and counter into a reading. The counter's overflow carries into the
    /// milliseconds.
    #[must_use]
    pub const fn new(physical_ms: u64, counter: u16) -> Self {
        Self((physical_ms << 16) | counter as u64)
    }

    /// Returns the milliseconds since 1970.
    #[must_use]
    pub const fn physical_ms(self) -> u64 {
        self.0 >> 16
    }
}

/// The error for a peer's clock reading that is too far ahead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a clock reading {ahead_ms} ms ahead of ours was rejected (limit: {drift_max_ms} ms); check NTP on both hosts")]
pub struct ClockDrift {
    /// How far the reading is ahead of our physical clock, in milliseconds.
    pub ahead_ms: u64,
    /// The limit that it exceeded, in milliseconds.
    pub drift_max_ms: u64,
}

/// A clock whose readings never repeat and never go back, whatever the physical clock does.
#[derive(Clone, Copy, Debug, Default)]
pub struct HlcClock {
    last: Hlc,
}

impl HlcClock {
    /// Creates a clock that continues after `last`, the newest reading in the recovered log.
    #[must_use]
    pub fn after(last: Hlc) -> Self {
        Self { last }
    }

    /// Returns the next reading, for an event at `physical_ms`. It is greater than every reading
    /// returned or observed before.
    pub fn tick(&mut self, physical_ms: u64) -> Hlc {
        let physical = Hlc::new(physical_ms, 0);
        self.last =
            if physical > self.last || active(Mutation::ClockGoesBack) { physical } else { Hlc(self.last.0 + 1) };
        self.last
    }

    /// Observes a peer's reading, so that later readings order after it.
    pub fn observe(&mut self, peer: Hlc, physical_ms: u64, drift_max_ms: u64) -> Result<(), ClockDrift> {
        let ahead_ms = peer.physical_ms().saturating_sub(physical_ms);
        if ahead_ms > drift_max_ms {
            return Err(ClockDrift { ahead_ms, drift_max_ms });
        }
        if !active(Mutation::ForgetPeerClock) {
            self.last = self.last.max(peer);
        }
        Ok(())
    }

    /// Returns the newest reading returned or observed.
    #[must_use]
    pub fn last(&self) -> Hlc {
        self.last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readings_grow_while_the_physical_clock_stalls_or_steps_back() {
        let mut clock = HlcClock::default();
        let mut before = clock.tick(1_000);
        for physical_ms in [1_000, 1_000, 900, 1_001, 0] {
            let now = clock.tick(physical_ms);
            assert!(now > before);
            before = now;
        }
    }

    #[test]
    fn a_peer_reading_too_far_ahead_is_rejected_and_changes_nothing() {
        let mut clock = HlcClock::default();
        clock.tick(1_000);
        let far = Hlc::new(61_001, 0);
        assert_eq!(clock.observe(far, 1_000, 60_000), Err(ClockDrift { ahead_ms: 60_001, drift_max_ms: 60_000 }));
        assert!(clock.tick(1_001) < far);
        clock.observe(Hlc::new(2_000, 7), 1_001, 60_000).unwrap();
        assert_eq!(clock.tick(1_002), Hlc::new(2_000, 8));
    }
}
