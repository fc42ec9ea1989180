//! How the feed's messages, records and rows become bytes, and are read back from bytes that nobody vouches for.
//!
//! A frame is `u32 LE payload length | u32 LE low half of the payload's XXH3-64 | postcard payload`. The length is
//! checked against a bound before anything is allocated, the checksum before anything is decoded, and what is decoded
//! is checked for soundness before it is handed on.
//!
//! Invariant: nothing here opens a socket, and no input makes it panic.

mod encode;
mod row_record;

pub mod batch;
pub mod call;
pub mod decoder;
pub mod error;
pub mod feed;
pub mod outgoing;
pub mod records;
pub mod rows;
pub mod v3;

pub use decoder::Decoder;
pub use error::Error;
pub use outgoing::{Outgoing, Piece};

/// Bytes before a frame's payload: its length and its checksum.
pub const HEADER_LEN: usize = 8;

/// The longest payload that a subscriber may send up the feed, in bytes: a hello with some thousand view names.
pub const UPSTREAM_LEN_MAX: usize = 1 << 20;
/// The longest payload that a publisher may send down the feed, in bytes. Blocks of records and rows are cut far
/// shorter; one very large row, or the catalogue in front of a snapshot, may need more.
pub const DOWNSTREAM_LEN_MAX: usize = 64 << 20;
/// The longest payload of a call, in bytes: a module's component or a large batch of writes.
pub const REQUEST_LEN_MAX: usize = 64 << 20;
/// The longest payload of an answer to a call, in bytes: a module's component or the rows of a large read.
pub const REPLY_LEN_MAX: usize = 64 << 20;
