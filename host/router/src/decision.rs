//! The decision core: where a request goes, and what the router knows of the places that it may go to.
//!
//! Invariant: nothing here opens a socket or a file, reads a clock or draws a random number. Time, dice and load are
//! arguments, so the same inputs give the same answer, and a simulation can run years of it in seconds.

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
pub mod view;

/// A moment on the router's own monotonic clock: how long after its start.
pub type Moment = std::time::Duration;
