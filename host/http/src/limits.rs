//! The bounds of a listener and its connections.

use std::time::Duration;

/// The bounds of a listener and its connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The number of open connections. Beyond it, an idle one of the client that has the most gives way to a new one.
    pub connections_max: usize,
    /// The number of them that one client address may have, or one IPv6 network of 56 bits.
    pub connections_per_address_max: usize,
    /// How long a client may take to send a request's head, and how long a connection may be idle.
    pub header_timeout: Duration,
    /// How long a client may leave an answer unread.
    pub write_timeout: Duration,
    /// How long running requests may continue after shutdown begins.
    pub drain: Duration,
}

impl Limits {
    /// Returns the number of connections of one address for its configured value: half of all if that is 0.
    #[must_use]
    pub fn per_address(configured: usize, connections_max: usize) -> usize {
        match configured {
            0 => connections_max.div_ceil(2),
            configured => configured,
        }
    }
}
