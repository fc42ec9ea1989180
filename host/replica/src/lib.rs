//! Rows in memory: one table, used for a leader's state and for an edge's replica.
//!
//! Invariants: a row is replaced only by one that outranks it under its view's merge policy. A
//! fill never restores a row that the feed has overtaken ([`littoral_protocol::fill`]). No lock of
//! the table is held while other code runs.

#![warn(clippy::unwrap_used)]

mod batch;
mod digest;
mod pace;
mod policy;
mod prefetch;
mod rebase;
mod repair;
mod scan;
mod shard;
mod table;
mod view;

pub use digest::{Corrupted, Finding, Hurried, Scrub};
pub use policy::evictions;
pub use rebase::Generation;
pub use repair::{BucketChunk, Repaired};
pub use scan::Chunks;
pub use table::{Applied, Config, FillOutcome, Held, Mode, Table};
pub use view::{Residency, ViewCounts, footprint_of};
