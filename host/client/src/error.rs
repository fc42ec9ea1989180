//! What can go wrong with a call.

use littoral_api::Problem;

/// Why a call failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The node's address cannot be used.
    #[error("'{given}' is not a node's address: {reason}; give one like http://127.0.0.1:6566")]
    Address {
        /// What was given.
        given: String,
        /// What is wrong with it.
        reason: String,
    },
    /// No connection. The call was not sent.
    #[error(
        "cannot connect to {url}: {reason}; check that the node runs there (`littoral status {base}`) and that the address is right"
    )]
    Connect {
        /// What was called.
        url: String,
        /// The node's address.
        base: String,
        /// What the system said.
        reason: String,
    },
    /// No answer in time. Whether the call took effect is not known.
    #[error(
        "{url} did not answer within {after_ms} ms; whether the call took effect is not known: retry it, or allow it more time"
    )]
    Timeout {
        /// What was called.
        url: String,
        /// The deadline.
        after_ms: u64,
    },
    /// The connection broke. Whether the call took effect is not known.
    #[error("the connection to {url} broke: {reason}; whether the call took effect is not known: retry it")]
    Transport {
        /// What was called.
        url: String,
        /// What the system said.
        reason: String,
    },
    /// An answer larger than is taken.
    #[error("{url} answers with more than {max} bytes; ask for less at once")]
    TooLarge {
        /// What was called.
        url: String,
        /// The bound.
        max: usize,
    },
    /// The node refused.
    #[error(transparent)]
    Refused(#[from] Problem),
    /// An answer that is not the API's.
    #[error(
        "{url} answered something else than Littoral's API does: {reason}; check that a Littoral node of this version runs there"
    )]
    Unexpected {
        /// What was called.
        url: String,
        /// What could not be understood.
        reason: String,
    },
    /// What should be sent cannot be sent.
    #[error("the request cannot be made: {0}")]
    Request(String),
}

impl Error {
    /// What the node said, if it did.
    #[must_use]
    pub fn problem(&self) -> Option<&Problem> {
        if let Self::Refused(problem) = self { Some(problem) } else { None }
    }

    /// The problem's stable word; empty when the node said none.
    #[must_use]
    pub fn code(&self) -> &str {
        self.problem().map_or("", |problem| &problem.code)
    }

    /// Where the row that is at fault stands in the write, if the node named one.
    #[must_use]
    pub fn row(&self) -> Option<u64> {
        self.problem().and_then(|problem| problem.row)
    }

    /// The HTTP status, if the node answered.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        self.problem().map(|problem| problem.status)
    }

    /// Whether what was asked for is not there.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        self.status() == Some(404)
    }

    /// Whether the same call may succeed later.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Connect { .. } | Self::Timeout { .. } | Self::Transport { .. } => true,
            Self::Refused(problem) => matches!(problem.status, 429 | 502 | 503 | 504),
            _ => false,
        }
    }
}
