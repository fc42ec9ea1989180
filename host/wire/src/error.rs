//! Errors in bytes from a peer.

/// Why bytes are rejected. After any of these errors the stream cannot continue and must be
/// closed; nothing of the faulty frame was returned.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The frame announces, or a message has, a payload that exceeds the limit.
    #[error("frame of {len} bytes exceeds the maximum of {len_max}")]
    TooLong {
        /// The payload's length, in bytes.
        len: usize,
        /// The limit in this direction, in bytes.
        len_max: usize,
    },
    /// The payload does not match the sender's checksum.
    #[error("frame of {len} bytes is damaged: its checksum is {found:08x}, its header states {expected:08x}")]
    Checksum {
        /// The payload's length, in bytes.
        len: usize,
        /// The checksum in the header.
        expected: u32,
        /// The checksum of the payload.
        found: u32,
    },
    /// The payload is intact, but is not a message of this direction.
    #[error("malformed {what}: {reason}")]
    Malformed {
        /// What was being decoded.
        what: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// The stream ended within a frame, or a block within an entry.
    #[error("{what} is truncated: {needed} bytes needed, got {have}")]
    Truncated {
        /// What was being decoded.
        what: &'static str,
        /// The number of bytes needed.
        needed: usize,
        /// The number of bytes available.
        have: usize,
    },
}

pub(crate) fn malformed(what: &'static str, reason: impl ToString) -> Error {
    Error::Malformed { what, reason: reason.to_string() }
}
