//! The base of every Littoral process: worker threads and reactors, logs, metrics, supervised tasks, draining and
//! shutdown.
//!
//! Invariant: nothing here depends on the role of the process, except which metrics [`metrics::table`] lists for it.

#![warn(clippy::unwrap_used)]

pub mod bounds;
mod bucket;
pub mod caller;
pub mod clock;
pub mod core_dumps;
pub mod descriptors;
pub mod draining;
pub mod live;
pub mod logging;
pub mod memory;
pub mod metrics;
mod occasional;
pub mod per_thread;
pub mod reactors;
mod replace_file;
pub mod request_id;
mod share_work;
pub mod shares;
pub mod shutdown;
pub mod supervisor;
pub mod task_kind;
pub mod trace;
mod watched_file;
pub mod workers;

pub use bucket::Bucket;
pub use draining::Draining;
pub use occasional::Occasional;
pub use replace_file::replace_file;
pub use request_id::RequestId;
pub use share_work::{all_cores, share_work};
pub use shutdown::{Signals, StopReason};
pub use supervisor::Supervisor;
pub use task_kind::TaskKind;
pub use watched_file::WatchedFile;
