//! The decisions of a router: where a request goes, and what is known of the doors that it may go to.
//!
//! Invariant: nothing here does IO, reads a clock, draws a random number or logs; `clippy.toml` enforces it. Time, dice and load are
//! arguments, so the same inputs give the same answer, and a simulation runs years of it in seconds.

#![warn(clippy::unwrap_used)]

pub mod attempts;
pub mod budget;
pub mod coordinates;
pub mod dice;
pub mod explain;
pub mod fleet;
pub mod health;
pub mod hedge;
pub mod latency;
pub mod member;
pub mod outlier;
pub mod place;
pub mod reason;
pub mod select;
pub mod slow_return;
pub mod subnets;
pub mod topology;
pub mod view;

/// A moment on the router's own monotonic clock: how long after its start.
pub type Moment = std::time::Duration;
