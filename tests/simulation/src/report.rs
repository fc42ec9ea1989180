//! What came of a seed.

use std::fmt;

/// A seed that went through.
#[derive(Debug)]
pub struct Report {
    /// What happened.
    pub events: Vec<String>,
    /// A hash of it: the same seed gives the same one in every process.
    pub digest: u64,
}

/// A seed that found something.
#[derive(Debug)]
pub struct Failure {
    /// The seed.
    pub seed: u64,
    /// What does not hold.
    pub broken: String,
    /// What happened until then.
    pub events: Vec<String>,
}

/// FNV-1a over the events, which no release of a library changes.
pub(crate) fn digest(events: &[String]) -> u64 {
    let bytes = events.iter().flat_map(|event| event.bytes().chain([b'\n']));
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

impl Failure {
    /// A hash of what happened until then.
    #[must_use]
    pub fn digest(&self) -> u64 {
        digest(&self.events)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, broken, events } = self;
        let (count, digest) = (events.len(), self.digest());
        write!(
            f,
            "seed {seed}, event {count}, log {digest:016x}: {broken}; replay: littoral-simulation --from {seed} --seeds 1 --events"
        )
    }
}
