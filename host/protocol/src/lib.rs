//! The replication protocol without IO: its messages and its decisions, event in and effect out, time as an argument.
//!
//! Invariant: nothing here opens a socket, reads a clock or draws a random number, so that a simulation can drive it.

pub mod call;
pub mod demand;
pub mod fill;
pub mod frame;
pub mod kinship;
pub mod members;
pub mod proof;
pub mod publisher;
pub mod readiness;
pub mod staleness;
pub mod subscriber;
