//! A world from one seed. A leader crashes, is restored from a backup or starts with an empty log, and sometimes the
//! old process keeps running unaware. Edges restart; one of them is a relay. Clients write, retry and read with tokens.
//! The network delays, stalls and cuts. Disks tear and lose writes, memory is corrupted, and clocks disagree and jump.
//! After every event the invariants are checked against a plain history.
//!
//! The product's own code is simulated: the cores of leader and edge, the protocol, every frame of the feed through the
//! wire's bytes, the table, the embedded log and its snapshots over a disk in memory. Only the code that carries out
//! the cores' effects is written a second time ([`leader`], [`edge`], `publish`, `calls`); the product does it with
//! sockets and threads.
//!
//! Not simulated: modules, views that come and go, local snapshots of edges, memory policies.

mod calls;
pub mod edge;
pub mod event;
pub mod history;
mod invariants;
pub mod leader;
mod leader_faults;
mod network;
mod publish;
pub mod random;
pub mod regions;
mod report;
mod sessions;
mod swarm;
pub mod timeline;
pub mod world;

pub use report::{Failure, Report};
pub use world::{World, run, run_swarm};
