//! Rows in memory: one table, used for a leader's state and for an edge's replica.
//!
//! Invariants: a row is replaced only by one that outranks it under its view's merge policy; a fill never brings back
//! what the feed has overtaken ([`littoral_protocol::fill`]); no lock of the table is held while foreign code runs.

#![warn(clippy::unwrap_used)]

mod batch;
mod digest;
mod mend;
mod pace;
mod policy;
mod prefetch;
mod rebase;
mod scan;
mod shard;
mod table;
mod view;

pub use digest::{Finding, Hurried, Scrub, Spoilt};
pub use mend::{BucketPart, Mended};
pub use rebase::Numbering;
pub use scan::Chunks;
pub use table::{Applied, Config, Filled, Held, Mode, Table};
pub use view::{Residency, ViewCounts};
