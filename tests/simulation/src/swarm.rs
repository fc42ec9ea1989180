//! Frequencies of faults that differ from seed to seed. A fault that needs several rare events of few kinds, close
//! together, hardly ever happens while all kinds are equally likely, because the other kinds end what it needs.

use crate::{
    leader::region,
    random::Random,
    world::{EDGES, RELAY},
};
use littoral_model::region::Region;
use std::ops::Range;

/// Makes the draws of rules independent of a seed's other draws, so that a seed without a rule is the same world as
/// before there were rules.
const RULES: u64 = 0x7265_7369_6465_6e63;
/// The same for reverts after crashes.
const REVERTS: u64 = 0x0072_6576_6572_7473;

/// Returns whether, in a seed's world, each crash of the leader is followed by a revert of its host to the state before
/// the crash. So the leader soon forgets the life that has begun, while some edges know it. One world in four is such.
pub(crate) fn reverts_after_crashes(seed: u64) -> bool {
    Random::new(seed ^ REVERTS).one_in(4)
}

/// A residency rule: only the leader's region may hold the rows of one view.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rule {
    /// The edges that are in another region.
    pub(crate) outside: [bool; EDGES],
    /// Whether publishers send such rows to edges that may not hold them.
    pub(crate) lies: bool,
}

impl Rule {
    /// Returns the rule of a seed's world. One world in three has one.
    pub(crate) fn of(seed: u64) -> Option<Self> {
        let mut random = Random::new(seed ^ RULES);
        if !random.one_in(3) {
            return None;
        }
        // A rule that concerns no edge shows nothing, and neither does one that concerns all.
        let one = random.below(EDGES as u64) as usize;
        let outside = match random.below(3) {
            0 => std::array::from_fn(|edge| edge == one),
            1 => std::array::from_fn(|edge| edge != one),
            _ => std::array::from_fn(|edge| edge == RELAY),
        };
        Some(Self { outside, lies: random.one_in(3) })
    }

    /// Returns the region of an edge.
    pub(crate) fn region_of(&self, edge: usize) -> Region {
        if self.outside[edge] { "west".parse().unwrap_or(Region::NONE) } else { region() }
    }
}

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
