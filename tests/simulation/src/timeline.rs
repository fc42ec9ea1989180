//! The events of one seed, and their hash.

use std::{fmt, time::Duration};

/// An event of a world: `Display` describes it to people, [`TimelineEvent::fold`] feeds its numbers to the hash.
pub trait TimelineEvent: fmt::Display {
    /// Feeds the event to the hash: its own number, which no other event of the world has, then its fields. Texts of
    /// the product are left out, so that rewording an error changes no digest.
    fn fold(&self, hash: &mut Hash);
}

/// Events with the time of each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timeline<E>(Vec<(Duration, E)>);

impl<E> Default for Timeline<E> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<E: TimelineEvent> Timeline<E> {
    /// Adds an event.
    pub(crate) fn push(&mut self, at: Duration, event: E) {
        self.0.push((at, event));
    }

    /// Counts the events.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns whether there are no events.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns a line of text for each event.
    pub fn lines(&self) -> impl Iterator<Item = String> {
        self.0.iter().map(|(at, event)| format!("{:>6} ms  {event}", at.as_millis()))
    }

    /// Returns a hash of the times and events. It is the same in every process, and across releases of Rust and of
    /// every library.
    #[must_use]
    pub fn digest(&self) -> u64 {
        let mut hash = Hash::default();
        for (at, event) in &self.0 {
            hash.numbers([at.as_millis() as u64]);
            event.fold(&mut hash);
        }
        hash.0
    }
}

/// FNV-1a over numbers of eight bytes, little-endian.
#[derive(Debug)]
pub struct Hash(u64);

impl Default for Hash {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Hash {
    /// Adds numbers.
    pub(crate) fn numbers<const N: usize>(&mut self, numbers: [u64; N]) {
        for byte in numbers.into_iter().flat_map(u64::to_le_bytes) {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    /// Adds a number that may be missing.
    pub(crate) fn optional(&mut self, number: Option<u64>) {
        self.numbers([u64::from(number.is_some()), number.unwrap_or(0)]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Number(u64);

    impl TimelineEvent for Number {
        fn fold(&self, hash: &mut Hash) {
            hash.numbers([self.0]);
        }
    }

    impl fmt::Display for Number {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            self.0.fmt(f)
        }
    }

    /// Digests of different releases are compared with each other.
    #[test]
    fn the_digest_is_fnv_1a_over_times_and_numbers() {
        let mut timeline = Timeline::default();
        assert_eq!(timeline.digest(), 0xcbf2_9ce4_8422_2325);
        timeline.push(Duration::from_millis(0x61), Number(0));
        // FNV-1a of "a", then fifteen zero bytes, each of which multiplies by the prime.
        let expected = (0..15).fold(0xaf63_dc4c_8601_ec8c_u64, |hash, _| hash.wrapping_mul(0x0100_0000_01b3));
        assert_eq!(timeline.digest(), expected);
        assert_eq!(timeline.lines().collect::<Vec<_>>(), ["    97 ms  0"]);
    }
}
