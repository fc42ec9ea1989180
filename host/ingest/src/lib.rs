//! Loads Parquet files into a feature view, through the door of a leader or an edge.
//!
//! A load finds the files ([`files`]), checks every schema against the view before anything is sent, hashes the files,
//! reads from the state file where an earlier run stopped, then reads the rows, splits them by entity key, and sends
//! them. Rows of one key go through one partition in file order, so that their order holds while several batches are in
//! flight. Every request carries an idempotency key made of the load's fingerprint, the file's digest and the place of
//! its rows, so that a request which was accepted before an interruption is not applied again.

#![warn(clippy::unwrap_used)]

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

/// The format of the file that holds the state of a load.
pub const FORMAT: littoral_model::format::Format =
    littoral_model::format::Format { name: "state of a load", writes: state::VERSION, reads_from: state::VERSION };

pub use error::Error;
pub use load::ingest;
pub use options::Options;
pub use progress::{Progress, Silent};
pub use report::{RejectedRow, Report};
