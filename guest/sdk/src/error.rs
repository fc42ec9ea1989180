//! Why a module cannot compute.

use std::fmt;

/// Why a call fails. The caller sees the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// The request is at fault.
    InvalidInput(String),
    /// Rows that the module needs are unknown on this host now: the same call may succeed later, or elsewhere.
    Unavailable(String),
    /// Anything else.
    Failed(String),
}

impl Error {
    /// The request is at fault.
    pub fn invalid_input(why: impl Into<String>) -> Self {
        Self::InvalidInput(why.into())
    }

    /// Rows that the module needs are unknown on this host now.
    pub fn unavailable(why: impl Into<String>) -> Self {
        Self::Unavailable(why.into())
    }

    /// Anything else.
    pub fn failed(why: impl Into<String>) -> Self {
        Self::Failed(why.into())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InvalidInput(why) => write!(f, "invalid input: {why}"),
            Self::Unavailable(why) => write!(f, "unavailable: {why}"),
            Self::Failed(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for Error {}
