//! Models of what threads share, run under schedules that [shuttle](https://docs.rs/shuttle) chooses.
//!
//! The code that is modelled is the code that ships: `tests/concurrency/replica` builds the source of `host/replica`, and
//! [`queue`] that of the leader's queue, over locks whose order shuttle decides. A schedule that breaks a promise is printed;
//! `shuttle::replay` runs it again. `LITTORAL_SCHEDULES=N` runs N times as many.

pub mod explore;
pub mod queue;
pub mod region;

pub use littoral_concurrency_protocol::fill::without_the_check;
pub use littoral_concurrency_replica as replica;
