//! Rows as Arrow columns, and back: decodes and encodes the Arrow IPC streams of doors, and
//! converts what ingestion reads from Parquet.
//!
//! A batch is first checked against its view ([`Plan`], then [`Checked`]), column by column. After
//! that, creating keys and packed rows from it can only fail because of size. Errors name column,
//! types and row.
//!
//! Invariant: nothing here opens a file or a socket, and [`Limits`] bound what one call may
//! allocate.

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

/// The column with event timestamps, unless another one is named.
pub const EVENT_TIMESTAMP: &str = "event_timestamp";

/// The limits of one decoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The maximum number of rows.
    pub rows_max: usize,
    /// The maximum size of keys and packed rows in bytes; values above `u32::MAX` count as
    /// `u32::MAX`.
    pub bytes_max: usize,
}

impl Default for Limits {
    /// Returns limits of 100,000 rows and 256 MiB.
    fn default() -> Self {
        Self { rows_max: 100_000, bytes_max: 256 << 20 }
    }
}
