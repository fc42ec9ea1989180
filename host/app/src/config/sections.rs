//! Sections that leaders and edges share.

use serde::Deserialize;
use std::time::Duration;

/// `[shutdown]`: how the process stops.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Shutdown {
    /// How long requests may go on after SIGTERM or SIGINT, in milliseconds.
    pub grace_ms: u64,
}

impl Default for Shutdown {
    fn default() -> Self {
        Self { grace_ms: 10_000 }
    }
}

impl Shutdown {
    /// [`Shutdown::grace_ms`].
    pub fn grace(&self) -> Duration {
        Duration::from_millis(self.grace_ms)
    }
}
