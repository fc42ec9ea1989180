//! The decisions of a router: the door that a request is sent to, and the state of all doors.
//!
//! Invariant: nothing here does IO, reads a clock, generates a random number or logs; `clippy.toml` enforces it. Time,
//! random numbers and load are arguments, so the same inputs give the same result, and a simulation runs years in
//! seconds.

#![warn(clippy::unwrap_used)]

pub mod attempts;
pub mod budget;
pub mod coordinates;
pub mod dice;
pub mod door;
pub mod explain;
pub mod fleet;
pub mod health;
pub mod hedge;
pub mod latency;
pub mod location;
pub mod outlier;
pub mod reason;
pub mod select;
pub mod slow_return;
pub mod subnets;
pub mod topology;
pub mod view;

/// A moment on the router's own monotonic clock: the time since its start.
pub type Moment = std::time::Duration;
