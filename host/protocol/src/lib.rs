//! The replication protocol without IO: its messages and its decisions. Each decision maps an
//! event to an effect, and time is an argument.
//!
//! Invariant: nothing here opens a socket, reads a clock or draws a random number, so a simulation
//! can drive it.

#![warn(clippy::unwrap_used)]

pub mod anti_entropy;
pub mod call;
pub mod demand;
pub mod eligibility;
pub mod fill;
pub mod frame;
pub mod members;
pub mod publisher;
pub mod readiness;
pub mod staleness;
pub mod subscriber;
