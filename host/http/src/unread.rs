//! Watches whether a client reads its answers.
//!
//! HTTP/1.1 shows a client that does not read as a write that waits. HTTP/2 does not: each answer has its own
//! flow-control window, the connection continues, and an answer that is never read would be held for ever.

use crate::places::Running;
use hyper::body::{Body, Bytes, Frame, SizeHint};
use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::{
    sync::Notify,
    time::{Instant, sleep},
};

/// The answers of a connection that its client has not read.
#[derive(Debug)]
pub struct Unread {
    began: Instant,
    answers: AtomicUsize,
    bytes: AtomicUsize,
    /// When the connection last accepted a piece, in milliseconds after `began`.
    taken_ms: AtomicU64,
    some: Notify,
}

/// A body that counts as unread until it is sent, or one that is not watched.
#[derive(Debug)]
pub struct Watched<B> {
    body: Option<B>,
    watch: Option<Watch>,
    /// The last byte, which is sent separately.
    last: Option<Bytes>,
    /// The request, which runs until the body was sent.
    _running: Option<Running>,
}

#[derive(Debug)]
struct Watch {
    unread: Arc<Unread>,
    bytes: usize,
    holds_back: bool,
}

impl Unread {
    /// Creates the record of a new connection.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            began: Instant::now(),
            answers: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
            taken_ms: AtomicU64::new(0),
            some: Notify::new(),
        })
    }

    /// Returns the number of unsent bytes of watched answers whose length was known.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes.load(Relaxed)
    }

    /// Watches the body of an answer over HTTP/1.1.
    pub fn watch<B: Body>(self: &Arc<Self>, body: B) -> Watched<B> {
        self.watched(body, false)
    }

    /// Watches the body of an answer over HTTP/2. Its last byte is held back until everything before it was sent: a
    /// piece that does not fit the client's window waits inside hyper, where it cannot be observed.
    pub fn watch_stream<B: Body>(self: &Arc<Self>, body: B) -> Watched<B> {
        self.watched(body, true)
    }

    fn watched<B: Body>(self: &Arc<Self>, body: B, holds_back: bool) -> Watched<B> {
        let bytes = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
        self.bytes.fetch_add(bytes, Relaxed);
        if self.answers.fetch_add(1, Relaxed) == 0 {
            self.taken();
            self.some.notify_one();
        }
        let watch = Watch { unread: self.clone(), bytes, holds_back };
        Watched { body: Some(body), watch: Some(watch), last: None, _running: None }
    }

    fn taken(&self) {
        self.taken_ms.store(self.now_ms(), Relaxed);
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Returns once watched answers wait and the client has read no piece of any of them for `limit`.
    pub async fn stalled(&self, limit: Duration) {
        let limit_ms = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
        loop {
            if self.answers.load(Relaxed) == 0 {
                self.some.notified().await;
                continue;
            }
            if self.now_ms().saturating_sub(self.taken_ms.load(Relaxed)) > limit_ms {
                return;
            }
            sleep(limit / 4).await;
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.unread.bytes.fetch_sub(self.bytes, Relaxed);
        self.unread.answers.fetch_sub(1, Relaxed);
    }
}

// === impl Watched ===

impl<B> Watched<B> {
    /// Wraps a body that is not watched.
    pub fn not(body: B) -> Self {
        Self { body: Some(body), watch: None, last: None, _running: None }
    }

    /// Creates an empty body.
    #[must_use]
    pub fn empty() -> Self {
        Self { body: None, watch: None, last: None, _running: None }
    }

    /// Lets a request run until the body was sent.
    pub(crate) fn during(self, running: Running) -> Self {
        Self { _running: Some(running), ..self }
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Watched<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        if let Some(last) = self.last.take() {
            return Poll::Ready(Some(Ok(Frame::data(last))));
        }
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        let frame = ready!(Pin::new(&mut *body).poll_frame(cx));
        let is_last = body.is_end_stream();
        let Some(watch) = &self.watch else { return Poll::Ready(frame) };
        watch.unread.taken();
        let holds_back = watch.holds_back;
        Poll::Ready(frame.map(|frame| {
            frame.map(|frame| match frame.into_data() {
                Ok(mut data) if holds_back && is_last && data.len() > 1 => {
                    self.last = Some(data.split_off(data.len() - 1));
                    Frame::data(data)
                }
                Ok(data) => Frame::data(data),
                Err(frame) => frame,
            })
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.last.is_none() && self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        let held_back = self.last.as_ref().map_or(0, |last| last.len() as u64);
        let left = self.body.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint);
        let mut hint = SizeHint::new();
        hint.set_lower(left.lower() + held_back);
        if let Some(upper) = left.upper() {
            hint.set_upper(upper + held_back);
        }
        hint
    }
}
