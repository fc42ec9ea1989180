//! A region's log on one host's disk, and the snapshots that let it be trimmed.
//!
//! ```text
//!            trim point              durable tail
//!                 │                        │
//!   (trimmed) ────┼── oldest … … … newest ─┼─ (nothing)
//!                 └── LSNs are dense ──────┘
//! ```
//!
//! What MUST hold, for every [`Log`] and whatever happens to the process, the machine or the disk:
//!
//! - **Acknowledged is durable.** When [`Log::append`] returns `Ok`, its batch survives the loss of power. It costs one
//!   fsync. When it returns an error, nothing of the batch is ever read from this `Log`, and the next batch takes its
//!   numbers. After a crash before the next success a batch that failed may be found whole or not at all, never in part:
//!   what was not acknowledged is not promised either way.
//! - **Dense and chained.** Record `n + 1` follows `n`, and its chain hash covers all before it; [`embedded::Embedded::open`]
//!   checks both.
//! - **An unfinished last batch is cut off; damage anywhere else is refused.** A batch is begun only when the one before it
//!   is durable, so whatever is damaged and has a successor was once durable: opening then fails with the file, the offset
//!   and the remedy, and changes nothing.
//! - **Trimmed never looks like a harmless gap.** Reading from before the trim point is [`ReadError::Trimmed`].
//! - **One writer.** A second process that opens the same directory is refused.
//! - **A failed fsync is never retried on the same pages.** The kernel may have dropped them and call the next fsync a
//!   success. The segment is closed where it was last known to be durable, and writing goes on in a new file.
//! - **A full disk is an error that goes away.** [`AppendError::NoSpace`] leaves the log as it was; appending works again
//!   as soon as there is room.
//! - **Cut is cut or whole.** Where a log's end was given up ([`Log::cut`]), a crash leaves the log as it was or cut, and what
//!   was given up is durable beside it before.
//! - **A promise is kept.** [`Log::promised`] never gets smaller, whatever is cut or begun anew.

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

pub use backend::{Batch, Bounds, Identity, Log, Retention};
pub use begin::{begin_after, begin_as, peek};
pub use cut::through;
pub use error::{AppendError, CutError, OpenError, ReadError};
