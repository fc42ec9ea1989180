//! A world from one seed: a leader that crashes, is restored from a backup or begins anew, and sometimes lives on unaware;
//! edges that restart, one of them a relay; clients that write, retry and read with tokens; a network that delays, stalls
//! and cuts; a disk that tears and forgets; memory that rots; clocks that disagree and jump. After every event the
//! invariants are checked against a plain history.
//!
//! Simulated is the product's own code: the cores of leader and edge, the protocol, every frame of the feed through the
//! wire's bytes, the table, the embedded log and its snapshots over a disk in memory. Only what their tasks do with the
//! cores' effects stands here a second time ([`leader`], [`edge`], `publish`, `calls`), as the shipped tasks do it over
//! sockets and threads.
//!
//! Left out: modules, views that come and go, local snapshots of edges, memory policies.

mod calls;
pub mod edge;
pub mod event;
pub mod history;
mod invariants;
pub mod leader;
mod lives;
mod network;
mod publish;
pub mod random;
pub mod regions;
mod report;
mod sessions;
pub mod timeline;
pub mod world;

pub use report::{Failure, Report};
pub use world::{World, run, run_ahead};
