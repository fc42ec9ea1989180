//! A world from one seed: a leader that crashes, edges that restart, a network that delays, stalls and cuts, a disk that
//! tears and forgets, clocks that disagree. After every event the invariants are checked against a plain history.
//!
//! Simulated is the product's own code: the protocol's publisher, subscriber, fill and staleness, every frame through the
//! wire's bytes, the replica's table, the embedded log over a disk in memory. What the edge's and the leader's tasks do
//! between those (when to reconnect, when to swap a snapshot in) stands in [`edge`] and [`leader`] a second time, as the
//! shipped tasks mix it with their IO: faults there are not found here.
//!
//! Left out: relays, checkpoints and repair, collecting of tombstones, idempotency receipts, trimming of log files.

pub mod edge;
pub mod history;
mod invariants;
pub mod leader;
mod network;
pub mod random;
pub mod world;

pub use world::{Failure, Report, World, run};
