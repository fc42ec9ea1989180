//! A stream that limits how long its peer may keep it waiting: until the peer has sent a greeting, while the peer does
//! not read what was written, and at the end while the peer still sends a body that nobody will read.

use crate::{Limits, ended::Ended, places::Seat, stall::Stall};
use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep_until},
};

/// The number of bytes that show which protocol a client uses: HTTP/2 begins with a preface of this length, and an
/// HTTP/1.1 request with its `host` is longer. After them, the protocols apply their own time limits.
const GREETING_LEN: u64 = 24;

/// How long a client that is rejected in the middle of its body may take to notice.
const LINGER: Duration = Duration::from_secs(3);

/// The largest number of bytes of such a body that are discarded.
const LINGER_BYTES_MAX: u64 = 256 << 20;

/// Set when an answer ends its connection though the request's body has not been read.
#[derive(Clone, Debug, Default)]
pub(crate) struct CutShort(Arc<AtomicBool>);

/// Fails a read or a write that waits too long for the peer. Costs almost nothing while neither waits.
pub(crate) struct WaitLimit<S> {
    stream: Stall<S>,
    seat: Arc<Seat>,
    /// Whether a write waits.
    writes: bool,
    greeting_max: Duration,
    cut_short: CutShort,
    /// The number of bytes of the greeting that have not arrived.
    greeting_left: u64,
    /// Set while the stream waits for the greeting, and while the end lingers.
    waiting: Option<Pin<Box<Sleep>>>,
    end: End,
}

/// The state of a stream's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    NotYet,
    /// Our side is closed, and what still arrives is discarded, up to this number of bytes.
    Lingering(u64),
    Done,
}

impl CutShort {
    pub(crate) fn set(&self) {
        self.0.store(true, Relaxed);
    }
}

impl<S> WaitLimit<S> {
    pub(crate) fn new(stream: S, limits: Limits, cut_short: CutShort, seat: Arc<Seat>) -> Self {
        let stream = Stall::new(stream, limits.write_timeout);
        let greeting_max = limits.header_timeout;
        let greeting_left = GREETING_LEN;
        Self { stream, seat, writes: false, greeting_max, cut_short, greeting_left, waiting: None, end: End::NotYet }
    }

    /// Becomes ready once `limit` has passed since the waiting began.
    fn poll_limit(&mut self, cx: &mut Context<'_>, limit: Duration) -> Poll<()> {
        self.waiting.get_or_insert_with(|| Box::pin(sleep_until(Instant::now() + limit))).as_mut().poll(cx)
    }

    /// Notes whether a write waits: then the connection is not idle, though the request has ended.
    fn written<T>(&mut self, written: Poll<T>) -> Poll<T> {
        if written.is_pending() != self.writes {
            self.writes = written.is_pending();
            self.seat.set_writes(self.writes);
        }
        written
    }

    /// Ends the wait for the greeting: the server writes only to a client that has sent enough.
    fn greeted(&mut self) {
        if std::mem::take(&mut self.greeting_left) > 0 {
            self.waiting = None;
        }
    }
}

impl<S: AsyncRead + Unpin> WaitLimit<S> {
    /// Discards what still arrives, until the peer is done or its time is over. Closing at once would reset the
    /// connection, and a reset may reach the peer before it has read the answer.
    fn poll_linger(&mut self, cx: &mut Context<'_>, mut left: u64) -> Poll<()> {
        let mut discarded = [0; 16 << 10];
        while left > 0 {
            let mut buf = ReadBuf::new(&mut discarded);
            match Pin::new(&mut self.stream).poll_read(cx, &mut buf) {
                Poll::Ready(Ok(())) if !buf.filled().is_empty() => {
                    left = left.saturating_sub(buf.filled().len() as u64)
                }
                Poll::Ready(_) => return Poll::Ready(()),
                // The peer sends nothing.
                Poll::Pending if left == LINGER_BYTES_MAX && !self.cut_short.0.load(Relaxed) => {
                    return Poll::Ready(());
                }
                Poll::Pending => {
                    self.end = End::Lingering(left);
                    return self.poll_limit(cx, LINGER);
                }
            }
        }
        Poll::Ready(())
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for WaitLimit<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        if self.greeting_left == 0 {
            return read;
        }
        if read.is_ready() {
            self.greeting_left = self.greeting_left.saturating_sub((buf.filled().len() - before) as u64);
            if self.greeting_left == 0 {
                self.waiting = None;
            }
            return read;
        }
        let limit = self.greeting_max;
        ready!(self.poll_limit(cx, limit));
        Poll::Ready(Err(Ended::Silent.error()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for WaitLimit<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.greeted();
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.written(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.greeted();
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.written(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.greeted();
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        self.written(flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.end == End::NotYet {
            self.greeted();
            ready!(Pin::new(&mut self.stream).poll_shutdown(cx))?;
            self.end = End::Lingering(LINGER_BYTES_MAX);
        }
        if let End::Lingering(left) = self.end {
            ready!(self.poll_linger(cx, left));
            self.end = End::Done;
        }
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt as _;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};

    fn seat() -> Arc<Seat> {
        Arc::new(Seat::new(crate::Group::of([192, 0, 2, 1].into()), None))
    }

    fn limited(stream: DuplexStream, cut_short: CutShort) -> WaitLimit<DuplexStream> {
        limited_at(stream, cut_short, seat())
    }

    fn limited_at(stream: DuplexStream, cut_short: CutShort, seat: Arc<Seat>) -> WaitLimit<DuplexStream> {
        let (header_timeout, write_timeout) = (Duration::from_millis(300), Duration::from_millis(400));
        let limits = Limits {
            connections_max: 1,
            connections_per_address_max: 1,
            header_timeout,
            write_timeout,
            drain: Duration::ZERO,
        };
        WaitLimit::new(stream, limits, cut_short, seat)
    }

    #[tokio::test]
    async fn a_connection_is_not_idle_while_an_answer_waits_to_be_written() {
        let ((ours, mut theirs), seat) = (duplex(8), seat());
        let mut ours = limited_at(ours, CutShort::default(), seat.clone());
        let (mut rest, mut read) = (&[0; 16][..], [0; 16]);
        assert!(ours.write_all_buf(&mut rest).now_or_never().is_none() && !seat.give_way_if_idle());
        assert_eq!(theirs.read(&mut read).now_or_never().unwrap().unwrap(), 8);
        ours.write_all_buf(&mut rest).now_or_never().unwrap().unwrap();
        assert!(seat.give_way_if_idle());
    }

    #[tokio::test]
    async fn a_peer_that_reads_nothing_times_out() {
        let (ours, _theirs) = duplex(8);
        let mut ours = limited(ours, CutShort::default());
        let stuck = ours.write_all(&[0; 64]).await.unwrap_err();
        assert_eq!(stuck.kind(), io::ErrorKind::TimedOut);
    }

    /// Reads 24 bytes in three parts, each within a limit that all three together exceed. Returns the longest pause.
    async fn read_slowly(mut theirs: DuplexStream, limit: Duration) -> (Duration, DuplexStream) {
        let (mut part, mut longest) = ([0; 8], Duration::ZERO);
        for _ in 0..3 {
            let begun = Instant::now();
            tokio::time::sleep(limit / 2).await;
            let read = theirs.read_exact(&mut part).await;
            longest = longest.max(begun.elapsed());
            if read.is_err() {
                break;
            }
        }
        (longest, theirs)
    }

    #[tokio::test]
    async fn a_peer_that_reads_slowly_does_not_time_out() {
        let limit = Duration::from_millis(400);
        loop {
            let (ours, theirs) = duplex(8);
            let mut ours = limited(ours, CutShort::default());
            let reader = tokio::spawn(read_slowly(theirs, limit));
            let written = ours.write_all(&[0; 32]).await;
            drop(ours);
            let (longest, _open) = reader.await.unwrap();
            // A machine that paused the test for longer than the limit proves nothing: begin again.
            if longest < limit {
                return written.unwrap();
            }
        }
    }

    #[tokio::test]
    async fn a_peer_without_a_greeting_times_out_and_one_that_has_greeted_may_be_idle() {
        let (ours, mut theirs) = duplex(64);
        let mut silent = limited(ours, CutShort::default());
        theirs.write_all(b"PRI * HTTP/2").await.unwrap();
        let mut buf = [0; 64];
        assert_eq!(silent.read(&mut buf).await.unwrap(), 12, "half a greeting");
        assert_eq!(silent.read(&mut buf).await.unwrap_err().kind(), io::ErrorKind::TimedOut);

        let (ours, mut theirs) = duplex(64);
        let mut idle = limited(ours, CutShort::default());
        theirs.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
        assert_eq!(idle.read(&mut buf).await.unwrap(), 27);
        let wait = tokio::time::timeout(Duration::from_millis(600), idle.read(&mut buf));
        assert!(wait.await.is_err(), "the protocol limits idleness");
    }

    #[tokio::test]
    async fn a_rejected_peer_can_continue_to_send_and_reads_its_answer() {
        let (ours, mut theirs) = duplex(64);
        let cut_short = CutShort::default();
        let mut ours = limited(ours, cut_short.clone());
        let sender = tokio::spawn(async move {
            theirs.write_all(&[b'x'; 10_000]).await.unwrap();
            let mut answer = String::new();
            theirs.read_to_string(&mut answer).await.unwrap();
            answer
        });
        ours.write_all(b"too large").await.unwrap();
        cut_short.set();
        ours.shutdown().await.unwrap();
        drop(ours);
        assert_eq!(sender.await.unwrap(), "too large");
    }

    #[tokio::test]
    async fn an_idle_peer_does_not_delay_the_end() {
        let (ours, _theirs) = duplex(64);
        let mut ours = limited(ours, CutShort::default());
        ours.shutdown().now_or_never().expect("it does not wait").unwrap();
    }
}
