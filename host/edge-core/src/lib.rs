//! An edge without IO: what its tasks decide and do in memory, event in and effect out, time as an argument.
//!
//! `littoral-edge` drives this over HTTP/2 and tokio, and the simulation over a network, clocks and disks that follow from
//! a seed: what is simulated is what ships.
//!
//! Invariants: nothing here opens a socket or a file, reads a clock, draws a random number or starts a task. The position
//! never passes what is applied; a block of records is checked whole before any of it is applied.

#![warn(clippy::unwrap_used)]

mod apply;
mod bootstrap;
mod budget;
pub mod demand;
pub mod fills;
pub mod follower;
pub mod holdings;
pub mod proving;
pub mod read;
pub mod relay;
pub mod replica;

pub use budget::{Outgrown, enforce};
pub use follower::Follower;
pub use holdings::{Holdings, ViewMode};
pub use replica::{Holding, Point, Replica, Route};
