//! The replication feed and the calls of an edge to its leader, over one HTTP/2 connection (prior knowledge) per edge.
//!
//! `POST /peer/v2/feed` is a stream of [`littoral_protocol::frame`] messages both ways, `POST /peer/v1/call` a stream
//! of [`littoral_protocol::call`] requests up and replies down, in any order. [`server::serve`] serves both from a
//! [`source::FeedSource`]; [`client::connect`] opens both.
//!
//! Everything that waits is bounded, in bytes and in time. A subscriber that does not read is disconnected and may
//! resume; it never increases the publisher's memory.
//!
//! Architecture invariant: `littoral_protocol` decides what a subscriber does with a message, not this crate. The
//! transport is anything that implements `AsyncRead + AsyncWrite` ([`server::serve_connection`],
//! [`client::connect_over`]).

#![warn(clippy::unwrap_used)]

mod bandwidth;
mod budget;
mod inbox;
mod link;
mod outbox;
mod transport;

pub mod client;
pub mod server;
pub mod source;

/// The path of the feed. The number in a path is not the version of the protocol.
pub const FEED_PATH: &str = "/peer/v2/feed";
/// The header in which a caller states the newest protocol version that it speaks, and the called node the version on
/// which both agree.
pub const PEER_VERSION: http::HeaderName = http::HeaderName::from_static("littoral-peer-version");
/// The protocol version of nodes that do not state one.
pub(crate) const VERSION_UNSTATED: u16 = 4;
/// The request header in which a peer states its region, on both streams.
pub const PEER_REGION: http::HeaderName = http::HeaderName::from_static("littoral-peer-region");
/// The path of calls.
pub const CALL_PATH: &str = "/peer/v1/call";
/// The protocol version from which on the feed may be compressed.
const COMPRESSED_SINCE: u16 = 5;
