//! The durable log of a region on one host's disk, and the snapshots that allow it to be trimmed.
//!
//! ```text
//!            trim point              durable tail
//!                 │                        │
//!   (trimmed) ────┼── oldest … … … newest ─┼─ (nothing)
//!                 └── LSNs are dense ──────┘
//! ```
//!
//! What MUST hold for every [`Log`], whatever happens to the process, the machine or the disk:
//!
//! - **Acknowledged is durable.** When [`Log::append`] returns `Ok`, its batch survives a loss of power. It costs one
//!   fsync. When it returns an error, no record of the batch is ever read from this `Log`, and the next batch uses its
//!   numbers. After a crash before the next success, a failed batch may be found complete or not at all, never in part.
//! - **Dense and chained.** Record `n + 1` follows `n`, and its chain hash covers all records before it;
//!   [`embedded::Embedded::open`] checks both.
//! - **An unfinished last batch is cut off; any other damage is an error.** A batch is begun only when the one before
//!   it is durable, so a damaged batch that has a successor was durable once. Opening then fails with the file, the
//!   offset and the remedy, and changes nothing.
//! - **A trimmed log never looks complete.** Reading from before the trim point returns [`ReadError::Trimmed`].
//! - **One writer.** A second process cannot open the same directory.
//! - **A failed fsync is never retried on the same pages.** The kernel may have dropped them and report success for the
//!   next fsync. The segment is closed at the last durable batch, and the next batch is written to a new file.
//! - **A full disk is a temporary error.** After [`AppendError::NoSpace`] the log is unchanged, and appending works
//!   again once there is space.
//! - **A cut is atomic.** When the end of a log is removed ([`Log::cut`]), a crash leaves the log unchanged or cut, and
//!   the removed records are durable in a detached tail before.
//! - **A promise is kept.** [`Log::promised`] never decreases, even if the log is cut or replaced.

#![warn(clippy::unwrap_used)]

mod backend;
mod begin;
mod block;
mod cache;
mod cut;
mod error;
mod frame;
mod identity;
mod intent;
mod mark;
mod promise;
mod scan;
mod sealed;
mod segment;

pub mod detached;
pub mod embedded;
pub mod snapshot;
pub mod storage;

use littoral_model::format::Format;

/// The formats of files in the data directory of a leader.
pub const FORMATS: [Format; 3] = [
    Format { name: "log: identity and segments", writes: identity::FORMAT, reads_from: 1 },
    Format { name: "snapshot of a leader", writes: snapshot::FORMAT, reads_from: 1 },
    Format { name: "detached tail of a member", writes: detached::FORMAT, reads_from: 1 },
];

pub use backend::{Batch, Bounds, Identity, Log, Retention};
pub use begin::{begin_after, begin_as, peek};
pub use cut::through;
pub use error::{AppendError, CutError, OpenError, ReadError};
