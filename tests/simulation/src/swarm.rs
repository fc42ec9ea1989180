//! Frequencies of faults that differ from seed to seed. A fault that needs several rare events of few kinds, close
//! together, hardly ever happens while all kinds are equally likely, because the other kinds end what it needs.

use crate::random::Random;
use std::ops::Range;

/// The kinds of faults, as the numbers of steps that [`crate::World`] draws.
const KINDS: [Range<u64>; 12] = [
    // A stream is cut, a stream stalls, an edge restarts, the disk fails.
    82..85,
    85..88,
    88..89,
    89..97,
    // The leader crashes, loses its disk, writes a snapshot; memory is corrupted; clocks jump.
    97..99,
    99..100,
    100..103,
    103..106,
    106..109,
    // The disk is copied, is replaced by the copy; a replaced leader writes.
    109..110,
    110..111,
    111..118,
];

/// What happens in place of a fault that a world does not have: the publishers send.
const PUBLISH_STEP: u64 = 26;

/// Which kinds of faults a world has.
pub(crate) struct Swarm {
    has: [bool; KINDS.len()],
    frequent: [usize; 2],
}

impl Swarm {
    pub(crate) fn new(random: &mut Random) -> Self {
        let has = std::array::from_fn(|_| random.one_in(2));
        let frequent = std::array::from_fn(|_| random.below(KINDS.len() as u64) as usize);
        Self { has, frequent }
    }

    /// Returns the step for the drawn one.
    pub(crate) fn step_for(&self, drawn: u64, random: &mut Random) -> u64 {
        let Some(kind) = KINDS.iter().position(|kind| kind.contains(&drawn)) else { return drawn };
        if self.has[kind] || self.frequent.contains(&kind) {
            return drawn;
        }
        if random.one_in(2) {
            return PUBLISH_STEP;
        }
        let Range { start, end } = KINDS[self.frequent[random.below(2) as usize]];
        start + random.below(end - start)
    }
}
