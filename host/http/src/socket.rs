//! A connection's socket. Others can observe whether its peer has left while a protocol owns the stream.
//!
//! An HTTP/1.1 server that answers half-closed clients reads nothing while it answers, so it does not notice a client
//! that has left. Work that waits on behalf of a client observes the peer here.

use std::{
    future::poll_fn,
    io,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, Interest, ReadBuf},
    net::TcpStream,
};

/// The pause between two checks of a peer whose unread bytes precede the end of its stream.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// The stream, for the protocol that owns the connection.
#[derive(Debug)]
pub struct Socket(Peer);

/// The client at the other end of a connection. Cheap to clone. (In the rest of the project, a *peer* is a node.)
#[derive(Clone, Debug)]
pub struct Peer(Arc<Mutex<TcpStream>>);

impl Socket {
    /// Shares this stream.
    #[must_use]
    pub fn new(stream: TcpStream) -> Self {
        Self(Peer(Arc::new(Mutex::new(stream))))
    }

    /// Returns the other end.
    #[must_use]
    pub fn peer(&self) -> Peer {
        self.0.clone()
    }
}

impl Peer {
    /// Returns once the peer has closed its side of the connection, or the connection is lost. Consumes nothing of the
    /// stream.
    ///
    /// The owner must not wait for bytes meanwhile, as only the last task that waits is woken. An HTTP/1.1 server with
    /// half-close does not wait from a request's last byte to its answer.
    pub async fn closed(&self) {
        loop {
            let gone = poll_fn(|cx| {
                let mut byte = [0; 1];
                let peeked = ready!(self.stream().poll_peek(cx, &mut ReadBuf::new(&mut byte)));
                Poll::Ready(!peeked.is_ok_and(|bytes| bytes > 0))
            });
            if gone.await || self.has_closed() {
                return;
            }
            // The next request has arrived already and hides the end that may follow.
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Whether the system has received the end of the peer's stream, even after bytes that nobody has read.
    fn has_closed(&self) -> bool {
        let stream = self.stream();
        let mut ready = std::pin::pin!(stream.ready(Interest::READABLE));
        let looked = ready.as_mut().poll(&mut Context::from_waker(std::task::Waker::noop()));
        match looked {
            Poll::Ready(Ok(ready)) => ready.is_read_closed(),
            Poll::Ready(Err(_)) => true,
            Poll::Pending => false,
        }
    }

    fn stream(&self) -> MutexGuard<'_, TcpStream> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0.stream()).poll_read(cx, buf)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.0.stream()).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.0.stream()).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.stream().is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0.stream()).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0.stream()).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpListener,
        time::timeout,
    };

    const SOON: Duration = Duration::from_secs(20);

    async fn pair() -> (Socket, TcpStream) {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let (theirs, ours) = tokio::join!(TcpStream::connect(listener.local_addr().unwrap()), listener.accept());
        (Socket::new(ours.unwrap().0), theirs.unwrap())
    }

    #[tokio::test]
    async fn a_peer_that_leaves_is_noticed_even_after_unread_bytes() {
        for sent in [&b""[..], b"GET / HTTP/1.1\r\n"] {
            let (ours, mut theirs) = pair().await;
            let peer = ours.peer();
            theirs.write_all(sent).await.unwrap();
            assert!(timeout(Duration::from_millis(250), peer.closed()).await.is_err(), "it is still there");
            drop(theirs);
            timeout(SOON, peer.closed()).await.expect("noticed");
        }
    }

    #[tokio::test]
    async fn the_stream_continues_after_a_check() {
        let (mut ours, mut theirs) = pair().await;
        let peer = ours.peer();
        assert!(timeout(Duration::from_millis(50), peer.closed()).await.is_err());
        let mut buf = [0; 5];
        let (read, written) = tokio::join!(timeout(SOON, ours.read_exact(&mut buf)), theirs.write_all(b"hello"));
        read.expect("woken").unwrap();
        written.unwrap();
        assert_eq!(&buf, b"hello");
    }
}
