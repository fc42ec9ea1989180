//! What an election is told, and what it asks for.

use crate::{
    claim::Claim,
    store::{Seen, Swap, Tag},
};
use littoral_model::position::Epoch;
use std::time::Duration;

/// What has happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Time has passed.
    Timer,
    /// This process wants to lead, in an epoch greater than `floor`: the newest that its own log knows.
    Stand {
        /// No epoch up to this one is begun.
        floor: Epoch,
    },
    /// It does not want to lead any more. A leader stops at once, and lets the others know.
    Resign,
    /// The answer to [`Effect::Read`].
    Read {
        /// Which.
        request: u64,
        /// What lies there; `None` when the store did not say.
        result: Option<Option<Seen>>,
    },
    /// The answer to [`Effect::Swap`].
    Swapped {
        /// Which.
        request: u64,
        /// What became of it; `None` when the store did not say.
        result: Option<Swap>,
    },
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Ask the store what lies there.
    Read {
        /// Comes back with the answer.
        request: u64,
    },
    /// Have the store swap.
    Swap {
        /// Comes back with the answer.
        request: u64,
        /// The state that is expected.
        expected: Option<Tag>,
        /// What is to lie there.
        claim: Claim,
    },
    /// This process leads in `epoch`, until then unless told again.
    Lead {
        /// The epoch.
        epoch: Epoch,
        /// By the clock whose readings the election gets.
        until: Duration,
    },
    /// It leads no more.
    StepDown {
        /// The epoch that has ended.
        epoch: Epoch,
        /// Why.
        why: Ended,
    },
    /// The store holds another claim than before, or none.
    Follow {
        /// The claim.
        claim: Option<Claim>,
    },
}

/// Why a leadership ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Its lease ran out before the store answered to a renewal.
    RanOut,
    /// Another claim lies in the store.
    Superseded,
    /// It was asked to.
    Resigned,
}

impl Ended {
    /// The reason in a word, for logs and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RanOut => "ran_out",
            Self::Superseded => "superseded",
            Self::Resigned => "resigned",
        }
    }
}

/// What a process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Another's lease runs as far as is known, or this process does not want it.
    Follower,
    /// Nobody's lease is known to run, and this process tries to get it.
    Candidate,
    /// It leads.
    Leader {
        /// In this epoch.
        epoch: Epoch,
        /// Until then.
        until: Duration,
    },
}
