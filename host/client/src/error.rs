//! Errors of calls.

use littoral_api::Problem;

/// Why a call failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The address of the node is invalid.
    #[error("'{given}' is not a node's address: {reason}; use one like http://127.0.0.1:6566")]
    Address {
        /// The address.
        given: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A certificate, a key or a bundle of roots cannot be used.
    #[error("{0}")]
    Tls(String),
    /// There is no connection. The call was not sent.
    #[error(
        "cannot connect to {url}: {reason}; check that the node runs there (`littoral status {base}`) and that the address is right"
    )]
    Connect {
        /// The URL of the call.
        url: String,
        /// The address of the node.
        base: String,
        /// The error of the system.
        reason: String,
    },
    /// There was no response in time. The call may have taken effect.
    #[error(
        "{url} did not answer within {after_ms} ms; the call may have taken effect: retry it, or allow it more time"
    )]
    Timeout {
        /// The URL of the call.
        url: String,
        /// The timeout.
        after_ms: u64,
    },
    /// The connection broke. The call may have taken effect.
    #[error("the connection to {url} broke: {reason}; the call may have taken effect: retry it")]
    Transport {
        /// The URL of the call.
        url: String,
        /// The error of the system.
        reason: String,
    },
    /// The response is too large.
    #[error("{url} answers with more than {max} bytes; request less at once")]
    TooLarge {
        /// The URL of the call.
        url: String,
        /// The largest accepted response body, in bytes.
        max: usize,
    },
    /// The node answered with an error.
    #[error(transparent)]
    Rejected(#[from] Problem),
    /// The response is not one of the API.
    #[error(
        "{url} did not answer like Littoral's API: {reason}; check that a Littoral node of this version runs there"
    )]
    Unexpected {
        /// The URL of the call.
        url: String,
        /// Why it is not.
        reason: String,
    },
    /// The request is invalid.
    #[error("the request is invalid: {0}")]
    Request(String),
}

impl Error {
    /// Returns the error of the node, if it answered with one.
    #[must_use]
    pub fn problem(&self) -> Option<&Problem> {
        if let Self::Rejected(problem) = self { Some(problem) } else { None }
    }

    /// Returns the error code. Empty if the node sent none.
    #[must_use]
    pub fn code(&self) -> &str {
        self.problem().map_or("", |problem| &problem.code)
    }

    /// Returns the index of the invalid row in the write, if the node named one.
    #[must_use]
    pub fn row(&self) -> Option<u64> {
        self.problem().and_then(|problem| problem.row)
    }

    /// Returns the HTTP status, if the node answered.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        self.problem().map(|problem| problem.status)
    }

    /// Returns whether the requested thing does not exist (status 404).
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        self.status() == Some(404)
    }

    /// Returns whether the same call may succeed later. Whether it is safe to repeat is another question: it may have
    /// taken effect.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Connect { .. } | Self::Timeout { .. } | Self::Transport { .. } => true,
            Self::Rejected(problem) => matches!(problem.status, 429 | 502 | 503 | 504),
            _ => false,
        }
    }
}
