//! Rows as Arrow columns, and back: what the doors take and give as Arrow IPC streams, and what ingestion reads from
//! Parquet.
//!
//! A batch is first checked against its view ([`Plan`], then [`Checked`]), column by column; after that, making keys and
//! packed rows of it cannot fail but by size. Errors name column, types and row.
//!
//! Invariant: nothing here opens a file or a socket; what one call may allocate is bounded by its [`Limits`].

#![warn(clippy::unwrap_used)]

mod canonical;
mod cells;
mod checked;
mod encode;
mod error;
mod event_times;
mod ipc;
mod lists;
mod plan;
mod sources;
mod texts;

pub use checked::Checked;
pub use encode::{encode, stream};
pub use error::Error;
pub use ipc::decode_ipc;
pub use plan::{Columns, Created, Extra, Missing, Plan};

/// The media type of an Arrow IPC stream.
pub const ARROW_STREAM: &str = "application/vnd.apache.arrow.stream";

/// The column that holds event timestamps unless another is named.
pub const EVENT_TIMESTAMP: &str = "event_timestamp";

/// What one decoding may make at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Rows.
    pub rows_max: usize,
    /// Bytes of keys and packed rows; never more than `u32::MAX` is taken.
    pub bytes_max: usize,
}

impl Default for Limits {
    /// A hundred thousand rows, 256 MiB.
    fn default() -> Self {
        Self { rows_max: 100_000, bytes_max: 256 << 20 }
    }
}
