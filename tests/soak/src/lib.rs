//! A soak: a leader and two edges as processes under mixed load, with module uploads, kills and careless clients, for as
//! many minutes as wanted. In the end nothing that was acknowledged is lost, the edges are equal to their leader, and neither
//! memory, open files, threads and tasks nor the data directory nor the tail of the latencies have grown.
//!
//! `cargo run -p littoral-soak -- --minutes 5 [--seed N] [--json]`. The test suite runs a minute of it.
//!
//! One edge is never killed, and the leader only in the first half: what leaks shows over time.

mod careless;
mod findings;
mod reads;
mod report;
mod run;
mod watch;
mod writes;

pub use report::Report;
pub use run::{Plan, run};
