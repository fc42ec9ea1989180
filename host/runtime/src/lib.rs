//! What every Littoral process stands on: its worker threads, logs and metrics, the tasks it supervises, and how it
//! stops.
//!
//! Invariant: nothing here knows what a leader or an edge is.

pub mod clock;
pub mod logging;
pub mod memory;
pub mod metrics;
pub mod shutdown;
pub mod supervisor;
pub mod task_kind;
pub mod workers;

pub use shutdown::{Signals, StopReason};
pub use supervisor::Supervisor;
pub use task_kind::TaskKind;
