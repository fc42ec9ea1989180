//! Why a measurement could not be made.

use std::{fmt, io};

/// The reason as text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Failure(pub String);

impl Failure {
    /// Returns the failure of an action, with the reason.
    pub fn new(what: impl fmt::Display, why: impl fmt::Display) -> Self {
        Self(format!("{what}: {why}"))
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self(error.to_string())
    }
}

impl From<littoral_provision::Missing> for Failure {
    fn from(missing: littoral_provision::Missing) -> Self {
        Self(missing.to_string())
    }
}
