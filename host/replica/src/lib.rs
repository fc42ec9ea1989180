//! Rows in memory: one table, used for a leader's state and for an edge's replica.
//!
//! Invariants: a row is replaced only by one that outranks it under its view's merge policy. A
//! fill never restores a row that the feed has overtaken ([`littoral_protocol::fill`]). No lock of
//! the table is held while other code runs.

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
pub use rebase::Generation;
pub use scan::Chunks;
pub use table::{Applied, Config, Filled, Held, Mode, Table};
pub use view::{Residency, ViewCounts};
