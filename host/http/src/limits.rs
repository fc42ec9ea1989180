//! The bounds of a listener and its connections.

use std::time::Duration;

/// The bounds of a listener and its connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The number of open connections. Further ones wait in the system's backlog.
    pub connections_max: usize,
    /// How long a client may take to send a request's head, and how long a connection may be idle.
    pub header_timeout: Duration,
    /// How long a client may leave an answer unread.
    pub write_timeout: Duration,
    /// How long running requests may continue after shutdown begins.
    pub drain: Duration,
}
