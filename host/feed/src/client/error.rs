//! Why the leader's peer door does not serve us.

use crate::inbox::InboxError;

/// Why the feed cannot be opened or read on. After any of these, connect again.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No connection.
    #[error("cannot connect to the leader at {address}: {reason}")]
    Connect {
        /// The address that was tried last.
        address: String,
        /// Why.
        reason: String,
    },
    /// There is a server, but it does not open the stream: another service, or a full leader.
    #[error("the leader's peer door refuses {path} with status {status}: {message}")]
    Refused {
        /// What was asked for.
        path: &'static str,
        /// The HTTP status.
        status: u16,
        /// The server's words, shortened.
        message: String,
    },
    /// What came is no frame or no message.
    #[error("the leader sent something that is not the feed's protocol: {0}")]
    Wire(#[from] littoral_wire::Error),
    /// The connection broke.
    #[error("the connection to the leader broke: {0}")]
    Broken(String),
    /// Nothing came for too long.
    #[error("the leader was silent for {waited_ms} ms")]
    Silent {
        /// How long, in milliseconds.
        waited_ms: u64,
    },
    /// The leader does not read what we send.
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
