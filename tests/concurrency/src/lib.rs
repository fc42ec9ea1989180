//! Models of state that threads share, under schedules that [shuttle](https://docs.rs/shuttle) chooses.
//!
//! The modelled code is the shipped code: `tests/concurrency/replica` builds the source of `host/replica`, and
//! [`queue`] that of the leader's queue, with locks whose order shuttle decides. A failing schedule is printed;
//! `shuttle::replay` repeats it. `LITTORAL_SCHEDULES=N` runs N times as many.

pub mod explore;
pub mod queue;
pub mod region;

pub use littoral_concurrency_protocol::fill::without_the_check;
pub use littoral_concurrency_replica as replica;
