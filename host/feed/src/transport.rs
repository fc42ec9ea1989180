//! Settings of HTTP/2 and of the socket, for both ends.

use std::time::Duration;
use tokio::net::TcpStream;

/// How many bytes a peer may send on one stream before this end has read them: enough for a snapshot at the speed of a
/// fast link with several milliseconds of latency.
pub(crate) const STREAM_WINDOW: u32 = 4 << 20;
/// The same limit for all streams of a connection together. Greater than one stream's, so that calls continue while the
/// feed is not read.
pub(crate) const CONNECTION_WINDOW: u32 = 3 * STREAM_WINDOW;
/// The longest HTTP/2 frame that this end accepts, in bytes. Longer frames cost less per byte, and a call's reply waits
/// for at most one.
pub(crate) const FRAME_LEN_MAX: u32 = 128 << 10;
/// How many bytes of one stream HTTP/2 may hold that the peer's window does not allow yet: two frames.
pub(crate) const SEND_BUFFER: usize = 2 * FRAME_LEN_MAX as usize;
/// How many streams a peer may have open on one connection: a feed, calls, and some for peers that reconnect quickly.
pub(crate) const STREAMS_MAX: u32 = 16;
/// How many streams of a connection its peer may reset before they were accepted. A peer never does.
pub(crate) const RESETS_MAX: usize = 20;
/// How many streams a peer may break over the lifetime of a connection, so that this end has to reset them. A peer
/// never does.
pub(crate) const BROKEN_STREAMS_MAX: usize = 64;
/// The longest header list that this end accepts, in bytes.
pub(crate) const HEADERS_LEN_MAX: u32 = 16 << 10;

/// An idle connection is pinged this often, to detect a peer that vanished.
pub(crate) const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(2);

/// Small frames must be sent at once: a delayed heartbeat increases staleness.
pub(crate) fn prepare(socket: &TcpStream) -> std::io::Result<()> {
    socket.set_nodelay(true)
}
