//! How both ends tune HTTP/2 and the socket below.

use std::time::Duration;
use tokio::net::TcpStream;

/// What a peer may send on one stream before we have read it, in bytes: enough to keep a snapshot flowing at the speed
/// of a fast link with some milliseconds between the hosts.
pub(crate) const STREAM_WINDOW: u32 = 4 << 20;
/// The same for all streams of a connection. More than one stream's, so that calls go on while nobody reads the feed.
pub(crate) const CONNECTION_WINDOW: u32 = 3 * STREAM_WINDOW;
/// The longest HTTP/2 frame that we take, in bytes. Long ones cost less each; a call's answer waits behind at most one.
pub(crate) const FRAME_LEN_MAX: u32 = 128 << 10;
/// What HTTP/2 may hold of one stream's data that the peer's window does not take yet, in bytes: two frames.
pub(crate) const SEND_BUFFER: usize = 2 * FRAME_LEN_MAX as usize;
/// Streams that a peer may have open on one connection: a feed, calls, and some for peers that come back in a hurry.
pub(crate) const STREAMS_MAX: u32 = 16;
/// The longest header list that we take, in bytes.
pub(crate) const HEADERS_LEN_MAX: u32 = 16 << 10;

/// An idle connection is pinged this often, so that a peer that vanished without a word is found.
pub(crate) const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(2);

/// Small frames must leave at once: a heartbeat that waits for an acknowledgement is staleness.
pub(crate) fn prepare(socket: &TcpStream) -> std::io::Result<()> {
    socket.set_nodelay(true)
}
