//! The outcome of a seed.

use crate::{event::Event, timeline::Timeline};
use std::fmt;

/// A seed that broke no invariant.
#[derive(Debug)]
pub struct Report {
    /// Everything that happened.
    pub events: Timeline<Event>,
}

/// A seed that broke an invariant.
#[derive(Debug)]
pub struct Failure {
    /// The seed.
    pub seed: u64,
    /// The invariant that was broken, and how.
    pub broken: String,
    /// Everything that happened until then.
    pub events: Timeline<Event>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, broken, events } = self;
        let (count, digest) = (events.len(), events.digest());
        write!(
            f,
            "seed {seed}, event {count}, log {digest:016x}: {broken}; replay: littoral-simulation --from {seed} --seeds 1 --events"
        )
    }
}
