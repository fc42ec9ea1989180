//! Named timings of a lease.

use crate::timing::Timing;
use serde::Deserialize;

/// Named timings for configuration files and command lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Profile {
    /// A new leader within 3 s of the loss of the old one. Tolerates a store that does not answer for a second.
    #[default]
    Default,
    /// A new leader within 1 s. Needs a store that answers within 100 ms.
    Aggressive,
}

impl Profile {
    /// Returns the profile's times.
    #[must_use]
    pub fn timing(self) -> Timing {
        match self {
            Self::Default => Timing::DEFAULT,
            Self::Aggressive => Timing::AGGRESSIVE,
        }
    }

    /// Returns the profile's name in configuration files.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Aggressive => "aggressive",
        }
    }
}
