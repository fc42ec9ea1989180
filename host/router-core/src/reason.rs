//! Why a request went where it went, in few words.

use crate::{health::State, view::View};
use std::fmt;

/// Why a door was chosen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reason {
    /// What spoke for it.
    pub kind: Kind,
    /// The nearest region, when it was passed over, among the view's regions.
    pub passed_over: Option<usize>,
}

/// What spoke for a door.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Its region is the nearest.
    Nearest,
    /// A nearer region has no door that may be used.
    NearerUnhealthy,
    /// A nearer region is draining.
    NearerDraining,
    /// A nearer region is on standby.
    NearerStandby,
    /// A nearer region has no leader that takes writes; its edges would only pass them on.
    NearerPassesOn,
    /// A nearer region takes only a part of its requests: it is coming back, or its weight says so.
    NearerShares,
    /// Every door of a nearer region has as many requests as it may.
    NearerFull,
    /// No active region can answer.
    Standby,
    /// No door is known to be well; this one is the best that is left.
    Panic(State),
}

/// A reason with the names that it needs.
pub struct Shown<'a> {
    /// The reason.
    pub reason: Reason,
    /// Where the names are.
    pub view: &'a View,
}

// === impl Kind ===

impl Kind {
    /// As a word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Nearest => "nearest",
            Self::NearerUnhealthy => "nearer_unhealthy",
            Self::NearerDraining => "nearer_draining",
            Self::NearerStandby => "nearer_standby",
            Self::NearerPassesOn => "nearer_passes_on",
            Self::NearerShares => "nearer_shares",
            Self::NearerFull => "nearer_full",
            Self::Standby => "standby",
            Self::Panic(_) => "panic",
        }
    }
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.reason.kind.as_str())?;
        if let Kind::Panic(state) = self.reason.kind {
            write!(f, "={}", state.as_str())?;
        }
        match self.reason.passed_over.and_then(|region| self.view.regions.get(region)) {
            Some(region) => write!(f, ", passed over {}", region.name),
            None => Ok(()),
        }
    }
}
