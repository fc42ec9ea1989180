//! A soak test: a leader and two edges as processes under mixed load, with module uploads, kills and careless clients,
//! for a number of minutes. In the end no acknowledged write is lost, the edges are equal to their leader, and memory,
//! open files, threads, tasks, the data directory and the tail of the latencies have not grown.
//!
//! `cargo run -p littoral-soak -- --minutes 5 [--seed N] [--json]`. The test suite runs it for a minute.
//!
//! One edge is never killed, and the leader only in the first half, so that leaks show over time.

mod careless;
mod findings;
mod reads;
mod report;
mod run;
mod watch;
mod writes;

pub use report::Report;
pub use run::{Plan, run};
