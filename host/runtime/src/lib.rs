//! What every Littoral process stands on: its worker threads, logs and metrics, the tasks it supervises, the connections it
//! takes in, and how it stops.
//!
//! Invariant: nothing here knows what a leader or an edge is.

#![warn(clippy::unwrap_used)]

pub mod bounds;
pub mod browsers;
pub mod clock;
pub mod connections;
pub mod descriptors;
pub mod draining;
pub mod logging;
pub mod memory;
pub mod metrics;
pub mod per_thread;
pub mod reactors;
pub mod shutdown;
pub mod socket;
pub mod stall;
pub mod supervisor;
pub mod task_kind;
pub mod unread;
pub mod workers;

pub use draining::Draining;
pub use shutdown::{Signals, StopReason};
pub use supervisor::Supervisor;
pub use task_kind::TaskKind;
