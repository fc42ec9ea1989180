//! What can be wrong with bytes from a peer.

/// Why bytes are not what they should be. After any of these the stream they came from has lost its footing: it must
/// be closed, and nothing of the frame at fault was handed on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The frame announces, or a message has, a payload beyond the bound.
    #[error("frame of {len} bytes is longer than the {len_max} allowed here")]
    TooLong {
        /// The payload's length, in bytes.
        len: usize,
        /// The bound of this direction, in bytes.
        len_max: usize,
    },
    /// The payload is not what the sender hashed.
    #[error("frame of {len} bytes is damaged: its checksum is {found:08x}, its header says {expected:08x}")]
    Checksum {
        /// The payload's length, in bytes.
        len: usize,
        /// What the header says.
        expected: u32,
        /// What the payload has.
        found: u32,
    },
    /// The payload is whole, but no message of this direction.
    #[error("malformed {what}: {reason}")]
    Malformed {
        /// What was being read.
        what: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// The stream ended within a frame, or a block within an entry.
    #[error("{what} ends early: {needed} bytes needed, {have} there")]
    Truncated {
        /// What was being read.
        what: &'static str,
        /// Bytes needed.
        needed: usize,
        /// Bytes there.
        have: usize,
    },
}

pub(crate) fn malformed(what: &'static str, reason: impl ToString) -> Error {
    Error::Malformed { what, reason: reason.to_string() }
}
