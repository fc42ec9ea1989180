//! Why the peer listener of a leader cannot be used.

use crate::inbox::InboxError;

/// Why the feed cannot be opened or read any further. After any of these errors, reconnect.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The connection failed.
    #[error("cannot connect to the leader at {address}: {reason}")]
    Connect {
        /// The address that was tried last.
        address: String,
        /// The cause.
        reason: String,
    },
    /// The server does not open the stream: it is another service, or a leader at its limits.
    #[error("the leader's peer listener rejected {path} with status {status}: {message}")]
    Rejected {
        /// The requested path.
        path: &'static str,
        /// The HTTP status.
        status: u16,
        /// The server's message, shortened.
        message: String,
    },
    /// The called node answered with a protocol version that this one did not offer.
    #[error("the leader answered calls with protocol version {theirs}, which was not offered; upgrade the older node")]
    Version {
        /// The version.
        theirs: String,
    },
    /// The bytes received are not a frame or a message.
    #[error("the leader violated the feed's protocol: {0}")]
    Wire(#[from] littoral_wire::Error),
    /// The connection broke.
    #[error("the connection to the leader broke: {0}")]
    Broken(String),
    /// Nothing arrived for too long.
    #[error("the leader was silent for {waited_ms} ms")]
    Silent {
        /// How long, in milliseconds.
        waited_ms: u64,
    },
    /// The leader does not read what this node sends.
    #[error("the leader does not read: {0}")]
    Stalled(String),
}

impl From<InboxError> for Error {
    fn from(error: InboxError) -> Self {
        match error {
            InboxError::Wire(error) => Self::Wire(error),
            InboxError::Broken(reason) => Self::Broken(reason),
        }
    }
}
