//! Bodies of answers to clients: whole, or forwarded as they arrive from a door.

use crate::{
    board::InFlight,
    decision::door::DoorId,
    gateway::{pool::Pool, upstream::Upstream},
};
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use littoral_http::{Held, Whole};
use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};
use tokio::time::{Instant, Sleep, sleep_until};

/// The body of an answer.
pub struct Answer {
    source: Source,
    /// Released with the answer.
    _kept: Vec<Box<dyn Send + Sync>>,
}

enum Source {
    Whole(Whole),
    Passed(Box<Passed>),
}

/// A body that arrives over a connection. At its end the connection is kept for further requests.
pub(crate) struct Passed {
    pub(crate) body: Incoming,
    pub(crate) upstream: Option<Upstream>,
    pub(crate) pool: Arc<Pool>,
    pub(crate) door: DoorId,
    pub(crate) in_flight: Option<InFlight>,
    pub(crate) stall: Duration,
    pub(crate) waiting: Option<Pin<Box<Sleep>>>,
}

// === impl Answer ===

impl Answer {
    pub(crate) fn whole(bytes: impl Into<Bytes>) -> Self {
        Self { source: Source::Whole(Whole::small(bytes)), _kept: Vec::new() }
    }

    pub(crate) fn held(bytes: Bytes, held: Held) -> Self {
        Self { source: Source::Whole(Whole::held(bytes, held)), _kept: Vec::new() }
    }

    pub(crate) fn passed(passed: Passed) -> Self {
        Self { source: Source::Passed(Box::new(passed)), _kept: Vec::new() }
    }

    /// Keeps `kept` until the answer was sent.
    pub(crate) fn keeping(mut self, kept: impl Send + Sync + 'static) -> Self {
        self._kept.push(Box::new(kept));
        self
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        match &mut self.get_mut().source {
            Source::Whole(whole) => Pin::new(whole).poll_frame(cx).map_err(|never| match never {}),
            Source::Passed(passed) => passed.poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            Source::Whole(whole) => whole.is_end_stream(),
            Source::Passed(passed) => passed.body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Whole(whole) => whole.size_hint(),
            Source::Passed(passed) => passed.body.size_hint(),
        }
    }
}

// === impl Passed ===

impl Passed {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let mut frame = Pin::new(&mut self.body).poll_frame(cx);
        if frame.is_pending()
            && let Some(upstream) = &mut self.upstream
        {
            upstream.advance(cx);
            frame = Pin::new(&mut self.body).poll_frame(cx);
        }
        match frame {
            Poll::Ready(Some(Ok(frame))) => {
                self.waiting = None;
                if self.body.is_end_stream() {
                    self.end();
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => Poll::Ready(Some(Err(io::Error::other(error)))),
            Poll::Ready(None) => {
                self.end();
                Poll::Ready(None)
            }
            Poll::Pending => {
                let stall = self.stall;
                let waiting = self.waiting.get_or_insert_with(|| Box::pin(sleep_until(Instant::now() + stall)));
                std::task::ready!(waiting.as_mut().poll(cx));
                Poll::Ready(Some(Err(io::Error::new(
                    io::ErrorKind::TimedOut,
                    "the door did not complete its answer in time",
                ))))
            }
        }
    }

    fn end(&mut self) {
        self.in_flight = None;
        if let Some(upstream) = self.upstream.take() {
            self.pool.put(self.door, upstream);
        }
    }
}
