//! The inputs and outputs of an election.

use crate::{
    claim::Claim,
    store::{Seen, Swap, Tag},
};
use littoral_model::position::Epoch;
use std::time::Duration;

/// An input of the election.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Time has passed.
    Timer,
    /// This process competes for the lease, in an epoch greater than `floor`: the newest in its own log.
    Stand {
        /// Epochs up to this one are not begun.
        floor: Epoch,
    },
    /// This process no longer competes. A leader stops at once and releases its claim.
    Resign,
    /// The result of [`Command::Read`].
    Read {
        /// The number of the request.
        request: u64,
        /// The store's content; `None` if the store did not answer.
        result: Option<Option<Seen>>,
    },
    /// The result of [`Command::Swap`].
    Swapped {
        /// The number of the request.
        request: u64,
        /// The result; `None` if it is unknown.
        result: Option<Swap>,
    },
}

/// What the driver must do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Read the store.
    Read {
        /// Returned with the result.
        request: u64,
    },
    /// Perform a compare-and-swap on the store.
    Swap {
        /// Returned with the result.
        request: u64,
        /// The expected state.
        expected: Option<Tag>,
        /// The new claim.
        claim: Claim,
    },
    /// This process leads in `epoch` until the given time, unless a later command prolongs it.
    Lead {
        /// The epoch.
        epoch: Epoch,
        /// A reading of the clock that the election receives.
        until: Duration,
    },
    /// This process no longer leads.
    StepDown {
        /// The epoch that has ended.
        epoch: Epoch,
        /// Why.
        why: Ended,
    },
    /// The store's claim has changed, or was removed.
    Follow {
        /// The new claim.
        claim: Option<Claim>,
    },
}

/// Why a leadership ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The lease expired before a renewal succeeded.
    RanOut,
    /// Another claim is in the store.
    Superseded,
    /// The process resigned.
    Resigned,
}

impl Ended {
    /// Returns the reason as a word for logs and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RanOut => "ran_out",
            Self::Superseded => "superseded",
            Self::Resigned => "resigned",
        }
    }
}

/// The role of a process in the election.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It does not compete, or another process's lease has not expired as far as it knows.
    Follower,
    /// It competes, and no lease is known to be valid.
    Contender,
    /// It is the leader.
    Leader {
        /// The epoch.
        epoch: Epoch,
        /// The end of its lease.
        until: Duration,
    },
}
