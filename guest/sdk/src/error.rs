//! The errors of a module.

use std::fmt;

/// Why a call fails. The caller sees the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// The request is invalid.
    InvalidInput(String),
    /// Rows that the module needs are currently unknown on this host. The same call may succeed later, or on another
    /// host.
    Unavailable(String),
    /// Any other failure.
    Failed(String),
}

impl Error {
    /// The request is invalid.
    pub fn invalid_input(why: impl Into<String>) -> Self {
        Self::InvalidInput(why.into())
    }

    /// Rows that the module needs are currently unknown on this host.
    pub fn unavailable(why: impl Into<String>) -> Self {
        Self::Unavailable(why.into())
    }

    /// Any other failure.
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
