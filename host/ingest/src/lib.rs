//! Loads Parquet files into a feature view, through the door of a leader or an edge.
//!
//! The way of a load: find the files ([`files`]), check every schema against the view before anything is sent, hash the
//! files, look up in the state file where an earlier run stopped, then read, split by entity key and send. Rows of one
//! key go through one partition in file order, so that their order holds while several batches are in flight. Every
//! batch carries an idempotency key made of the file's digest and the batch's place, so that a batch which was taken
//! before a cut is not taken again.

mod bounds;
mod encode;
mod error;
pub mod files;
mod int96;
mod latest;
mod load;
mod options;
mod partition;
mod progress;
mod reader;
mod report;
mod sender;
mod split;
mod state;

pub use error::Error;
pub use load::ingest;
pub use options::Options;
pub use progress::{Progress, Silent};
pub use report::{Refused, Report};
