//! The encoding of the feed's messages, records and rows, and the decoding of untrusted bytes.
//!
//! A frame is `u32 LE payload length | u32 LE low half of the payload's XXH3-64 | postcard
//! payload`. The length is checked against a limit before memory is allocated, and the checksum
//! before anything is decoded. Decoded values are validated before they are returned.
//!
//! Invariant: nothing here opens a socket, and no input causes a panic.

#![warn(clippy::unwrap_used)]

mod encode;
mod row_record;

pub mod batch;
pub mod call;
pub mod compression;
pub mod decoder;
pub mod error;
pub mod feed;
pub mod outgoing;
pub mod records;
pub mod rows;

pub use decoder::Decoder;
pub use error::Error;
pub use outgoing::{Outgoing, Piece};

/// The length of a frame's header in bytes: payload length and checksum.
pub const HEADER_LEN: usize = 8;

/// The maximum payload of a message from a subscriber, in bytes: a hello with some thousand view
/// names.
pub const UPSTREAM_LEN_MAX: usize = 1 << 20;
/// The maximum payload of a message from a publisher, in bytes. Blocks of records and rows are
/// much shorter. One very large row, or the catalogue at the start of a snapshot, may need more.
pub const DOWNSTREAM_LEN_MAX: usize = 64 << 20;
/// The maximum payload of a call, in bytes: a module's component or a large batch of writes.
pub const REQUEST_LEN_MAX: usize = 64 << 20;
/// The maximum payload of a reply to a call, in bytes: a module's component or the rows of a large
/// read.
pub const REPLY_LEN_MAX: usize = 64 << 20;
