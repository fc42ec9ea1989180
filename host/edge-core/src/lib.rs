//! An edge without IO: what its tasks decide and do in memory. Each function maps an event to an
//! effect, and time is an argument.
//!
//! `littoral-edge` drives this crate over HTTP/2 and tokio. The simulation drives it over a
//! network, clocks and disks that a seed determines, so the simulated code is the shipped code.
//!
//! Invariants: nothing here opens a socket or a file, reads a clock, draws a random number or
//! starts a task. The position never passes what is applied. A block of records is checked whole
//! before any of it is applied.

#![warn(clippy::unwrap_used)]

pub mod anti_entropy;
mod apply;
mod bootstrap;
mod budget;
pub mod demand;
pub mod fills;
pub mod follower;
pub mod holdings;
pub mod read;
pub mod relay;
pub mod replica;

pub use budget::{Outgrown, enforce};
pub use follower::FeedFollower;
pub use holdings::{Holding, Holdings, ViewMode};
pub use replica::{AppliedPoint, Replica, Route};
