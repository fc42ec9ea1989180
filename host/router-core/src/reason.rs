//! Why a request was sent to a door, in a few words.

use crate::{health::State, view::View};
use std::fmt;

/// Why a door was chosen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reason {
    /// The reason for the door.
    pub kind: Kind,
    /// The nearest region if it was passed over, as an index of the view's regions.
    pub passed_over: Option<usize>,
}

/// The reason for a door.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Its region is the nearest.
    Nearest,
    /// A nearer region has no usable door.
    NearerUnhealthy,
    /// A nearer region is draining.
    NearerDraining,
    /// A nearer region is on standby.
    NearerStandby,
    /// A nearer region has no leader that accepts writes; its edges would only forward them.
    NearerForwards,
    /// A nearer region receives only a share of its requests, because it is returning or because of its weight.
    NearerShares,
    /// Every door of a nearer region has as many requests as allowed.
    NearerFull,
    /// No active region can answer.
    Standby,
    /// No door is known to be healthy; this one is the best of the others.
    Panic(State),
}

/// A reason with the names to display it.
pub struct Shown<'a> {
    /// The reason.
    pub reason: Reason,
    /// The view that has the names.
    pub view: &'a View,
}

// === impl Kind ===

impl Kind {
    /// Returns the reason as a word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Nearest => "nearest",
            Self::NearerUnhealthy => "nearer_unhealthy",
            Self::NearerDraining => "nearer_draining",
            Self::NearerStandby => "nearer_standby",
            Self::NearerForwards => "nearer_passes_on",
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
